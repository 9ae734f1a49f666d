// The playground: a text, a question and a budget, and what is kept of it.

import { Failure, call, callHearing, key, mediaType } from "./api.js";
import { $, $$, bytes, copy, count, debounced, dollars, h, milliseconds, percent, put } from "./dom.js";
import { EXAMPLES } from "./examples.js";
import { curl, python, toml } from "./snippets.js";
import { Drawing, Source, joined } from "./text.js";

const METHODS = {
    auto: "auto", hybrid: "hybrid", extractive: "extractive",
    llmlingua: "llmlingua", longllmlingua: "longllmlingua", llmlingua2: "llmlingua2", "selective-context": "selective-context", prune: "prune", lossless: "lossless",
};
/** Methods that choose by the question, and cannot do without one. */
const NEED_QUESTION = ["hybrid", "extractive", "longllmlingua", "prune"];
const TARGETS = {
    o200k_base: "GPT-4o and later", cl100k_base: "GPT-4, GPT-3.5", approximate: "Claude, Gemini (estimate)", scorer: "the model here",
};
/** Longest text that is sent, in bytes; a request is limited to 16 MiB unless the configuration says otherwise. */
const MOST_BYTES = 15 << 20;
/** Milliseconds that an answer to an earlier place of the slider is waited for before it is given up. */
const PATIENCE = 400;

export function playground() {
    return new Playground();
}

class Playground {
    constructor() {
        this.text = "";
        this.runs = [new Run(new Drawing($("#shown"))), new Run(new Drawing($("#other")))];
        this.#choices();
        this.#listen();
    }

    /** Takes settings from an address. Where it has none, the first example is shown to begin with. */
    enter(query) {
        if (this.entered && query.toString() === this.address) return;
        const get = (name, allowed) => (query.has(name) && allowed(query.get(name)) ? query.get(name) : null);
        const number = (value) => Number.isFinite(Number(value)) && Number(value) >= 0;
        const set = (id, value) => { if (value !== null) $(id).value = value; };
        set("#method", get("method", (it) => it in METHODS));
        set("#second", get("beside", (it) => it in METHODS));
        set("#target", get("target", (it) => it in TARGETS));
        set("#price", get("price", number));
        set("#rate", get("rate", number));
        set("#tokens", get("tokens", number));
        if (query.has("rate") || query.has("tokens")) $(`[name=budget][value=${query.has("tokens") ? "tokens" : "rate"}]`).checked = true;
        const view = get("view", (it) => ["original", "alone", "two"].includes(it));
        if (view) $(`[name=view][value=${view}]`).checked = true;
        const example = get("example", (it) => it in EXAMPLES);
        if (example && (!this.entered || example !== $("#example").value)) this.#example(example);
        else if (!this.entered && $("#text").value === "" && !query.has("example")) this.#example("report");
        this.entered = true;
        this.#budget();
        this.#views();
        this.changed();
    }

    /** The service is back, or there is a key now. */
    back() {
        this.changed();
    }

