// Compares what the TypeScript client returns with what the HTTP API of the real service answers, and runs the AI SDK with
// its middleware in front of a scripted upstream. WHITTLE is the path of the program.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

import { createOpenAI } from "@ai-sdk/openai";
import { generateText, stepCountIs, streamText, tool, wrapLanguageModel } from "ai";
import { ConnectionError, ResponseError, StatusError, TimeoutError, Whittle, WhittleError } from "whittle-client";
import { whittleMiddleware } from "whittle-client/ai-sdk";
import { z } from "zod";

const BRIDGE = "The bridge at Harbour Street was opened on 3 May 1987 after four years of work. It is not open to lorries over 7.5 t. " +
    "The town has two libraries, both of which close at 6 p.m. on weekdays.";
const UNICODE = "Die Brücke 橋 wurde 1987 eröffnet. Ärger mit Ölfässern gab es nie 🌉. Два слова о погоде: было тепло.";
const ASK = "When was the bridge opened?";
const LOG = Array.from({ length: 120 }, (_, n) => `12:${n} request ${n} of the harbour office took ${(n * 7) % 90} ms and was answered.\n`).join("");
const OWN_IDS = /^(cmp|prompt|rank)-/;

/** A result without the ids and times of its own. */
function scrubbed(value) {
    if (Array.isArray(value)) return value.map(scrubbed);
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => {
        const own = ["timing_ms", "seconds", "tokens_per_second"].includes(key) || (key === "id" && OWN_IDS.test(item));
        return [key, own ? 0 : scrubbed(item)];
    }));
}

/** Starts the service and returns its address and how to stop it. */
async function serve(config = "", environment = {}) {
    const folder = mkdtempSync(join(tmpdir(), "whittle-"));
    writeFileSync(join(folder, "whittle.toml"), config);
    const own = { ...process.env, WHITTLE_DATA_DIR: folder, ...environment };
    delete own.WHITTLE;
    const program = spawn(process.env.WHITTLE, ["serve", "--listen", "127.0.0.1:0", "--config", join(folder, "whittle.toml")],
        { env: own, stdio: ["ignore", "ignore", "pipe"] });
    const ended = once(program, "exit");
    for await (const line of createInterface({ input: program.stderr })) {
        if (!line.includes("listening on ")) continue;
        program.stderr.resume();
        const stop = async () => {
            program.kill("SIGTERM");
            const [code] = await ended;
            rmSync(folder, { recursive: true });
            assert.equal(code, 0);
        };
        return { base: line.split("listening on ")[1].trim(), folder, stop };
    }
    throw new Error("whittle did not start");
}

/** An upstream on a port of its own. */
async function listen(handler) {
    const server = createServer(handler);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const stop = () => {
        server.closeAllConnections();
        server.close();
    };
    return { base: `http://127.0.0.1:${server.address().port}`, stop };
}

let service, client;
let compared = 0, equal = 0;

/** What the HTTP API answers, without the package. */
async function api(method, path, json, headers = {}) {
    const body = json === undefined || typeof json === "string" ? json : JSON.stringify(json);
    const response = await fetch(service.base + path, { method, body, headers: { "content-type": "application/json", ...headers } });
    const text = await response.text();
    assert.ok(response.ok, text);
    return text === "" ? undefined : JSON.parse(text);
}

/** Counts a result that must equal the answer of the HTTP API to the same request. */
async function same(result, method, path, json) {
    equals(scrubbed(await result), scrubbed(await api(method, path, json)));
}

function equals(seen, expected) {
    compared += 1;
    assert.deepEqual(seen, expected);
    equal += 1;
}

before(async () => {
    service = await serve();
    client = new Whittle({ baseUrl: service.base });
});

after(async () => {
    await service.stop();
    console.log(`${compared} calls compared with the HTTP API, ${equal} equal`);
});

test("the types are in step with the service", () => {
    execFileSync("node", [process.env.TYPES, service.base, "--check"]);
});

