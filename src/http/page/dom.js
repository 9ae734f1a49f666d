// Elements and figures. Text gets into the page by text nodes alone, so no text can become markup.

/** Makes an element: attributes and listeners from `attributes`, and children, of which strings become text nodes. */
export function h(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    return fill(element, attributes, children);
}

/** The same for SVG. */
export function svg(tag, attributes = {}, ...children) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    return fill(element, attributes, children);
}

function fill(element, attributes, children) {
    for (const [name, value] of Object.entries(attributes)) {
        if (value === undefined || value === null || value === false) continue;
        if (typeof value === "function") element.addEventListener(name, value);
        else if (name === "value" || name === "checked" || name === "disabled") element[name] = value;
        else element.setAttribute(name, value === true ? "" : String(value));
    }
    element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
    return element;
}

export const $ = (selector, root = document) => root.querySelector(selector);
export const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

/** Puts `children` into `element` in place of what is there. */
export function put(element, ...children) {
    element.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
    return element;
}

const whole = new Intl.NumberFormat("en");
export const count = (value) => whole.format(Math.round(value));
/** A number of things, such as `1 document` and `2 documents`. */
export const counted = (value, noun) => `${count(value)} ${noun}${value === 1 ? "" : "s"}`;
export const percent = (share, digits = 1) => `${(100 * share).toFixed(digits)}%`;

export function milliseconds(value) {
    if (value >= 10000) return `${(value / 1000).toFixed(1)} s`;
    return value >= 100 ? `${Math.round(value)} ms` : `${value.toFixed(value >= 10 ? 1 : 2)} ms`;
}

/** Most digits behind the point of a sum. */
const DIGITS = 7;
/** Dollars as they are shown: what rounds to nothing is neither a loss nor a saving. */
export const money = (value) => (Math.abs(value) * 10 ** DIGITS < 0.5 ? 0 : value);

/** Dollars with a true minus sign, and enough digits for small sums. */
export function dollars(value) {
    const size = Math.abs(money(value));
    const digits = size === 0 || size >= 1 ? 2 : Math.min(DIGITS, 1 - Math.floor(Math.log10(size)) + 1);
    return `${money(value) < 0 ? "\u2212" : ""}$${size.toFixed(digits)}`;
}

export function bytes(value) {
    if (value < 1024) return `${value} B`;
    return value < 1 << 20 ? `${(value / 1024).toFixed(1)} KB` : `${(value / (1 << 20)).toFixed(1)} MB`;
}

/** A table with a caption, whose columns are `[title, cell, isNumber]`; a cell gives text or an element. */
export function table(caption, columns, rows, empty = "Nothing yet.") {
    if (rows.length === 0) return h("p", { class: "muted" }, empty);
    const head = h("tr", {}, columns.map(([title, , number]) => h("th", { scope: "col", class: number && "number" }, title)));
    const body = rows.map((row) =>
        h("tr", {}, columns.map(([, cell, number]) => h("td", { class: number && "number" }, cell(row) ?? ""))));
    return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
        h("table", {}, h("caption", {}, caption), h("thead", {}, head), h("tbody", {}, body)));
}

let toastTimer;
/** Says something for a moment, to screen readers too. */
export function toast(message) {
    const place = $("#toast");
    place.textContent = message;
    place.classList.add("said");
    clearTimeout(toastTimer);
    toastTimer = setTimeout(() => place.classList.remove("said"), 4000);
}

/** Copies text; where the browser has no clipboard, shows it to be copied by hand. */
export async function copy(text, what) {
    try {
        await navigator.clipboard.writeText(text);
        toast(`${what} copied`);
    } catch {
        const area = h("textarea", { readonly: true, rows: 12, "aria-label": what });
        area.value = text;
        const close = h("button", { type: "button", click: () => dialog.close() }, "Close");
        const dialog = h("dialog", { close: () => dialog.remove() }, h("p", {}, `The browser does not let the page copy. ${what}:`), area, close);
        document.body.append(dialog);
        dialog.showModal();
        area.select();
    }
}

/** Asks before something is done that cannot be undone. */
export function confirmed(question, action) {
    return new Promise((resolve) => {
        const finish = (answer) => () => { resolve(answer); dialog.close(); };
        const no = h("button", { type: "button", click: finish(false) }, "Cancel");
        const yes = h("button", { type: "button", class: "danger", click: finish(true) }, action);
        const dialog = h("dialog", { "aria-label": question, close: () => { resolve(false); dialog.remove(); } },
            h("p", {}, question), h("p", { class: "row" }, no, yes));
        document.body.append(dialog);
        dialog.showModal();
        no.focus();
    });
}

/** Calls `work` once nothing has called for `pause` milliseconds. */
export function debounced(work, pause) {
    let timer;
    return (...values) => {
        clearTimeout(timer);
        timer = setTimeout(() => work(...values), pause);
    };
}
