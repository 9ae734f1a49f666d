// The dashboard: what the ledger says about requests that went through the proxy.

import { call } from "./api.js";
import { bars } from "./chart.js";
import { count, counted, dollars, h, milliseconds, money, percent, put, table } from "./dom.js";
import { Health } from "./health.js";

/** Milliseconds between two looks at the ledger while the view is shown. */
const PAUSE = 5000;
const PAGE = 1000;
/** Most pages of single requests that are looked at for latencies and the list. */
const PAGES = 10;
const SHOWN = 100;

/** Periods: days back to their beginning, days back to their end, and their names. */
const PERIODS = [[0, null, "today"], [1, 0, "yesterday"], [1, null, "since yesterday"], [6, null, "the last 7 days"], [29, null, "the last 30 days"], [89, null, "the last 90 days"]];
const USUAL = "the last 30 days";
const AXES = { day: "Day", model: "Model", key: "Key", upstream: "Upstream", reason: "Reason" };

/** The reasons why texts went on as they came, in words. */
const REASONS = {
    "": "compressed", unchanged: "nothing in it could become smaller", bypassed: "as was asked for", deadline: "compression took too long", declined: "it would have taken too long", overloaded: "too many requests at once",
    unavailable: "the model could not be had", failed: "compression failed", refused: "the upstream refused the smaller request",
    remembered: "sent as it came in an earlier turn", holdout: "held out, to compare others with it", breakpoint: "before a cache breakpoint", small: "all texts are small",
};
export const reasonText = (name) => (name in REASONS ? `${name ? `${name}: ` : ""}${REASONS[name]}` : name);

const loss = (value) => (money(value) < 0 ? h("span", { class: "bad" }, dollars(value)) : dollars(value));

export function view(place) {
    return new Dashboard(place);
}