    #choices() {
        const options = (entries) => entries.map(([value, name]) => h("option", { value }, name));
        put($("#method"), options(Object.entries(METHODS)));
        put($("#second"), options(Object.entries(METHODS)));
        $("#second").value = "extractive";
        put($("#target"), options(Object.entries(TARGETS)));
        put($("#example"), options([["own", "Your own text"], ...Object.entries(EXAMPLES).map(([name, [title]]) => [name, title])]));
    }

    #listen() {
        const typed = debounced(() => this.changed(), 250);
        $("#text").addEventListener("input", () => { $("#example").value = "own"; this.file = null; this.#cancel(); typed(); });
        // Before the browser lays out what nobody could compress.
        $("#text").addEventListener("paste", (event) => {
            const size = event.clipboardData?.getData("text").length ?? 0;
            if (size <= MOST_BYTES) return;
            event.preventDefault();
            this.#state(`The text has ${bytes(size)}; at most ${bytes(MOST_BYTES)} can be compressed at once. Take a part of it.`, true);
        });
        $("#question").addEventListener("input", () => { this.#cancel(); typed(); });
        $("#rate").addEventListener("input", () => { this.#budget(); this.changed(true); });
        $("#tokens").addEventListener("input", () => { this.#cancel(); typed(); });
        $("#price").addEventListener("input", () => { this.#figures(); this.#remember(); });
        for (const id of ["#method", "#second", "#target"]) $(id).addEventListener("change", () => this.changed());
        for (const radio of $$("[name=budget]")) radio.addEventListener("change", () => { this.#budget(); this.changed(); });
        for (const radio of $$("[name=view]")) radio.addEventListener("change", () => { this.#views(); this.changed(); });
        $("#example").addEventListener("change", () => { this.#example($("#example").value); this.changed(); });
        $("#choose").addEventListener("click", () => $("#file").click());
        $("#file").addEventListener("change", () => { const [file] = $("#file").files; $("#file").value = ""; if (file) this.#open(file); });
        $("#input").addEventListener("submit", (event) => event.preventDefault());
        this.#drop();
        this.#copies();
        for (const [place, id] of ["#shown", "#other"].entries()) reasons($(id), this.runs[place], $("#why"));
    }

    #drop() {
        const form = $("#input");
        const over = (is) => (event) => {
            if (![...event.dataTransfer.types].includes("Files")) return;
            event.preventDefault();
            form.classList.toggle("over", is);
        };
        form.addEventListener("dragover", over(true));
        form.addEventListener("dragleave", over(false));
        form.addEventListener("drop", (event) => {
            over(false)(event);
            const [file] = event.dataTransfer.files;
            if (file) this.#open(file);
        });
    }

    #copies() {
        const snippet = (make, what) => () => copy(make(this.request(0), location.origin, key() !== ""), what);
        $("#copy-result").addEventListener("click", () => copy(this.runs[0].answer.prompt, "Result"));
        $("#copy-curl").addEventListener("click", snippet(curl, "curl command"));
        $("#copy-python").addEventListener("click", snippet(python, "Python program"));
        $("#copy-toml").addEventListener("click", () => copy(toml(this.request(0), this.runs[0].answer.usage.rate), "whittle.toml"));
        $("#copy-link").addEventListener("click", () => { this.#remember(); copy(location.href, "Link to these settings, without the text,"); });
    }

    #example(name) {
        if (!(name in EXAMPLES)) return;
        const [, question, text] = EXAMPLES[name];
        $("#example").value = name;
        this.file = null;
        $("#text").value = text();
        $("#question").value = question;
    }

    /** Reads a file: text here, any other by the service, which stores nothing of it. */
    async #open(file) {
        this.#cancel();
        if (file.size > MOST_BYTES) return this.#state(`The file has ${bytes(file.size)}; at most ${bytes(MOST_BYTES)} are read.`, true);
        this.#state(`Reading ${file.name}…`);
        const opened = (this.opened = {});
        try {
            const type = mediaType(file.name);
            const { text } = await call("/v1/extract", { method: "PUT", body: file, type });
            if (this.opened !== opened) return;
            $("#text").value = text;
            $("#example").value = "own";
            this.file = file.name;
            // An example's question asks nothing of this text.
            if (Object.values(EXAMPLES).some(([, question]) => question === $("#question").value)) $("#question").value = "";
            this.changed();
        } catch (error) {
            if (this.opened === opened) this.#state(error.message, true);
        }
    }

    #budget() {
        const byRate = $("[name=budget]:checked").value === "rate";
        $("#by-rate").hidden = !byRate;
        $("#by-tokens").hidden = byRate;
        $("#rate-shown").textContent = `${$("#rate").value}%`;
    }

    #views() {
        const view = $("[name=view]:checked").value;
        $("#shown").hidden = $("#why").hidden = view === "alone";
        $("#alone").hidden = view !== "alone";
        for (const id of ["#other-column", "#first-name", "#second-label"]) $(id).hidden = view !== "two";
    }

    get two() {
        return $("[name=view]:checked").value === "two";
    }

    /** What is asked of the service for the run at `place`. */
    request(place) {
        const text = $("#text").value;
        const messages = chat(text);
        const request = messages ? { messages } : { context: text };
        const question = $("#question").value.trim();
        if (question) request.question = question;
        if ($("[name=budget]:checked").value === "rate") request.rate = Number($("#rate").value) / 100;
        else request.target_tokens = Math.max(1, Math.round(Number($("#tokens").value) || 1));
        const method = $(place === 0 ? "#method" : "#second").value;
        if (method !== "auto") request.method = method;
        const target = $("#target").value;
        if (target !== "o200k_base") request.tokenizer = target;
        return request;
    }

    /** Something was typed: what is being worked on is of no use any more. */
    #cancel() {
        for (const run of this.runs) run.cancel();
        this.#mark();
        if ($("#text").value.trim()) this.#state("Waiting for you to stop typing…");
    }

    /** Settings have changed. Where only the slider has `moved`, an answer that is due soon is shown first. */
    changed(moved = false) {
        clearTimeout(this.again);
        this.#remember();
        const size = $("#text").value.length;
        $("#size").textContent = [this.file, size && `${count(size)} characters`].filter(Boolean).join(", ");
        this.#mark();
        const problem = this.#problem(size);
        if (problem) return this.#nothing(problem);
        this.#run(0, moved);
        if (this.two) this.#run(1, moved);
        else this.runs[1].cancel();
    }

    #problem(size) {
        if ($("#text").value.trim() === "") return "Paste a text, drop a file, or choose an example.";
        if (size > MOST_BYTES) return `The text has ${bytes(size)}; at most ${bytes(MOST_BYTES)} can be compressed at once. Take a part of it.`;
        const methods = [$("#method").value, this.two ? $("#second").value : "auto"];
        const needy = methods.find((method) => NEED_QUESTION.includes(method));
        if (needy && !$("#question").value.trim() && !chat($("#text").value)) return `${needy} chooses by a question: type one, or take another method.`;
        return null;
    }

    #nothing(problem) {
        for (const run of this.runs) run.clear();
        put($("#figures"));
        put($("#warnings"));
        put($("#details"));
        put($("#alone"));
        this.#mark();
        this.#state(problem);
    }

    #run(place, moved) {
        const run = this.runs[place];
        if (moved && run.busy && performance.now() - run.began < PATIENCE) {
            run.next = () => this.#run(place, false);
            return;
        }
        run.cancel();
        const request = this.request(place);
        if (place === 0) {
            this.#state("");
            clearTimeout(this.slow);
            this.slow = setTimeout(() => run.busy && this.#state("Scoring this text for the first time; the slider is quick after that…"), 500);
        }
        const reading = new Reading();
        run.ask(request, (progress) => place === 0 && this.#state(reading.describe(progress))).then((shown) => {
            if (shown) this.#shown(place);
        }, (error) => {
            if (error.name !== "AbortError") this.#failed(place, error);
        });
    }

    #shown(place) {
        const run = this.runs[place];
        this.#mark();
        if (place === 0) {
            clearTimeout(this.slow);
            const { usage, timing_ms: times } = run.answer;
            this.#state(`${count(usage.original_tokens)} to ${count(usage.compressed_tokens)} tokens, ${milliseconds(times.total)}`);
            this.#details();
            $("#alone").textContent = run.answer.prompt;
        }
        this.#figures();
        this.#warnings();
        $(place === 0 ? "#first-name" : "#other-name").textContent = summary(run.answer);
    }

    #failed(place, error) {
        if (place === 0) clearTimeout(this.slow);
        // A model that is being loaded, or too many requests: the service says when to ask again.
        if (error.status === 503 && error.seconds) {
            this.#state(`${error.message} (the page asks again by itself)`);
            clearTimeout(this.again);
            this.again = setTimeout(() => this.changed(), 1000 * Math.min(error.seconds, 5));
            return;
        }
        const hint = error.code === "budget_infeasible" ? ". Keep more, or shorten the question." : "";
        if (place === 1) {
            $("#other-name").textContent = error.message;
            this.runs[1].clear();
            this.#mark();
            return;
        }
        this.#state(error.message + hint, true);
        if (error instanceof Failure && error.status !== 0) {
            this.runs[0].clear();
            put($("#figures"));
            put($("#warnings"));
            put($("#alone"));
            this.#mark();
        }
    }

    /** Says of each result whether it is still that of what is typed and set. One that is not cannot be copied. */
    #mark() {
        const [agrees, other] = this.runs.map((run, place) => run.answer !== null && alike(run.request, this.request(place)));
        $("#views").setAttribute("aria-busy", String(!agrees && this.runs[0].answer !== null));
        $("#other-column").setAttribute("aria-busy", String(!other && this.runs[1].answer !== null));
        // A command and a program are made of what is typed; the configuration has the share of the result.
        for (const button of $$("#copy-result, #copy-toml")) button.disabled = !agrees;
        for (const button of $$("#copy-curl, #copy-python")) button.disabled = this.runs[0].answer === null;
    }

    #state(message, bad = false) {
        $("#state").textContent = message;
        $("#state").classList.toggle("bad", bad);
    }

    #figures() {
        const { answer } = this.runs[0];
        if (!answer) return;
        const { usage } = answer;
        const price = Math.max(0, Number($("#price").value) || 0) / 1e6;
        const [before, after] = [usage.original_tokens, usage.compressed_tokens];
        const about = usage.approximate ? "about " : "";
        const figures = [
            ["Tokens before", `${about}${count(before)}`],
            ["Tokens after", `${about}${count(after)}`, `of at most ${count(usage.requested_tokens)}`],
            ["Kept", percent(usage.rate)],
            ["A request costs", dollars(after * price), `instead of ${dollars(before * price)}`],
            ["Saved per 1,000", dollars(1000 * (before - after) * price)],
        ];
        put($("#figures"), figures.map(([name, value, more]) => h("div", {}, h("dt", {}, name), h("dd", {}, value, more && h("small", {}, more)))));
    }

    #warnings() {
        const { answer } = this.runs[0];
        if (!answer) return;
        const left = Object.entries(answer.left_out).map(([noun, number]) => `${count(number)} ${number === 1 ? noun.replace(/ies$/, "y").replace(/s$/, "") : noun}`);
        const notes = answer.warnings.map(({ message }) => message);
        if (left.length) notes.unshift(`Left out as a whole, with a mark in their place: ${left.join(", ")}.`);
        put($("#warnings"), notes.map((note) => h("p", { class: "warning" }, note)));
    }

    #details() {
        const { answer } = this.runs[0];
        const { total, ...stages } = answer.timing_ms;
        const rows = [...Object.entries(stages), ["all", total]];
        put($("#details"),
            h("p", {}, `Method ${answer.method}: ${answer.reason}`),
            h("table", {}, h("caption", {}, "Time by stage"), h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Stage"), h("th", { scope: "col", class: "number" }, "Time"))),
                h("tbody", {}, rows.map(([name, time]) => h("tr", {}, h("th", { scope: "row" }, name), h("td", { class: "number" }, milliseconds(time)))))));
    }

    /** Puts the settings, never the text or question, into the address. */
    #remember() {
        const byRate = $("[name=budget]:checked").value === "rate";
        const settings = new URLSearchParams({ method: $("#method").value });
        settings.set(byRate ? "rate" : "tokens", byRate ? $("#rate").value : $("#tokens").value);
        settings.set("target", $("#target").value);
        settings.set("price", $("#price").value || "0");
        settings.set("view", $("[name=view]:checked").value);
        if (this.two) settings.set("beside", $("#second").value);
        settings.set("example", $("#example").value);
        this.address = settings.toString();
        clearTimeout(this.remembering);
        // Browsers refuse more than a few changes a second, which a slider makes.
        this.remembering = setTimeout(() => {
            if (/^(#playground.*)?$/.test(location.hash)) history.replaceState(null, "", `#playground?${this.address}`);
        }, 300);
    }
}

/** What the models read of a text, since they began. */
class Reading {
    describe({ tokens_read: read, tokens_planned: planned }) {
        this.began ??= { time: performance.now(), read };
        const speed = (read - this.began.read) / (performance.now() - this.began.time);
        const left = speed > 0 ? `, ${count(1000 * speed)} tokens/s, ${count(Math.ceil((planned - read) / speed / 1000))} s left` : "";
        return `${count(read)} of ${count(planned)} tokens are read${left}…`;
    }
}

/** One method's answer, and its drawing. */
class Run {
    constructor(drawing) {
        this.drawing = drawing;
        this.answer = null;
        this.next = null;
    }

    get busy() {
        return this.controller !== undefined && this.controller !== null;
    }

    cancel() {
        this.next = null;
        this.controller?.abort();
        this.controller = null;
    }

    clear() {
        this.cancel();
        this.answer = null;
        this.explained = null;
        this.drawing.show([]);
    }

    /** Gives whether the answer is shown: it is not where another was asked for meanwhile. `hear` gets what is read until then. */
    async ask(request, hear) {
        const controller = (this.controller = new AbortController());
        this.began = performance.now();
        try {
            const heard = (progress) => this.controller === controller && hear(progress);
            const answer = await callHearing("/v1/compress", heard, { json: { ...request, return: ["ranges"] }, signal: controller.signal });
            if (this.controller !== controller) return false;
            this.request = request;
            this.answer = answer;
            this.explained = null;
            this.#draw();
            return true;
        } finally {
            if (this.controller === controller) {
                this.controller = null;
                const { next } = this;
                this.next = null;
                next?.();
            }
        }
    }

    #draw() {
        const { messages, context } = this.request;
        const documents = this.answer.documents.map((document) => {
            const text = messages ? textAt(messages, document.id) : context;
            const source = this.#source(document.id, text ?? document.text);
            return { source, kept: joined(source, text === undefined ? [[0, source.bytes.length]] : document.kept), title: messages && name(messages, document.id) };
        });
        this.sources = documents.map(({ source }) => source);
        this.drawing.show(documents);
    }

    /** The text by its bytes, which is made once. */
    #source(id, text) {
        this.known ??= new Map();
        const known = this.known.get(id);
        if (known?.text === text) return known;
        if (this.known.size > 1000) this.known.clear();
        const source = new Source(text);
        this.known.set(id, source);
        return source;
    }

    /** The same answer with words and their scores, which are asked for when somebody wants to know. */
    async explanation() {
        if (!this.answer) return null;
        const { request, sources } = this;
        this.explained ??= call("/v1/compress", { json: { ...request, return: ["ranges", "words", "scores"] }, quiet: true })
            .then((answer) => ranked(answer, sources), () => null);
        return this.explained;
    }
}