test("texts", async () => {
    const chat = [{ role: "user", content: BRIDGE }, { role: "assistant", content: null, tool_calls: [] }, { role: "user", content: ASK }];
    const requests = [
        { context: BRIDGE, rate: 0.5 }, { context: UNICODE, question: ASK, target_tokens: 30 },
        { documents: [{ id: "a", text: BRIDGE, metadata: { n: null } }, { text: UNICODE, compress: false }], question: ASK, rate: 0.7 },
        { sections: [{ text: BRIDGE, rate: 0.3 }, { text: UNICODE, compress: false }], rate: 0.8 }, { messages: chat, rate: 0.8 },
        { json: { text: JSON.stringify({ a: BRIDGE }), keys: { a: { rate: 0.5 } } }, rate: 0.7 },
        { context: BRIDGE, rate: 0.5, return: ["words", "scores"], options: { force_words: ["libraries"], marks: false } },
    ];
    for (const request of requests) await same(client.compress(request), "POST", "/v1/compress", request);
    const together = await Promise.all(requests.map((request) => client.compress(request)));
    for (const [place, request] of requests.entries()) await same(together[place], "POST", "/v1/compress", request);
    const recover = { response: "Opened 3 May", documents: [{ text: BRIDGE, kept: together[0].documents[0].kept }] };
    await same(client.recover(recover), "POST", "/v1/recover", recover);
    await same(client.score({ text: UNICODE }), "POST", "/v1/score", { text: UNICODE });
    for (const input of ["a", ["a", "b"], [9906], [[9906], [1917]]]) await same(client.embeddings({ input }), "POST", "/v1/embeddings", { input });
    const rerank = { query: ASK, documents: [BRIDGE, { text: UNICODE }], top_n: 1 };
    await same(client.rerank(rerank), "POST", "/v1/rerank", rerank);
    await same(client.models(), "GET", "/v1/models");
    await same(client.usage({ since: "2026-01-01", until: "2026-01-02" }), "GET", "/v1/usage?since=2026-01-01&until=2026-01-02");
    await same(client.ready(), "GET", "/readyz");
});

test("collections", async () => {
    const own = client.collections, path = "/v1/collections/town";
    await own.create("town", { chunking: { tokens: 64, overlap: 8 } });
    const documents = [{ id: "bridge", text: BRIDGE, metadata: { year: 1987 } }, { id: "brücke/1 ?#%", title: "B", text: UNICODE }];
    assert.equal((await own.upsert("town", { documents })).added, 2);
    assert.equal((await own.putFile("town", "notes.md", "# Notizen\n\nÖl.", { title: "N", metadata: { year: 1 }, score: true })).scored, 1);
    for (const id of ["bridge", "brücke/1 ?#%", "notes.md"]) await same(own.document("town", id), "GET", `${path}/documents/${encodeURIComponent(id)}`);
    await same(own.documents("town", { limit: 2 }), "GET", `${path}/documents?from=0&limit=2`);
    for (const search of [{}, { mode: "lexical", top_k: 1 }, { filter: { field: "year", gte: 1980 }, rerank: 2 }])
        await same(own.search("town", ASK, search), "POST", `${path}/search`, { query: ASK, ...search });
    const prompt = { question: ASK, collections: ["town"], target_tokens: 150, format: "messages" };
    await same(client.prompt(prompt), "POST", "/v1/prompt", prompt);
    const ids = [];
    for await (const document of own.export("town")) ids.push(document.id);
    assert.deepEqual(ids.sort(), ["bridge", "brücke/1 ?#%", "notes.md"].sort());
    for await (const document of own.export("town")) if (document) break;
    await same(own.restore("copy", await own.snapshot("town")), "GET", "/v1/collections/copy");
    await same(own.describe("town"), "GET", path);
    await same(own.list(), "GET", "/v1/collections");
    assert.equal((await own.deleteDocument("town", "brücke/1 ?#%")).deleted, 1);
    assert.equal((await own.deleteDocuments("town", { ids: ["bridge"] })).deleted, 1);
    assert.equal(await own.delete("town"), undefined);
    await own.delete("copy");
});

test("banks of examples", async () => {
    const own = client.exampleBanks, path = "/v1/example-banks/sums";
    const examples = [{ id: "a/1", question: "What is 1 + 1?", answer: "2" }, { id: "b", question: "Wie viel ist 2 + 2?", answer: "4" }];
    assert.equal((await own.add("sums", { examples })).added, 2);
    await same(own.list(), "GET", "/v1/example-banks");
    await same(own.describe("sums"), "GET", path);
    await same(own.examples("sums", { limit: 1 }), "GET", `${path}/examples?from=0&limit=1`);
    await same(own.example("sums", "a/1"), "GET", `${path}/examples/a%2F1`);
    await same(own.select("sums", "What is 1 + 3?", { count: 1 }), "POST", `${path}/select`, { question: "What is 1 + 3?", count: 1 });
    assert.equal((await own.deleteExample("sums", "b")).deleted, 1);
    await own.delete("sums");
});

