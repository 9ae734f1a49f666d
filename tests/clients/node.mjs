// What node's clients see: `openai`, and the AI SDK with its providers for OpenAI and Anthropic. Each result is a line
// of JSON. Usage: node.mjs CLIENT BASE KEY scripted|local|llama

import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { embedMany, generateObject, generateText, streamText, tool } from "ai";
import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

const [client, base, key, place] = process.argv.slice(2);
const [MODEL, EMBEDDER] = {
    scripted: ["gpt-4o", "embed"],
    local: ["local/smollm2-135m-instruct", "all-minilm-l6-v2"],
    llama: ["smollm2-135m-instruct", "smollm2-135m-instruct"],
}[place];
const SCRIPTED = place === "scripted";
const SYSTEM = "Answer in one sentence.";
const PROMPT = "What is the capital of France?";
const Found = z.object({ name: z.string().max(20), count: z.number().int().min(0).max(9) });

const show = (name, value) => console.log(JSON.stringify([name, value ?? null]));

function assert(holds, what) {
    if (!holds) throw new Error(`unexpected: ${what}`);
}

async function all(stream) {
    const pieces = [];
    for await (const piece of stream) pieces.push(piece);
    return pieces;
}

/** What a client makes of an error. */
async function failure(call) {
    try {
        await call();
    } catch (error) {
        const { name, status, code, param, type, requestID, statusCode, responseBody, isRetryable, message } = error;
        return { name, status, code, param, type, request_id: requestID, statusCode, responseBody, isRetryable, message };
    }
    throw new Error("the call should have failed");
}

async function openai() {
    const api = new OpenAI({ baseURL: `${base}/v1`, apiKey: key, maxRetries: 0 });
    const messages = [{ role: "system", content: SYSTEM }, { role: "user", content: PROMPT }];
    const say = { model: MODEL, messages, temperature: 0, max_tokens: 24 };
    const answer = await api.chat.completions.create(say);
    show("chat", answer);
    const chunks = await all(await api.chat.completions.create({ ...say, stream: true }));
    const text = chunks.map((chunk) => chunk.choices[0]?.delta?.content ?? "").join("");
    assert(text === answer.choices[0].message.content, text);
    show("stream", chunks);
    show("events", (await api.chat.completions.stream(say).finalChatCompletion()).choices);
    const ask = { model: MODEL, input: PROMPT, max_output_tokens: 8, temperature: 0 };
    show("response", await api.responses.create(ask));
    show("response stream", await all(await api.responses.create({ ...ask, stream: true })));
    show("embeddings", await api.embeddings.create({ model: EMBEDDER, input: ["a", "b c"] }));
    if (SCRIPTED) {
        const parameters = z.toJSONSchema(Found);
        const tools = [{ type: "function", function: { name: "find", description: "Finds.", parameters } }];
        const call = { ...say, tools, tool_choice: "required", max_tokens: 80 };
        const called = await api.chat.completions.create(call);
        assert(called.choices[0].message.tool_calls[0].function.name === "find", called);
        show("tools", called);
        show("tools stream", await all(await api.chat.completions.create({ ...call, stream: true })));
    }
    if (place !== "local") {
        const format = { ...say, max_tokens: 80, response_format: zodResponseFormat(Found, "found") };
        const structured = await api.chat.completions.parse(format);
        Found.parse(structured.choices[0].message.parsed);
        show("structured", structured);
    }
    if (SCRIPTED) {
        show("models", await all(await api.models.list()));
        for (const status of [400, 401, 403, 404, 422, 429, 500]) {
            const wrong = { ...say, model: `error-${status}` };
            show(`error ${status}`, await failure(() => api.chat.completions.create(wrong)));
        }
        show("slow", await failure(() => api.chat.completions.create({ ...say, model: "slow" }, { timeout: 300 })));
    } else {
        show("unreadable", await failure(() => api.chat.completions.create({ ...say, messages: 7 })));
    }
}

const sdkTools = { find: tool({ description: "Finds.", inputSchema: Found }) };

/** The calls of the AI SDK, for `model` and those that `provider` makes, with structured answers where it `structures`. */
async function sdk(model, provider, structures) {
    const say = { model, system: SYSTEM, prompt: PROMPT, maxOutputTokens: 24, temperature: 0, maxRetries: 0 };
    const answer = await generateText(say);
    assert(answer.text.length > 0, answer);
    const facts = ({ text, finishReason, usage, toolCalls }) => ({ text, finishReason, usage, toolCalls });
    show("text", facts(answer));
    const pieces = (stream) => all(stream).then((parts) => parts.map(({ request, response, ...part }) => part));
    show("stream", await pieces(streamText(say).fullStream));
    if (SCRIPTED) {
        const call = { ...say, tools: sdkTools, toolChoice: "required", maxOutputTokens: 80 };
        const called = await generateText(call);
        assert(called.toolCalls[0].toolName === "find", called);
        show("tools", facts(called));
        show("tools stream", await pieces(streamText(call).fullStream));
    }
    if (structures) {
        show("structured", (await generateObject({ ...say, schema: Found, maxOutputTokens: 80 })).object);
    }
    for (const status of SCRIPTED ? [400, 401, 429, 500] : []) {
        show(`error ${status}`, await failure(() => generateText({ ...say, model: provider(`error-${status}`) })));
    }
    if (SCRIPTED) {
        const late = { ...say, model: provider("slow"), abortSignal: AbortSignal.timeout(300) };
        show("slow", await failure(() => generateText(late)));
    }
}

async function ai() {
    const provider = createOpenAI({ baseURL: `${base}/v1`, apiKey: key });
    await sdk(provider.chat(MODEL), provider.chat, place !== "local");
    const say = { model: provider.responses(MODEL), prompt: PROMPT, maxOutputTokens: 16, temperature: 0, maxRetries: 0 };
    show("response", (await generateText(say)).text);
    show("response stream", await all(streamText(say).textStream));
    const model = provider.embedding(EMBEDDER);
    show("embeddings", (await embedMany({ model, values: ["a", "b c"], maxRetries: 0 })).embeddings);
}

async function aiAnthropic() {
    const provider = createAnthropic({ baseURL: `${base}/v1`, apiKey: key });
    await sdk(provider(SCRIPTED ? "claude" : MODEL), provider, SCRIPTED);
}

await { openai, ai, "ai-anthropic": aiAnthropic }[client]();