class Dashboard {
    constructor(place) {
        const option = ([, , name], number) => h("option", { value: number, selected: name === USUAL }, name);
        const changed = () => this.load();
        this.period = h("select", { id: "period", change: changed }, PERIODS.map(option));
        this.axis = h("select", { id: "axis", change: changed }, Object.entries(AXES).map(([value, name]) => h("option", { value }, name.toLowerCase())));
        this.only = h("select", { id: "only", change: () => { this.page = 0; this.#list(); } }, h("option", { value: "" }, "all requests"),
            h("option", { value: "whole" }, "all that went on uncompressed"), h("option", { value: "reason" }, "some or all texts sent as they came"), h("option", { value: "errors" }, "errors"), h("option", { value: "loss" }, "a loss"));
        this.state = h("p", { role: "status", class: "muted", id: "dashboard-state" });
        [this.charts, this.groups, this.reasons, this.folding, this.requests, this.shadow] = Array.from({ length: 6 }, () => h("div"));
        this.health = new Health();
        this.figures = h("dl", { class: "figures" });
        const turn = (by, name) => h("button", { type: "button", click: () => { this.page += by; this.#list(); } }, name);
        [this.later, this.earlier] = [turn(-1, "Later requests"), turn(1, "Earlier requests")];
        this.turns = h("p", { class: "row", hidden: true }, this.later, this.earlier);
        put(place, h("h1", {}, "Dashboard"),
            h("div", { class: "panel row" }, h("label", { for: "period" }, "Period"), this.period, h("label", { for: "axis" }, "Group by"), this.axis, this.state),
            h("div", { class: "panel" }, h("h2", {}, "In all"), this.figures, h("p", { class: "muted" },
                "Net: what the tokens left out would have cost, less the work on them; requests that lost money are included. Days are UTC, and begin at midnight.")),
            h("div", { class: "panel" }, this.charts, this.groups),
            h("div", { class: "grid panel" }, this.reasons, this.folding, this.health.element),
            h("div", { class: "panel" }, this.shadow),
            h("div", { class: "panel" }, h("div", { class: "row spread" }, h("h2", {}, "Recent requests"), h("span", { class: "row" }, h("label", { for: "only" }, "Show"), this.only)), this.requests, this.turns));
        this.lines = [];
        this.page = 0;
    }

    enter() {
        this.load();
        this.health.start();
        clearInterval(this.timer);
        this.timer = setInterval(() => document.hidden || this.load(true), PAUSE);
    }

    leave() {
        clearInterval(this.timer);
        this.health.stop();
        this.controller?.abort();
    }

    back() {
        this.load();
        this.health.start();
    }

    /** The period as the ledger takes it: days are those of UTC, and begin at midnight. */
    get range() {
        const day = 24 * 3600 * 1000;
        const midnight = (back) => new Date((Math.floor(Date.now() / day) - back) * day).toISOString().slice(0, 10);
        const [since, until] = PERIODS[this.period.value];
        return { since: midnight(since), ...(until !== null && { until: midnight(until) }) };
    }

    async load(quiet = false) {
        if (quiet && this.controller) return;
        this.controller?.abort();
        const controller = (this.controller = new AbortController());
        const options = { signal: controller.signal, quiet };
        try {
            const query = (by, more = {}) => `/v1/usage?${new URLSearchParams({ ...this.range, group_by: by, ...more })}`;
            const byDay = await call(query("day"), options);
            const groups = this.axis.value === "day" ? byDay : await call(query(this.axis.value), options);
            const reasons = await call(query("reason"), options);
            if (this.controller !== controller) return;
            // The sums are there at once, however many single requests are read after them.
            // What has not changed is not drawn again, or it would take the focus away from who reads it by keyboard.
            const answers = JSON.stringify([this.axis.value, byDay, groups, reasons]);
            if (answers !== this.answers) this.#show(byDay, groups, reasons);
            this.answers = answers;
            if (await this.#read(options)) {
                this.#figures(byDay.total);
                this.#list();
            }
            if (this.controller !== controller) return;
            this.state.classList.remove("bad");
            this.state.textContent = `As of ${new Date().toLocaleTimeString()}; looks again every ${PAUSE / 1000} s.`;
            await this.#shadow(options);
        } catch (error) {
            if (error.name === "AbortError") return;
            this.state.classList.add("bad");
            this.state.textContent = error.message;
        } finally {
            if (this.controller === controller) this.controller = null;
        }
    }

    /** Reads single requests: all of the period at first, and later only those that are new. Gives whether to draw them. */
    async #read(options) {
        const { range } = this;
        let changed = this.linesOf !== JSON.stringify(range);
        if (changed) Object.assign(this, { linesOf: JSON.stringify(range), lines: [], from: range.since, page: 0 });
        const most = PAGE * PAGES;
        for (let page = 0; page < PAGES; page++) {
            const query = new URLSearchParams({ ...range, since: this.from, group_by: "request", limit: PAGE });
            const { requests, next } = await call(`/v1/usage?${query}`, options);
            const known = new Set(this.lines.slice(-PAGE).map((line) => line.request_id + line.time));
            const fresh = requests.filter((line) => !known.has(line.request_id + line.time));
            this.lines.push(...fresh);
            changed ||= fresh.length > 0;
            if (this.lines.length > most) this.lines.splice(0, this.lines.length - most);
            // Again from the time of the last one, since more may have come within its millisecond.
            if (requests.length) this.from = requests[requests.length - 1].time;
            if (!next || fresh.length === 0) break;
        }
        return changed;
    }

    #show(byDay, { groups, folding }, reasons) {
        this.#figures(byDay.total);
        const days = byDay.groups.map((group) => ({ label: group.day.slice(5), ...group }));
        put(this.charts, days.length > 0 && h("div", { class: "grid" },
            h("div", {}, h("h2", {}, "Tokens of texts"), bars("Tokens of texts before and after, by day", [["before", "two"], ["after", "one"]],
                days.map((day) => ({ label: day.label, values: [day.text_tokens_before, day.text_tokens_after] })), count)),
            h("div", {}, h("h2", {}, "Net saving"), bars("Net saving, by day", [["saved", "one"]], days.map((day) => ({ label: day.label, values: [money(day.saving_usd)] })), dollars))));
        const axis = this.axis.value;
        const named = (group) => (axis === "reason" ? reasonText(group[axis]) : group[axis] || "\u2013");
        put(this.groups, table(`By ${AXES[axis].toLowerCase()}`, [
            [AXES[axis], named], ["Requests", (it) => count(it.requests), true], ["Errors", (it) => count(it.errors), true], ["Net saving", (it) => loss(it.saving_usd), true],
            ["Text tokens before", (it) => count(it.text_tokens_before), true], ["After", (it) => count(it.text_tokens_after), true],
            ["Left out", (it) => count(it.text_tokens_before - it.text_tokens_after), true], ["Input", (it) => count(it.input_tokens), true], ["Output", (it) => count(it.output_tokens), true],
            ["Cache reads", (it) => count(it.cache_read_tokens), true], ["Cache writes", (it) => count(it.cache_write_tokens), true],
            ["Work", (it) => milliseconds(it.compressor_ms), true], ["Cost", (it) => dollars(it.cost_usd), true],
        ], groups, "No request in this period. Point a client at this service: the guide on the proxy says how."));
        put(this.reasons, h("h2", {}, "Why texts went on as they came"), table("Reasons", [
            ["Reason", (it) => reasonText(it.reason)], ["Requests", (it) => count(it.requests), true],
        ], reasons.groups.filter((it) => it.reason !== ""), "No text of this period was held back by a reason."));
        put(this.folding, h("h2", {}, "Folding of tools' results"), table("By rule and kind", [
            ["Rule", (it) => it.rule], ["Kind", (it) => it.kind], ["Requests", (it) => count(it.requests), true],
            ["Tokens left out", (it) => count(it.saved_tokens), true], ["Net saving", (it) => loss(it.saving_usd), true],
        ], folding ?? [], "Nothing was folded."));
    }

    /** The sums, and the latencies of the single requests that are read so far. */
    #figures(total) {
        const times = this.lines.filter((line) => line.compressor_ms > 0).map((line) => line.compressor_ms).sort((a, b) => a - b);
        const quantile = (share) => (times.length ? milliseconds(times[Math.min(times.length - 1, Math.floor(share * times.length))]) : "\u2013");
        const figures = [
            ["Requests", count(total.requests), total.errors ? counted(total.errors, "error") : "no errors"],
            ["Text tokens before", count(total.text_tokens_before)],
            ["Text tokens after", count(total.text_tokens_after)],
            ["Tokens left out", count(total.text_tokens_before - total.text_tokens_after), total.text_tokens_before ? `${percent(1 - total.text_tokens_after / total.text_tokens_before)} of compressed texts` : ""],
            ["Cost", dollars(total.cost_usd), total.unpriced ? `${count(total.unpriced)} without a price` : ""],
            ["Net saving", loss(total.saving_usd)],
            ["Cache reads, writes", `${count(total.cache_read_tokens)}, ${count(total.cache_write_tokens)}`, "tokens, by the providers"],
            ["Latency added, p50", quantile(0.5), `p99 ${quantile(0.99)}`],
        ];
        put(this.figures, figures.map(([name, value, more]) => h("div", {}, h("dt", {}, name), h("dd", {}, value, more && h("small", {}, more)))));
    }

    #list() {
        const keep = { "": () => true, whole: (it) => it.text_tokens_before === 0, reason: (it) => it.reason, errors: (it) => it.errors > 0, loss: (it) => money(it.saving_usd) < 0 }[this.only.value];
        const found = this.lines.filter(keep);
        const last = Math.max(0, Math.ceil(found.length / SHOWN) - 1);
        this.page = Math.min(this.page, last);
        const end = found.length - this.page * SHOWN;
        const rows = found.slice(Math.max(0, end - SHOWN), end).reverse();
        const note = last > 0 ? `${count(this.page * SHOWN + 1)} to ${count(this.page * SHOWN + rows.length)} of ${count(found.length)} requests, latest first` : counted(found.length, "request");
        this.later.disabled = this.page === 0;
        this.earlier.disabled = this.page === last;
        this.turns.hidden = last === 0;
        put(this.requests, table(note, [
            ["Time (UTC)", (it) => it.time.replace("T", " ").slice(0, 19)], ["Net saving", (it) => loss(it.saving_usd), true], ["As it came, because", (it) => (it.reason ? reasonText(it.reason) : "")],
            ["Text tokens", (it) => (it.text_tokens_before ? `${count(it.text_tokens_before)} \u2192 ${count(it.text_tokens_after)}` : "\u2013"), true],
            ["Model", (it) => it.model || "\u2013"], ["Upstream", (it) => it.upstream], ["Key", (it) => it.key ?? "\u2013"], ["Status", (it) => (it.errors ? h("span", { class: "bad" }, String(it.status)) : String(it.status)), true],
            ["Input", (it) => count(it.input_tokens), true], ["Work", (it) => milliseconds(it.compressor_ms), true], ["Id", (it) => h("code", {}, it.request_id)],
        ], rows, "No such request in this period."));
    }

    /** The answers to originals beside those to compressed requests, for administrators. */
    async #shadow(options) {
        const report = await call("/v1/shadow?limit=20", { ...options, quiet: true }).catch((error) => { if (error.name === "AbortError") throw error; return { failed: error.status === 401 || error.status === 403 ? "For an administrator's key." : error.message }; });
        const answers = JSON.stringify(report);
        if (answers === this.shadowed) return;
        this.shadowed = answers;
        const heading = h("h2", {}, "Answers with and without compression");
        if (report.failed) return void put(this.shadow, heading, h("p", { class: "muted" }, report.failed));
        const many = (it) => `${percent(it.same / it.requests)} (${count(it.same)} of ${count(it.requests)})`;
        put(this.shadow, heading, table("Shadow requests, by model", [
            ["Model", (it) => it.model], ["Same answer", many, true], ["Words in common", (it) => percent(it.f1), true], ["Cost of the comparison", (it) => dollars(it.cost_usd), true],
        ], report.models, "None yet: `proxy.shadow.share` in the configuration has the original of some compressed requests answered, too."),
        report.comparisons.length > 0 && table("The latest", [
            ["Time (UTC)", (it) => it.time.replace("T", " ").slice(0, 19)], ["Model", (it) => it.model], ["Input tokens", (it) => `${count(it.original_tokens)} \u2192 ${count(it.compressed_tokens)}`, true],
            ["Same", (it) => (it.same ? "yes" : "no")], ["Words in common", (it) => percent(it.f1), true], ["Id", (it) => h("code", {}, it.request_id)],
        ], report.comparisons));
    }
}
