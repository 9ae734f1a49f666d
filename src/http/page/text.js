// Kept and dropped text in place.
//
// The service speaks of bytes of UTF-8 and the page's strings have units of UTF-16: a `Source` has both, and cuts the
// text into blocks. A block is drawn anew only where its ranges changed, and laid out only where it is seen, so that a
// move of the slider costs little on long texts too.

import { h } from "./dom.js";

const BLOCK = 4000;
const decoder = new TextDecoder();

/** A text by its bytes. */
export class Source {
    constructor(text) {
        this.text = text;
        this.bytes = new TextEncoder().encode(text);
        this.ascii = this.bytes.length === text.length;
        this.blocks = blocks(this.bytes);
    }

    slice(from, to) {
        return this.ascii ? this.text.slice(from, to) : decoder.decode(this.bytes.subarray(from, to));
    }
}

/** Ends of lines about every `BLOCK` bytes, or white space, or, where there is none, beginnings of characters. */
function blocks(bytes) {
    const found = [];
    let start = 0;
    while (start < bytes.length) {
        let end = Math.min(start + BLOCK, bytes.length);
        if (end < bytes.length) {
            const line = bytes.indexOf(10, end);
            if (line >= 0 && line < end + BLOCK) end = line + 1;
            else {
                while (end < bytes.length && (bytes[end] & 0xc0) === 0x80) end++;
            }
        }
        found.push([start, end]);
        start = end;
    }
    return found;
}

/** Parts of `[from, to)`: `[start, end, isKept]`, of which neighbours differ. */
export function parts(from, to, kept, first) {
    const found = [];
    let at = from;
    let index = first;
    while (at < to) {
        while (index < kept.length && kept[index][1] <= at) index++;
        const range = kept[index];
        if (!range || range[0] >= to) {
            found.push([at, to, false]);
            break;
        }
        if (range[0] > at) found.push([at, range[0], false]);
        const begin = Math.max(range[0], at);
        const end = Math.min(range[1], to);
        found.push([begin, end, true]);
        at = end;
    }
    return { found, index };
}

/** Ranges without gaps that hold white space alone, so that words next to each other are one part. */
export function joined(source, kept) {
    const result = [];
    for (const [start, end] of kept) {
        const last = result[result.length - 1];
        if (last && start - last[1] <= 2 && blank(source.bytes, last[1], start)) last[1] = end;
        else result.push([start, end]);
    }
    return result;
}

function blank(bytes, from, to) {
    for (let at = from; at < to; at++) if (bytes[at] > 32) return false;
    return true;
}

/** Draws texts into `element`, and draws again what changed. */
export class Drawing {
    constructor(element) {
        this.element = element;
        this.documents = [];
    }

    /** `documents` are `{ source, kept, title }`. With `whole` unmarked text is all that is shown. */
    show(documents) {
        const same = documents.length === this.documents.length && documents.every((document, index) => document.source === this.documents[index].source);
        if (!same) this.#build(documents);
        documents.forEach((document, place) => this.#update(document, this.documents[place], place));
    }

    #build(documents) {
        this.documents = documents.map(({ source, title }) => {
            const drawn = source.blocks.map(() => ({ element: h("div", { class: "block" }), key: null }));
            const head = title ? h("p", { class: "document-title" }, title) : null;
            return { source, drawn, head };
        });
        this.element.replaceChildren(...this.documents.flatMap(({ head, drawn }) => [head, ...drawn.map((block) => block.element)].filter(Boolean)));
    }

    #update({ source, kept }, { drawn }, place) {
        let first = 0;
        source.blocks.forEach(([from, to], number) => {
            const { found, index } = parts(from, to, kept, first);
            first = Math.max(0, index - 1);
            const key = found.map(([, end, is]) => (is ? end : -end)).join();
            const block = drawn[number];
            if (block.key === key) return;
            block.key = key;
            block.element.replaceChildren(...found.map(([start, end, is]) => part(source, place, [start, end, is])));
        });
    }
}

function part(source, place, [start, end, kept]) {
    const element = document.createElement(kept ? "span" : "del");
    element.textContent = source.slice(start, end);
    element.dataset.at = `${place}:${start}:${end}`;
    if (kept) element.className = "kept";
    return element;
}