test("errors", async () => {
    const refused = (call, facts) => assert.rejects(call, (error) => {
        assert.ok(error instanceof StatusError && error.requestId !== undefined, String(error));
        assert.deepEqual(Object.fromEntries(Object.keys(facts).map((key) => [key, error[key]])), facts);
        return true;
    });
    await refused(client.compress({ context: "", rate: 0.5 }),
        { name: "StatusError", status: 400, type: "invalid_request_error", code: "empty_input", param: "documents" });
    await refused(client.compress({ context: "x ".repeat(9_000_000), rate: 0.5 }), { status: 413, code: "body_too_large" });
    await refused(client.compress({ context: BRIDGE, bogus: 1 }), { status: 400, code: "unknown_field", param: "bogus" });
    await refused(client.collections.describe("none"), { status: 404, code: "collection_not_found" });
    await refused(client.collections.document("none", "../../v1/models"), { status: 404, code: "collection_not_found" });
    await assert.rejects(client.collections.describe(".."), WhittleError);
    const nobody = await listen(() => {});
    nobody.stop();
    await assert.rejects(new Whittle({ baseUrl: nobody.base, longestPauseMs: 10 }).models(), ConnectionError);
    await assert.rejects(client.compress({ context: "some words, ".repeat(20_000), rate: 0.5 }, { timeoutMs: 20 }), TimeoutError);
    const controller = new AbortController();
    const call = client.compress({ context: "some words, ".repeat(20_000), rate: 0.5 }, { signal: controller.signal });
    setTimeout(() => controller.abort(new Error("enough")), 20);
    await assert.rejects(call, /enough/);
});

test("keys, retries and what passes through from an upstream", async () => {
    const attempts = [];
    const upstream = await listen(async (request, response) => {
        const name = request.url.split("/").at(-1);
        attempts.push(name);
        const bad = name === "page" || (name === "recovers" && attempts.filter((other) => other === name).length < 3);
        if (name === "slow") await sleep(2000);
        if (name === "broken") return void response.writeHead(200, { "content-length": "100" }).write("{", () => response.destroy());
        response.writeHead(bad ? 502 : 200, { "content-type": bad ? "text/html" : "application/json" });
        response.end(bad ? "<html>Bad gateway</html>" : name === "text" ? "no JSON" : '{"ok": true}');
    });
    const config = `[[upstreams]]\nname = "up"\ndialect = "openai"\nbase_url = "${upstream.base}"\nretries = 0\nmodels = ["m"]\n`;
    const other = await serve(config);
    const own = new Whittle({ baseUrl: other.base, longestPauseMs: 400 });
    const get = (name, options) => own.request("GET", `/upstreams/up/${name}`, undefined, options);
    try {
        assert.deepEqual(await get("recovers"), { ok: true });
        assert.deepEqual(attempts, ["recovers", "recovers", "recovers"]);
        attempts.length = 0;
        await assert.rejects(get("page"), (error) => error.status === 502 && error.type === undefined && error.body === "<html>Bad gateway</html>");
        assert.equal(attempts.length, 3);
        await assert.rejects(get("text"), ResponseError);
        await assert.rejects(get("slow", { timeoutMs: 100 }), TimeoutError);
        await assert.rejects(get("broken"), ConnectionError);
        const environment = { ...process.env, WHITTLE_DATA_DIR: other.folder };
        delete environment.WHITTLE;
        delete environment.TYPES;
        const create = (...more) => execFileSync(process.env.WHITTLE, ["keys", "create", ...more], { env: environment, encoding: "utf8" }).trim();
        const secret = create("one", "--requests-per-minute", "1");
        await assert.rejects(own.models(), (error) => error.status === 401);
        const owner = new Whittle({ baseUrl: other.base, apiKey: secret, longestPauseMs: 400 });
        const chat = { model: "local/smollm2-135m-instruct", max_tokens: 1, messages: [{ role: "user", content: "Hi" }] };
        assert.ok((await owner.request("POST", "/v1/chat/completions", chat)).choices);
        await assert.rejects(owner.request("POST", "/v1/chat/completions", chat), (error) => error.status === 429 && error.retryAfter > 0.5);
    } finally {
        await other.stop();
        upstream.stop();
    }
});

