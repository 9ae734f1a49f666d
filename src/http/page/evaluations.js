// Evaluations: the figures that `whittle eval run` wrote, and two runs beside each other.

import { call } from "./api.js";
import { bars } from "./chart.js";
import { count, h, percent, put, table } from "./dom.js";

/** The uncompressed prompt and other levels to compare with: their rates are not chosen. */
const LEVELS = ["whole", "closed-book", "best-two"];
/** The figures of a method at a rate: title, field, format, and whether more is better. */
const FIGURES = [
    ["Tokens kept", "achieved_rate", percent, null], ["Answers still there", "retention", percent, true], ["Right answers", "accuracy", percent, true],
    ["Nats a token of the answer", "nll", (value) => value.toFixed(3), false], ["Numbers kept", "numbers", percent, true], ["Names kept", "names", percent, true], ["Broken units", "broken", percent, false],
];
const SET_FIGURES = [["Answers", "answer", percent, true], ["Evidence", "span", percent, true], ["Whole evidence", "whole", percent, true]];

/** An estimate with its interval below it. */
const shown = (estimate, format) => (estimate ? [`${format(estimate.mean)} `, h("span", { class: "interval" }, `[${format(estimate.low)}, ${format(estimate.high)}]`)] : "\u2013");
const name = ({ method, rate, set }) => `${set ? `${set}, ` : ""}${method}${LEVELS.includes(method) ? "" : ` at ${percent(rate, 0)}`}`;

export function view(place) {
    return new Evaluations(place);
}

class Evaluations {
    constructor(place) {
        const choice = (id) => h("select", { id, change: () => this.#compare() });
        [this.first, this.second] = [choice("run"), choice("other-run")];
        this.state = h("p", { role: "status", id: "evaluations-state" });
        this.more = h("p", { class: "muted", hidden: true }, "There are more runs than are listed.");
        this.shown = h("div", { id: "evaluation" });
        put(place, h("h1", {}, "Evaluations"),
            h("div", { class: "panel" }, h("p", { class: "muted" }, "What ", h("code", {}, "whittle eval run"), " measured, below the folders that ", h("code", {}, "page.evaluations"), " names. In brackets: 95% intervals."),
                h("div", { class: "row" }, h("label", { for: "run" }, "Run"), this.first, h("label", { for: "other-run" }, "beside"), this.second), this.more, this.state),
            this.shown);
    }

    enter() {
        this.load();
    }

    back() {
        this.load();
    }

    async load() {
        try {
            const { runs, more } = await call("/v1/evaluations");
            const chosen = [this.first.value, this.second.value];
            const label = (run) => `${run.name}${run.suite === null ? " (cannot be read)" : `: ${count(run.questions)} questions, version ${run.version ?? "unknown"}`}`;
            const options = () => runs.map((run) => h("option", { value: run.name, disabled: run.suite === null }, label(run)));
            put(this.first, options());
            put(this.second, h("option", { value: "" }, "none"), options());
            const readable = runs.filter((run) => run.suite !== null).map((run) => run.name);
            this.first.value = readable.includes(chosen[0]) ? chosen[0] : readable[0] ?? "";
            this.second.value = readable.includes(chosen[1]) ? chosen[1] : "";
            this.more.hidden = !more;
            this.#say(readable.length ? "" : "No evaluation yet: `whittle eval run --help` says how to make one, in the folder that the service is started in.");
            await this.#compare();
        } catch (error) {
            this.#say(error.message, true);
        }
    }

    #say(message, bad = false) {
        this.state.textContent = message;
        this.state.classList.toggle("bad", bad);
    }

    async #compare() {
        const [first, second] = [this.first.value, this.second.value];
        if (!first) return void put(this.shown);
        try {
            const [one, other] = await Promise.all([first, second].map((run) => (run ? call(`/v1/evaluations/${run.split("/").map(encodeURIComponent).join("/")}`) : null)));
            if (first !== this.first.value || second !== this.second.value) return;
            const questions = ({ suite, setting, questions, seed }) => JSON.stringify([suite, setting?.files, questions, seed]);
            const unlike = other && questions(one) !== questions(other);
            this.#say(unlike ? "These runs are of other questions, so that their figures cannot be compared: they stand one below the other." : "", Boolean(unlike));
            const runs = [[first, one], ...(other ? [[second, other]] : [])];
            const origins = new Map(runs);
            put(this.shown, unlike ? runs.flatMap((run) => measured([run])) : measured(runs), [...origins].map(([run, summary]) => origin(run, summary)));
        } catch (error) {
            this.#say(error.message, true);
        }
    }
}

