// The frame: which view is shown, the key, and whether the service answers.

import { connect, key, setKey } from "./api.js";
import { $, $$, h } from "./dom.js";
import { playground } from "./playground.js";

/** The views besides the playground; each is fetched when it is first shown. */
const VIEWS = {
    dashboard: () => import("./dashboard.js"),
    collections: () => import("./collections.js"),
    evaluations: () => import("./evaluations.js"),
    keys: () => import("./keys.js"),
};

const started = {};
let current = null;

/** The view and settings that the address names, such as `#playground?rate=40`. */
function place() {
    const [view, query] = location.hash.slice(1).split("?");
    return { view: view in VIEWS || view === "playground" ? view : "playground", query: new URLSearchParams(query ?? "") };
}

async function show() {
    const { view, query } = place();
    for (const link of $$("nav a[data-view]")) {
        if (link.dataset.view === view) link.setAttribute("aria-current", "page");
        else link.removeAttribute("aria-current");
    }
    if (current !== view) started[current]?.leave?.();
    const changed = current !== null && current !== view;
    current = view;
    document.title = `${$(`nav a[data-view="${view}"]`).textContent} \u2013 Whittle`;
    // No id is the address of a view, or the browser would scroll to it.
    const id = `view-${view}`;
    if (!$(`#${id}`)) $("#main").append(h("section", { id }));
    for (const section of $$("main > section")) section.hidden = section.id !== id;
    try {
        started[view] ??= view === "playground" ? playground() : (await VIEWS[view]()).view($(`#${id}`));
    } catch {
        $(`#${id}`).replaceChildren(h("p", { class: "bad", role: "alert" }, "This part of the page could not be loaded. Is the service running? Load the page again."));
        return;
    }
    if (current !== view) return;
    started[view].enter?.(query);
    if (changed) $("#main").focus({ preventScroll: true });
}

/** Asks for the key. Gives whether there is one now. */
function askForKey(reason) {
    const dialog = $("#key-dialog");
    const field = $("#key-value");
    if (dialog.open) return Promise.resolve(false);
    $("#key-reason").textContent = reason;
    field.value = "";
    dialog.returnValue = "cancel";
    dialog.showModal();
    field.focus();
    return new Promise((resolve) => {
        dialog.addEventListener("close", () => {
            const value = field.value.trim();
            field.value = "";
            if (dialog.returnValue === "forget") setKey("");
            if (dialog.returnValue === "use" && value) setKey(value);
            showKey();
            resolve(dialog.returnValue === "use" && value !== "");
        }, { once: true });
    });
}

function showKey() {
    $("#key").textContent = key() ? "Key: set" : "Key";
}

let away = false;
let retry;

/** Says when the service is away, looks whether it is back, and then has the view try again. */
function reach(answers) {
    if (answers === !away) return;
    away = !answers;
    $("#reach").textContent = away ? "Service away" : "";
    clearInterval(retry);
    if (away) {
        retry = setInterval(async () => {
            try {
                await fetch("/healthz", { cache: "no-store" });
                reach(true);
                started[current]?.back?.();
            } catch { /* It is away still. */ }
        }, 1000);
    }
}

connect({
    ask: (reason) => askForKey(reason || "This service needs a key."),
    reach,
});
$("#key").addEventListener("click", async () => {
    if (await askForKey("")) started[current]?.back?.();
});
addEventListener("hashchange", show);
addEventListener("unhandledrejection", (event) => { if (event.reason?.name === "AbortError") event.preventDefault(); });
showKey();
show();