/** Whether two requests ask for the same. The same messages are the same list, see `chat`. */
function alike(one, other) {
    const names = Object.keys(one);
    return names.length === Object.keys(other).length && names.every((name) => one[name] === other[name]);
}

/** The messages of a chat, where the text is JSON of that form. */
function chat(text) {
    if (!/^\s*\[\s*\{/.test(text)) return null;
    if (chat.text === text) return chat.messages;
    let messages = null;
    try {
        const parsed = JSON.parse(text);
        if (parsed.length && parsed.every((it) => it && typeof it.role === "string" && "content" in it)) messages = parsed;
    } catch { /* It is no JSON, and compressed as a text. */ }
    Object.assign(chat, { text, messages });
    return messages;
}

/** The text at a path such as `messages[1].content[0].text`. */
function textAt(messages, path) {
    const steps = [...path.matchAll(/\[(\d+)\]|([^.[\]]+)/g)].map(([, index, name]) => index ?? name).slice(1);
    let value = messages;
    for (const step of steps) value = Object.hasOwn(Object(value), step) ? value[step] : undefined;
    if (typeof value === "string") return value;
    return typeof value?.content === "string" ? value.content : undefined;
}

function name(messages, path) {
    const number = Number(/\[(\d+)\]/.exec(path)?.[1] ?? 0);
    return `${messages[number]?.role ?? ""} (message ${number + 1})`;
}

function summary({ method, usage, timing_ms: times }) {
    return `${method}: ${count(usage.compressed_tokens)} tokens, ${percent(usage.rate)}, ${milliseconds(times.total)}`;
}

/** Adds to each document its text by bytes, and the sorted scores, by which a score gets a rank. */
function ranked(answer, sources) {
    for (const [place, document] of answer.documents.entries()) {
        document.source = sources[place];
        document.sorted = (document.scores ?? []).filter((score) => score !== null).sort((a, b) => a - b);
    }
    return answer;
}

/** Says on pointing, and by arrow keys in the text, why a part was kept or left out. */
function reasons(element, run, place) {
    let current = null;
    const tell = async (part) => {
        if (!part || part === current) return;
        current?.classList.remove("current");
        current = part;
        part.classList.add("current");
        const kept = part.tagName !== "DEL";
        place.textContent = kept ? "Kept." : "Left out.";
        const answer = await run.explanation();
        if (current === part && part.isConnected) place.textContent = reason(answer, part.dataset.at, kept);
    };
    const quick = debounced(tell, 60);
    element.addEventListener("pointermove", (event) => quick(event.target.closest("[data-at]")));
    element.addEventListener("pointerleave", () => { current?.classList.remove("current"); current = null; });
    element.addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!step) return;
        event.preventDefault();
        const all = $$("[data-at]", element);
        const at = current?.isConnected ? all.indexOf(current) : -1;
        const next = all[Math.max(0, Math.min(all.length - 1, at + step))];
        next?.scrollIntoView({ block: "nearest" });
        tell(next);
    });
}