test("the middleware of the AI SDK", async () => {
    const bodies = [];
    const upstream = await listen(async (request, response) => {
        let text = "";
        for await (const piece of request) text += piece;
        const body = JSON.parse(text);
        bodies.push(body);
        const call = body.tools && !body.messages.some((message) => message.role === "tool");
        const function_ = { name: "read_log", arguments: "{}" };
        const message = call ? { role: "assistant", content: null, tool_calls: [{ id: "c1", type: "function", function: function_ }] } :
            { role: "assistant", content: "Done." };
        const base = { id: "chatcmpl-1", created: 1, model: body.model };
        if (body.stream) {
            response.writeHead(200, { "content-type": "text/event-stream" });
            const chunk = { ...base, object: "chat.completion.chunk", choices: [{ index: 0, delta: message, finish_reason: "stop" }] };
            return response.end(`data: ${JSON.stringify(chunk)}\n\ndata: [DONE]\n\n`);
        }
        response.writeHead(200, { "content-type": "application/json" });
        response.end(JSON.stringify({ ...base, object: "chat.completion", usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
            choices: [{ index: 0, message, finish_reason: call ? "tool_calls" : "stop" }] }));
    });
    const openai = createOpenAI({ baseURL: `${upstream.base}/v1`, apiKey: "none" });
    const wrapped = (own, options) => wrapLanguageModel({ model: openai.chat("gpt-4o"), middleware: whittleMiddleware(own, options) });
    const expected = (await api("POST", "/v1/compress", { documents: [{ text: LOG }], question: ASK, rate: 0.3 })).documents[0].text;
    const tools = { read_log: tool({ description: "Reads the log.", inputSchema: z.object({}), execute: async () => LOG }) };
    const contents = () => bodies.at(-1).messages.map((message) => message.content);
    try {
        const model = wrapped(client, { compress: { rate: 0.3 } });
        const answer = await generateText({ model, tools, prompt: ASK, stopWhen: stepCountIs(3) });
        assert.equal(answer.text, "Done.");
        equals(contents(), [ASK, null, expected].map((text, place) => place === 1 ? contents()[1] : text));
        const history = [{ role: "user", content: ASK }, ...answer.response.messages, { role: "user", content: "And what else?" }];
        await generateText({ model, tools, messages: history });
        equals(bodies.at(-1).messages.find((message) => message.role === "tool").content, expected);
        const chat = [{ role: "user", content: LOG }, { role: "assistant", content: "Read." }, { role: "user", content: ASK }];
        const { textStream } = streamText({ model: wrapped(client, { compress: { rate: 0.3 } }), messages: chat });
        assert.equal((await all(textStream)).join(""), "Done.");
        equals(contents(), [expected, "Read.", ASK]);
        const errors = [];
        const down = new Whittle({ baseUrl: "http://127.0.0.1:9", retries: 0 });
        await generateText({ model: wrapped(down, { onError: (error) => errors.push(error) }), messages: chat });
        assert.deepEqual(contents(), [LOG, "Read.", ASK]);
        assert.ok(errors.length === 1 && errors[0] instanceof ConnectionError);
    } finally {
        upstream.stop();
    }
});

test("the examples of the README", async () => {
    const upstream = await listen((request, response) => request.resume().on("end", () => {
        const message = { role: "assistant", content: "Hello!" };
        response.writeHead(200, { "content-type": "application/json" });
        response.end(JSON.stringify({ id: "chatcmpl-1", object: "chat.completion", created: 1, model: "gpt-4o-mini",
            choices: [{ index: 0, message, finish_reason: "stop" }], usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 } }));
    }));
    const blocks = [...readFileSync(process.env.README, "utf8").matchAll(/^```js\n(.*?)^```$/gms)].map((match) => match[1]);
    assert.equal(blocks.length, 2);
    try {
        for (const [place, block] of blocks.entries()) {
            const file = join(import.meta.dirname, `readme-${place}.mjs`);
            const own = block.replace("http://127.0.0.1:8787", service.base)
                .replace("createOpenAI()", `createOpenAI({ baseURL: "${upstream.base}/v1", apiKey: "none" })`);
            writeFileSync(file, `${own}\nexport const result = ${place === 0 ? "answer.prompt" : "text"};\n`);
            assert.match((await import(file)).result, place === 0 ? /3 May 1987/ : /^Hello!$/);
        }
    } finally {
        upstream.stop();
    }
});

async function all(stream) {
    const pieces = [];
    for await (const piece of stream) pieces.push(piece);
    return pieces;
}
