// Calls of the service. The key is in the storage of this tab's session alone and is sent in a header, never in an
// address.

const KEY = "whittle-key";

/** An answer that is not a success, or none at all (`status` 0). */
export class Failure extends Error {
    constructor(status, code, message, param) {
        super(message);
        Object.assign(this, { status, code, param });
    }
}

export const key = () => sessionStorage.getItem(KEY) ?? "";

export function setKey(value) {
    if (value) sessionStorage.setItem(KEY, value);
    else sessionStorage.removeItem(KEY);
}

let askForKey = () => Promise.resolve(false);
let onReach = () => {};

/** `ask` shows the dialog for a key; `reach` is told whether the service answers. */
export function connect({ ask, reach }) {
    askForKey = ask;
    onReach = reach;
}

/** The open question for a key: many calls that are refused at once ask once. */
let asking = null;

/**
 * Calls a route. `options` has `method`, `json` or `body` with `type`, `signal`, `quiet` (asks for no key).
 * Gives what the route answers, parsed where it is JSON.
 */
export async function call(path, options = {}) {
    return read(await answered(path, options));
}

/** Calls `take` with the data of each event of a stream until it ends. Takes `signal` and `quiet` as `call` does. */
export async function events(path, take, options = {}) {
    const { body } = await answered(path, { ...options, headers: { accept: "text/event-stream" } });
    for await (const { data } of streamed(body)) take(data);
}

/** As `call`, of a route that tells how far it is: `hear` gets the data of each event before the last. */
export async function callHearing(path, hear, options = {}) {
    const response = await answered(path, { ...options, headers: { accept: "application/json, text/event-stream" } });
    if (!(response.headers.get("content-type") ?? "").startsWith("text/event-stream")) return read(response);
    for await (const { name, data } of streamed(response.body)) {
        if (name === "result") return data;
        if (name === "error") throw new Failure(500, data.error.code ?? data.error.type, data.error.message, data.error.param);
        hear(data);
    }
    throw new Failure(0, "unreachable", "The service ended the connection before its answer.");
}

/** The events of a body, each with its name and its data, which is JSON. */
async function* streamed(body) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    try {
        for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
            const parts = (rest + piece.value).split("\n\n");
            rest = parts.pop();
            for (const part of parts) {
                const field = (name) => part.split("\n").filter((line) => line.startsWith(`${name}:`)).map((line) => line.slice(name.length + 1).trimStart());
                const data = field("data");
                if (data.length) yield { name: field("event")[0], data: JSON.parse(data.join("\n")) };
            }
        }
    } finally {
        await reader.cancel().catch(() => {});
    }
}

/** The answer of a route, which is a success. */
async function answered(path, options) {
    const used = key();
    const response = await send(path, options, used);
    if (response.ok) return response;
    const failure = await failed(response);
    if (response.status !== 401 || options.quiet) throw failure;
    // Another call may have got a new key meanwhile.
    if (key() === used) {
        asking ??= askForKey(used ? "The key was refused: it is unknown, revoked or expired." : "").finally(() => { asking = null; });
        if (!(await asking)) throw failure;
    }
    const again = await send(path, options, key());
    if (again.ok) return again;
    throw await failed(again);
}

async function send(path, { method, json, body, type, signal, headers = {} }, secret) {
    headers = { ...headers };
    if (json !== undefined) {
        body = JSON.stringify(json);
        type = "application/json";
    }
    if (type) headers["content-type"] = type;
    if (secret) headers["x-whittle-key"] = secret;
    try {
        const response = await fetch(path, {
            method: method ?? (body === undefined ? "GET" : "POST"), body, signal, headers,
            credentials: "omit", cache: "no-store", redirect: "error",
        });
        onReach(true);
        return response;
    } catch (error) {
        if (error.name === "AbortError") throw error;
        onReach(false);
        throw new Failure(0, "unreachable", "The service cannot be reached. What you typed stays here; the page tries again by itself.");
    }
}

async function read(response) {
    const type = response.headers.get("content-type") ?? "";
    if (response.status === 204) return null;
    return type.startsWith("application/json") ? response.json() : response.text();
}

async function failed(response) {
    try {
        const { error } = await response.json();
        const failure = new Failure(response.status, error.code ?? error.type, error.message, error.param);
        failure.seconds = Number(response.headers.get("retry-after")) || null;
        return failure;
    } catch {
        return new Failure(response.status, "unreadable", `The service answered with status ${response.status}.`);
    }
}

/** Stores a file with `progress` called with the share that is sent. */
export function upload(path, file, type, progress) {
    return new Promise((resolve, reject) => {
        const request = new XMLHttpRequest();
        request.open("PUT", path);
        request.setRequestHeader("content-type", type);
        if (key()) request.setRequestHeader("x-whittle-key", key());
        request.upload.addEventListener("progress", (event) => event.lengthComputable && progress(event.loaded / event.total));
        request.addEventListener("error", () => reject(new Failure(0, "unreachable", "The service cannot be reached, or refused the file before it was sent.")));
        request.addEventListener("load", () => {
            let answer = null;
            try { answer = JSON.parse(request.responseText); } catch { /* An empty answer. */ }
            if (request.status < 300) return resolve(answer);
            const error = answer?.error ?? {};
            reject(new Failure(request.status, error.code, error.message ?? `The service answered with status ${request.status}.`));
        });
        request.send(file);
    });
}

const TYPES = {
    txt: "text/plain", text: "text/plain", log: "text/plain", json: "text/plain", jsonl: "text/plain", toml: "text/plain",
    yaml: "text/plain", yml: "text/plain", xml: "text/plain", diff: "text/plain", patch: "text/plain",
    md: "text/markdown", markdown: "text/markdown", html: "text/html", htm: "text/html", pdf: "application/pdf",
    csv: "text/csv", tsv: "text/tab-separated-values", eml: "message/rfc822", epub: "application/epub+zip",
    docx: "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    xlsx: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    pptx: "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ods: "application/vnd.oasis.opendocument.spreadsheet",
    rs: "text/x-source", py: "text/x-source", js: "text/x-source", ts: "text/x-source", go: "text/x-source",
    java: "text/x-source", c: "text/x-source", h: "text/x-source", cpp: "text/x-source", sh: "text/x-source",
};

/** The media type that a file is sent as: by its name, else as text. */
export function mediaType(name) {
    return TYPES[name.split(".").pop().toLowerCase()] ?? "text/plain";
}