function reason(answer, at, kept) {
    const verdict = kept ? "Kept" : "Left out";
    if (!answer) return `${verdict}.`;
    const [place, start, end] = at.split(":").map(Number);
    const document = answer.documents[place];
    const notes = [];
    const scores = scoresIn(document, start, end).sort((a, b) => a - b);
    if (scores.length) {
        const [low, best] = [scores[0], scores.at(-1)];
        const below = document.sorted.filter((score) => score < best).length / document.sorted.length;
        const what = ["llmlingua2", "prune"].includes(answer.method) ? "likelihood to be kept" : NEED_QUESTION.includes(answer.method) ? "relevance to the question" : "score (surprise)";
        notes.push(`${what} ${scores.length === 1 ? `${best.toFixed(3)},` : `of its words ${low.toFixed(3)} to ${best.toFixed(3)}, the best`} above ${percent(below, 0)} of the text's words`);
    } else notes.push("it was not scored by itself");
    const whole = wholes(document, start, end);
    if (whole.length) notes.push(`${whole.join(", ")} ${whole.length > 1 ? "are" : "is"} protected, so never cut`);
    if (answer.documents.length > 1 && document.rank !== null) notes.push(`its document is number ${document.rank + 1} of ${answer.documents.length}`);
    return `${verdict}: ${notes.join("; ")}.`;
}

/** The first few of the protected words in a part, with the kinds that protect them. */
function wholes({ words, source }, start, end) {
    const found = (words ?? []).filter(({ range, protected: kinds }) => kinds?.length && range[0] < end && range[1] > start);
    const named = found.slice(0, 3).map(({ range, protected: kinds }) => {
        const text = source?.slice(range[0], range[1]) ?? "";
        return `\u201C${text.length > 60 ? `${text.slice(0, 60)}\u2026` : text}\u201D (${kinds.join(", ")})`;
    });
    return found.length > named.length ? [...named, `${found.length - named.length} more`] : named;
}

function scoresIn({ words, scores }, start, end) {
    const found = [];
    (words ?? []).forEach(({ range }, index) => {
        if (range[0] < end && range[1] > start && scores?.[index] !== null && scores?.[index] !== undefined) found.push(scores[index]);
    });
    return found;
}
