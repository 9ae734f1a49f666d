// Collections and banks: what is stored, searched, and made into prompts.

import { call, mediaType, upload } from "./api.js";
import { $, $$, bytes, confirmed, count, counted, copy, h, milliseconds, percent, put, table, toast } from "./dom.js";

const MODES = { hybrid: "hybrid: words and vectors", lexical: "words (BM25)", dense: "vectors" };
/** Most bytes of a file, unless the configuration says otherwise. */
const MOST_BYTES = 16 << 20;
/** Most results of a search, by which a document's chunks are found. */
const MOST_CHUNKS = 1000;
/** What a collection may be called. */
const RULE = "1 to 64 characters: a to z, 0 to 9, - and _";
/** Collections that are shown at first where there are many. */
const SHOWN = 60;

export function view(place) {
    return new Collections(place);
}

class Collections {
    constructor(place) {
        this.state = h("p", { role: "status" });
        this.list = h("div", { class: "cards", role: "group", "aria-label": "Collections" });
        this.filter = h("input", { id: "collection-filter", type: "search", placeholder: "Find by name", "aria-label": "Find a collection by name", input: () => this.#cards() });
        this.banks = h("div");
        this.one = h("div", { class: "panel", hidden: true, id: "collection" });
        const make = h("form", { class: "row", submit: (event) => { event.preventDefault(); this.#create(); } },
            h("label", { for: "collection-name" }, "New collection"), h("input", { id: "collection-name", pattern: "[a-z0-9_\\-]{1,64}", required: true, autocomplete: "off", title: RULE, "aria-describedby": "collection-rule" }),
            h("button", { type: "submit" }, "Create"), h("span", { id: "collection-rule", class: "muted" }, `${RULE}.`));
        put(place, h("h1", {}, "Collections and banks"), h("div", { class: "panel" }, h("div", { class: "row spread" }, this.filter, make), this.state, this.list), this.one, h("div", { class: "panel" }, this.banks));
        this.collections = [];
    }

    enter(query) {
        this.open ??= query.get("name");
        this.load();
    }

    back() {
        this.load();
    }

    async load() {
        try {
            const { collections, unreadable } = await call("/v1/collections");
            this.collections = collections;
            this.#say(unreadable?.length ? `${unreadable.length} collections cannot be opened: ${unreadable.map((it) => it.name).join(", ")}` : "", Boolean(unreadable?.length));
            this.#cards();
            const { banks } = await call("/v1/example-banks");
            put(this.banks, table("Banks of solved examples", [["Name", (it) => it.name], ["Examples", (it) => count(it.examples), true], ["Embedder", (it) => it.embedder], ["Size", (it) => bytes(it.bytes), true],
                ["Action", (it) => h("button", { type: "button", class: "danger", "aria-label": `Delete the bank ${it.name}`, click: () => this.#remove("example-banks", it.name, counted(it.examples, "example")) }, "Delete")]],
            banks, "No bank of examples: `POST /v1/example-banks/{name}/examples` makes one."));
            if (this.open && collections.some((it) => it.name === this.open)) this.#open(this.open);
        } catch (error) {
            this.#say(error.message, true);
        }
    }

    #say(message, bad = false) {
        this.state.textContent = message;
        this.state.classList.toggle("bad", bad);
    }

    #cards() {
        const wanted = this.filter.value.trim().toLowerCase();
        const found = this.collections.filter((it) => it.name.includes(wanted));
        if (!found.length) return put(this.list, h("p", { class: "muted" }, this.collections.length ? "No collection has that in its name." : "No collection yet. Make one, and put files into it."));
        const shown = this.all ? found : found.slice(0, SHOWN);
        const more = found.length > shown.length && h("button", { type: "button", click: () => { this.all = true; this.#cards(); $$("button", this.list)[SHOWN]?.focus(); } }, `Show all ${count(found.length)}`);
        put(this.list, shown.map((it) => h("button", { type: "button", "aria-current": it.name === this.open ? "true" : null, click: () => this.#open(it.name) },
            `${it.name} `, h("span", { class: "muted" }, counted(it.documents, "document")))), more);
    }

    async #create() {
        const name = $("#collection-name").value.trim();
        try {
            await call(`/v1/collections/${encodeURIComponent(name)}`, { method: "PUT", json: {} });
            $("#collection-name").value = "";
            this.open = name;
            this.load();
        } catch (error) {
            this.#say(error.message, true);
        }
    }

    async #remove(kind, name, what) {
        if (!(await confirmed(`Delete ${name} with its ${what}? This cannot be undone.`, "Delete"))) return;
        try {
            await call(`/v1/${kind}/${encodeURIComponent(name)}`, { method: "DELETE" });
            toast(`${name} is deleted`);
            if (this.open === name) { this.open = null; this.one.hidden = true; }
            this.load();
        } catch (error) {
            this.#say(error.message, true);
        }
    }

    async #open(name) {
        const same = this.open === name && !this.one.hidden;
        this.open = name;
        this.#cards();
        if (!same) this.#frame(name);
        this.#documents(0);
    }

    #frame(name) {
        this.one.hidden = false;
        this.info = h("p", { class: "muted" });
        this.progress = h("div", { role: "status" });
        this.results = h("div", { role: "status" });
        this.built = h("div", { role: "status" });
        this.documents = h("div");
        this.document = h("div");
        const file = h("input", { id: "upload", type: "file", multiple: true, change: () => { const files = [...file.files]; file.value = ""; this.#upload(files); } });
        const options = (of) => Object.entries(of).map(([value, text]) => h("option", { value }, text));
        put(this.one,
            h("div", { class: "row spread" }, h("h2", {}, name), h("button", { type: "button", class: "danger", click: () => this.#remove("collections", name, "documents") }, "Delete the collection")),
            this.info, h("div", { class: "row" }, h("label", { for: "upload" }, "Put in files"), file), this.progress,
            h("form", { class: "row", submit: (event) => { event.preventDefault(); this.#search(); } }, h("label", { for: "query" }, "Search"),
                h("input", { id: "query", type: "search", required: true }), h("label", { for: "mode" }, "by"), h("select", { id: "mode" }, options(MODES)), h("button", { type: "submit" }, "Search")),
            this.results,
            h("form", { class: "row", submit: (event) => { event.preventDefault(); this.#build(); } }, h("label", { for: "prompt-question" }, "Build a prompt for"),
                h("input", { id: "prompt-question", type: "search", required: true }), h("label", { for: "prompt-tokens" }, "of at most"), h("input", { id: "prompt-tokens", type: "number", min: 1, value: 500 }), "tokens", h("button", { type: "submit" }, "Build")),
            this.built, this.documents, this.document);
    }

    async #documents(from) {
        try {
            const path = `/v1/collections/${encodeURIComponent(this.open)}`;
            const [info, page] = [await call(path), await call(`${path}/documents?from=${from}&limit=50`)];
            this.info.textContent = `${counted(info.documents, "document")} in ${counted(info.chunks, "chunk")}, ${bytes(info.bytes)}; vectors by ${info.embedder}.`;
            this.#count(info);
            put(this.documents, table("Documents", [
                ["Id", (it) => h("button", { type: "button", click: () => this.#show(it) }, it.id)], ["Title", (it) => it.title ?? ""], ["Characters", (it) => count(it.text.length), true],
                ["Action", (it) => h("button", { type: "button", class: "danger", "aria-label": `Delete ${it.id}`, click: () => this.#drop(it.id) }, "Delete")],
            ], page.documents, "It is empty."), h("p", { class: "row" }, from > 0 && h("button", { type: "button", click: () => this.#documents(0) }, "First page"),
                page.next !== null && page.next !== undefined && h("button", { type: "button", click: () => this.#documents(page.next) }, "Next page")));
        } catch (error) {
            this.#say(error.message, true);
        }
    }

    /** Brings the number of documents on a collection's button up to date. */
    #count({ name, documents }) {
        const listed = this.collections.find((it) => it.name === name);
        if (!listed || listed.documents === documents) return;
        listed.documents = documents;
        this.#cards();
    }

    async #drop(id) {
        if (!(await confirmed(`Delete the document ${id}?`, "Delete"))) return;
        try {
            await call(`/v1/collections/${encodeURIComponent(this.open)}/documents/${id.split("/").map(encodeURIComponent).join("/")}`, { method: "DELETE" });
            this.#documents(0);
        } catch (error) {
            this.#say(error.message, true);
        }
    }

    async #upload(files) {
        for (const file of files) {
            const bar = h("progress", { max: 1, "aria-label": `Sending ${file.name}` });
            bar.value = 0;
            const line = h("p", {}, `${file.name} `, bar);
            this.progress.append(line);
            if (file.size > MOST_BYTES) { put(line, h("span", { class: "bad" }, `${file.name}: it has ${bytes(file.size)}; at most ${bytes(MOST_BYTES)} are taken`)); continue; }
            try {
                const path = `/v1/collections/${encodeURIComponent(this.open)}/documents/${encodeURIComponent(file.name)}`;
                const { chunks } = await upload(path, file, mediaType(file.name), (share) => { bar.value = share; });
                put(line, `${file.name}: stored in ${counted(chunks, "chunk")}`);
            } catch (error) {
                put(line, h("span", { class: "bad" }, `${file.name}: ${error.message}`));
            }
        }
        this.#documents(0);
    }

    async #search() {
        const query = $("#query").value;
        try {
            const { results, timing_ms: times } = await call(`/v1/collections/${encodeURIComponent(this.open)}/search`, { json: { query, mode: $("#mode").value, top_k: 10 } });
            put(this.results, h("p", { class: "muted" }, `${counted(results.length, "result")} in ${milliseconds(times.total)}`), results.map((hit) => h("div", { class: "hit" },
                h("p", { class: "muted" }, `${hit.title ?? hit.document_id}, bytes ${hit.range.join(" to ")}: ${Object.entries({ score: hit.score, ...hit.scores }).map(([name, score]) => `${name} ${Number(score).toFixed(3)}`).join(", ")}`),
                h("p", { class: "text" }, marked(hit.text, query)))));
        } catch (error) {
            put(this.results, h("p", { class: "bad" }, error.message));
        }
    }

    async #build() {
        const json = { question: $("#prompt-question").value, collections: [this.open], target_tokens: Math.max(1, Number($("#prompt-tokens").value) || 500) };
        try {
            const { prompt, ledger, citations, warnings } = await call("/v1/prompt", { json });
            const { total, ...parts } = ledger.tokens;
            const documents = new Set(citations.map((it) => it.document_id)).size;
            put(this.built, table(`${count(total)} of at most ${count(ledger.requested_tokens)} tokens went to`, [
                ["Part", ([name]) => name], ["Tokens", ([, tokens]) => count(tokens), true], ["Share", ([, tokens]) => percent(tokens / Math.max(1, total)), true],
            ], Object.entries(parts).filter(([, tokens]) => tokens > 0)),
            h("p", { class: "muted" }, `${count(ledger.chosen)} of ${counted(ledger.candidates.length, "chunk")} found are in it, from ${counted(documents, "document")}; ${count(ledger.found_tokens)} tokens were found. Method ${ledger.method}.`),
            warnings.map(({ message }) => h("p", { class: "warning" }, message)), h("pre", { class: "shown", tabindex: 0, role: "region", "aria-label": "The prompt" }, prompt),
            h("button", { type: "button", click: () => copy(prompt, "Prompt") }, "Copy prompt"));
        } catch (error) {
            put(this.built, h("p", { class: "bad" }, error.message));
        }
    }

    /** Shows a document, and then its chunks. */
    async #show(document) {
        this.shown = document;
        const chunks = h("div", { role: "status" }, h("p", { class: "muted" }, "Looking for its chunks…"));
        put(this.document, h("h3", {}, document.title ?? document.id), h("pre", { class: "shown", tabindex: 0, role: "region", "aria-label": `Text of ${document.id}` }, document.text), chunks);
        this.document.scrollIntoView({ block: "nearest" });
        try {
            const json = { query: document.text.slice(0, 1000), mode: "dense", top_k: MOST_CHUNKS };
            const { results } = await call(`/v1/collections/${encodeURIComponent(this.open)}/search`, { json });
            if (this.shown !== document) return;
            const found = results.filter((hit) => hit.document_id === document.id).sort((a, b) => a.range[0] - b.range[0]);
            const all = results.length < MOST_CHUNKS;
            put(chunks, table(all ? `Its chunks: ${count(found.length)}` : `${count(found.length)} of its chunks, those near its beginning in meaning`, [
                ["Bytes", (hit) => `${count(hit.range[0])} to ${count(hit.range[1])}`, true], ["Text", (hit) => (hit.text.length > 300 ? `${hit.text.slice(0, 300)}…` : hit.text)],
            ], found, "No chunk of it is found."));
        } catch (error) {
            put(chunks, h("p", { class: "bad" }, error.message));
        }
    }
}

/** `text` with the words of `query` marked, as nodes. */
function marked(text, query) {
    const words = [...new Set(query.toLowerCase().match(/[\p{L}\p{N}]{2,}/gu) ?? [])];
    if (!words.length) return [text];
    const pattern = new RegExp(`(${words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|")})`, "giu");
    return text.split(pattern).map((part, index) => (index % 2 ? h("mark", {}, part) : part));
}