/** Chart and tables of one run, or of two of the same questions. */
function measured(runs) {
    const of = (part) => runs.map(([run, summary]) => [run, summary[part] ?? []]);
    const sets = of("sets");
    return [chart(runs), figures("Methods and rates", of("figures"), FIGURES), sets[0][1].length > 0 && figures("Sets", sets, SET_FIGURES)];
}

/** How many answers are still there, by method and rate. */
function chart(runs) {
    const [one] = runs.map(([, summary]) => summary.figures);
    const key = one.some((it) => it.accuracy) ? "accuracy" : "retention";
    const there = one.filter((it) => it[key] && !LEVELS.includes(it.method));
    const rows = there.map((it, number) => ({
        label: name(it), tick: percent(it.rate, 0), part: there[number - 1]?.method === it.method ? "" : it.method,
        values: runs.map(([, { figures }]) => figures.find((them) => name(them) === name(it))?.[key]?.mean).filter((value) => value !== undefined),
    }));
    if (rows.length === 0) return null;
    const title = key === "accuracy" ? "Right answers" : "Answers still in the prompt";
    const series = runs.map(([run], place) => [run, ["one", "two"][place]]);
    return h("div", { class: "panel" }, h("h2", {}, title), h("p", { class: "muted" }, "Each method at its rates, as in the table."),
        h("div", { class: "narrow" }, bars(`${title}, by method and rate`, series, rows, (value) => percent(value, 0))));
}

/** A table of the figures of `runs`, which are pairs of a name and rows; of two runs, each row with the other's below it. */
function figures(title, runs, wanted) {
    const [[, rows], other] = runs;
    const there = wanted.filter(([, key]) => rows.some((row) => row[key]));
    const beside = (row) => other[1].find((it) => name(it) === name(row));
    const all = rows.flatMap((row) => [{ run: runs[0][0], row }, ...(other ? [{ run: other[0], row: beside(row), above: row }] : [])]);
    const columns = there.map(([heading, key, format, up]) => [heading, ({ row, above }) => (above ? difference(above[key], row?.[key], format, up) : shown(row[key], format)), true]);
    const number = (row) => (row ? count(row.questions ?? row.measured) : "\u2013");
    return h("div", { class: "panel" }, table(title, [["Method and rate", ({ row, above }) => name(above ?? row)], ...(other ? [["Run", ({ run }) => run]] : []),
        ["Questions", ({ row }) => number(row), true], ["Refused", ({ row }) => (row ? count(row.refused) : "\u2013"), true], ...columns], all));
}

/** The other run's figure; it is marked where it is worse and their intervals do not meet. */
function difference(one, other, format, up) {
    if (!other) return "\u2013";
    const worse = one && up !== null && (up ? other.high < one.low : other.low > one.high);
    return worse ? h("span", { class: "bad" }, shown(other, format), " (worse)") : shown(other, format);
}

function origin(run, { suite, seed, made_by: by = { models: [] } }) {
    const rows = [["Suite", suite], ["Seed", String(seed)], ["Version", `${by.version}${by.git_revision ? `, revision ${by.git_revision}` : ""}`], ["Machine", by.machine], ["Models", by.models.join("; ")]];
    return h("div", { class: "panel" }, table(`How ${run} was made`, [["What", ([what]) => what], ["Value", ([, value]) => value]], rows));
}
