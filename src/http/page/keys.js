// Keys of callers: made, listed and revoked by an administrator.

import { call } from "./api.js";
import { confirmed, copy, h, put, table } from "./dom.js";

export function view(place) {
    return new Keys(place);
}

class Keys {
    constructor(place) {
        const number = (id, step) => h("input", { id, type: "number", min: step, step, inputmode: "decimal" });
        this.form = h("form", { submit: (event) => { event.preventDefault(); this.#create(); } },
            h("h2", {}, "New key"),
            h("label", { for: "key-name" }, "Name"), h("input", { id: "key-name", type: "text", required: true, maxlength: 64, autocomplete: "off" }),
            h("label", { for: "key-models" }, "Models ", h("span", { class: "muted" }, "(with commas between them, * for any characters; none for all)")),
            h("input", { id: "key-models", type: "text", autocomplete: "off", placeholder: "gpt-4o-mini*" }),
            h("div", { class: "fields" }, h("label", {}, "Requests a minute", number("key-requests", "1")), h("label", {}, "Tokens a minute", number("key-tokens", "1")), h("label", {}, "Dollars a day", number("key-usd", "any"))),
            h("label", {}, h("input", { id: "key-admin", type: "checkbox" }), " Administrator: sees all usage and metrics, and changes keys"),
            h("p", { class: "row" }, h("button", { type: "submit", class: "primary" }, "Create"), h("span", { class: "muted", id: "key-first" })));
        this.state = h("p", { role: "status" });
        this.secret = h("div", {});
        this.list = h("div", {});
        put(place, h("h1", {}, "Keys"), h("div", { class: "grid" }, h("div", { class: "panel" }, this.form, this.state, this.secret), h("div", { class: "panel" }, this.list)));
    }

    enter() {
        this.load();
    }

    back() {
        this.load();
    }

    leave() {
        // The secret is shown once, and not when somebody comes back.
        put(this.secret);
    }

    async load() {
        try {
            const { keys } = await call("/v1/keys");
            this.#show(keys);
            this.#say("");
        } catch (error) {
            put(this.list);
            this.#say(error.message, true);
        }
    }

    #say(message, bad = false) {
        this.state.textContent = message;
        this.state.classList.toggle("bad", bad);
    }

    #show(keys) {
        const valid = keys.filter((key) => !key.revoked);
        document.querySelector("#key-first").textContent = valid.length ? "" : "As soon as there is a key, every caller needs one. Make the first one an administrator's.";
        const limits = (key) => [
            key.models.length ? key.models.join(", ") : "all models", key.requests_per_minute && `${key.requests_per_minute} requests a minute`,
            key.tokens_per_minute && `${key.tokens_per_minute} tokens a minute`, key.usd_per_day && `$${key.usd_per_day} a day`, key.admin && "administrator",
        ].filter(Boolean).join("; ");
        put(this.list, table("Keys", [
            ["Name", (key) => key.name], ["Id", (key) => h("code", {}, key.id)], ["Limits", limits], ["Created", (key) => key.created.slice(0, 10)],
            ["State", (key) => (key.revoked ? `revoked ${key.revoked.slice(0, 10)}` : h("button", { type: "button", class: "danger", "aria-label": `Revoke ${key.name}`, click: () => this.#revoke(key) }, "Revoke"))],
        ], [...keys].reverse(), "There is no key: anybody who reaches this service may call it."));
    }

    async #create() {
        const value = (id) => document.querySelector(id).value.trim();
        const json = { name: value("#key-name"), admin: document.querySelector("#key-admin").checked };
        const models = value("#key-models").split(",").map((model) => model.trim()).filter(Boolean);
        if (models.length) json.models = models;
        for (const [name, id] of [["requests_per_minute", "#key-requests"], ["tokens_per_minute", "#key-tokens"], ["usd_per_day", "#key-usd"]]) {
            if (value(id)) json[name] = Number(value(id));
        }
        try {
            const { secret, key } = await call("/v1/keys", { json });
            this.form.reset();
            put(this.secret, h("p", {}, `The secret of ${key.name}. It is shown this once and stored nowhere:`), h("code", { class: "secret", tabindex: 0 }, secret),
                h("p", { class: "row" }, h("button", { type: "button", click: () => copy(secret, "Secret") }, "Copy"), h("button", { type: "button", click: () => put(this.secret) }, "Hide")));
            this.load();
        } catch (error) {
            this.#say(error.message, true);
        }
    }

    async #revoke(key) {
        if (!(await confirmed(`Revoke ${key.name}? Whoever uses it is refused from the next request on.`, "Revoke"))) return;
        try {
            await call(`/v1/keys/${encodeURIComponent(key.id)}`, { method: "DELETE" });
            this.load();
        } catch (error) {
            this.#say(error.message, true);
        }
    }
}
