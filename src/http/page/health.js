// How the service is: models, queues, upstreams, stores and caches, told by the service as they change.

import { events, key } from "./api.js";
import { bytes, count, h, put, table } from "./dom.js";

/** Milliseconds before the stream is asked for again. */
const PAUSE = 2000;

const MODELS = { ready: "loaded", idle: "load with the first request that needs them", failed: "could not be had: `whittle models verify` says why" };
const UPSTREAMS = { unknown: "nothing sent yet", up: "up", failing: "failing", unreachable: "cannot be reached" };
const CACHES = { scores: "scores of texts", keys_values: "states of the local model", vectors: "vectors of texts" };

/** A panel that is up to date between `start` and `stop`. */
export class Health {
    constructor() {
        this.state = h("p", { class: "muted", role: "status" });
        this.shown = h("div");
        this.element = h("div", { id: "health" }, h("h2", {}, "Health"), this.state, this.shown);
        // A browser has few connections to a service for all of its tabs: one that nobody sees takes none.
        document.addEventListener("visibilitychange", () => { if (this.wanted) document.hidden ? this.controller.abort() : this.start(); });
    }

    start() {
        this.stop();
        this.wanted = true;
        this.controller = new AbortController();
        this.#follow(this.controller.signal);
    }

    stop() {
        this.wanted = false;
        this.controller?.abort();
    }

    async #follow(signal) {
        let refused = null;
        while (!signal.aborted) {
            // A key that was refused is not sent again and again; another one may be given meanwhile.
            if (refused !== key()) {
                try {
                    await events("/v1/status", (status) => this.#show(status), { signal, quiet: true });
                } catch (error) {
                    if (signal.aborted) return;
                    const denied = error.status === 401 || error.status === 403;
                    this.#say(denied ? "For an administrator's key." : "The service does not answer.");
                    if (denied) refused = key();
                }
            }
            await new Promise((resolve) => { setTimeout(resolve, PAUSE); });
        }
    }

    /** Says what is not said already, which a screen reader would read once more. */
    #say(message) {
        if (this.state.textContent !== message) this.state.textContent = message;
    }

    #show({ version, models, work, upstreams, stores, caches }) {
        this.#say(`whittle ${version}. Changes are shown within a second. Counts are since the service began, those of upstreams since it read its configuration. A failure to serve is no answer in time, or one of 408, 429 or from 500 on.`);
        const rows = [
            ["Models", MODELS[models] ?? models, models === "failed"],
            ["Requests in work or waiting", `${count(work.requests)} (at most ${count(work.concurrency)} at once, ${count(work.queue)} waiting)`, work.requests >= work.concurrency + work.queue],
            ...upstreams.map((it) => [`Upstream ${it.name}`, upstreamText(it), it.state === "failing" || it.state === "unreachable"]),
        ];
        if (stores) {
            rows.push(["Ledger", `${count(stores.ledger_waiting)} entries to be stored, ${count(stores.ledger_lost)} lost`, stores.ledger_lost > 0]);
            rows.push(["Originals for recall", `${bytes(stores.originals_bytes)} stored, ${bytes(stores.originals_waiting)} waiting, ${count(stores.originals_lost)} lost`, stores.originals_lost > 0]);
        }
        for (const it of caches) rows.push([`Cache: ${CACHES[it.name] ?? it.name}`, `${count(it.hits)} found, ${count(it.misses)} not, ${bytes(it.bytes)}`, false]);
        this.#draw(rows);
    }

    /** Changes the cells that are there where only they changed, so that whoever reads the table keeps their place. */
    #draw(rows) {
        const names = rows.map(([name]) => name).join("\n");
        if (this.names !== names) {
            this.names = names;
            put(this.shown, table("Models, queues, upstreams and stores", [["What", ([name]) => name], ["State", ([, value]) => value]], rows));
        }
        this.shown.querySelectorAll("tbody tr").forEach((row, number) => {
            const [, cell] = row.cells;
            const [, value, bad] = rows[number];
            if (cell.textContent !== value) cell.textContent = value;
            cell.classList.toggle("bad", bad);
        });
    }
}

function upstreamText({ dialect, state, answers, failures, last_status: status, last_ms: time, last_time: at }) {
    if (state === "unknown") return `${dialect}: ${UPSTREAMS[state]}`;
    const last = status === null ? "" : `; last answer ${status}${time === null ? "" : ` after ${count(time)} ms`}`;
    return `${dialect}: ${UPSTREAMS[state]}, ${count(answers)} answers, ${count(failures)} failures to serve${last}, ${at.replace("T", " ").slice(0, 19)} UTC`;
}
