import type { LanguageModelMiddleware } from "ai";
import { WhittleError } from "./errors.js";
import type { Whittle } from "./client.js";
import type { CompressRequest } from "./types.js";

type Params = Parameters<NonNullable<LanguageModelMiddleware["transformParams"]>>[0]["params"];
type Prompt = Params["prompt"];
type Message = Prompt[number];
type ToolMessage = Extract<Message, { role: "tool" }>;
type ToolPart = ToolMessage["content"][number];
type Shorten = (text: string) => Promise<string>;

/** How long texts of messages become smaller. */
export interface MiddlewareOptions {
    /** Shorter texts are left alone; 4,000 by default. */
    minCharacters?: number;
    /** The roles whose texts become smaller, by default `tool` and `user`. The last message of the user stays. */
    roles?: ("tool" | "user" | "assistant")[];
    /** Members of the request besides the text and the question; by default `{ rate: 0.5 }`. */
    compress?: Omit<CompressRequest, "documents" | "context" | "question">;
    /** The number of texts whose result is kept. */
    remembered?: number;
    /** Called where a text goes on as it is because the service failed; by default a warning is written. */
    onError?: (error: WhittleError) => void;
}

/**
 * Makes long texts of messages smaller before each call of a model, for `wrapLanguageModel` of the AI SDK.
 *
 * A text is made smaller once, for the question that the user had asked last. It is the same in later calls, so that the
 * model's prompt cache holds. Where the service fails, the text goes on as it is.
 */
export function whittleMiddleware(client: Whittle, options: MiddlewareOptions = {}): LanguageModelMiddleware {
    const texts = new TextCompressor(client, options);
    const roles = new Set<string>(options.roles ?? ["tool", "user"]);
    return {
        specificationVersion: "v3",
        transformParams: async ({ params }) => {
            const last = params.prompt.findLastIndex((message) => message.role === "user");
            const prompt: Prompt = [];
            for (const [place, message] of params.prompt.entries()) {
                const question = questionOf(params.prompt.slice(0, place)) ?? questionOf(params.prompt);
                const shorten: Shorten = (text) => texts.compress(text, question);
                prompt.push(roles.has(message.role) && place !== last ? await shortened(message, shorten) : message);
                // Not handed to the calls, which others may be waiting for too.
                params.abortSignal?.throwIfAborted();
            }
            return { ...params, prompt };
        },
    };
}

async function shortened(message: Message, shorten: Shorten): Promise<Message> {
    if (message.role === "system") return message;
    if (message.role === "tool") return { ...message, content: await Promise.all(message.content.map((part) => result(part, shorten))) };
    const content = await Promise.all(message.content.map(async (part) =>
        part.type === "text" ? { ...part, text: await shorten(part.text) } : part));
    return { ...message, content } as Message;
}

async function result(part: ToolPart, shorten: Shorten): Promise<ToolPart> {
    if (part.type !== "tool-result") return part;
    const { output } = part;
    if (output.type === "text") return { ...part, output: { ...output, value: await shorten(output.value) } };
    if (output.type !== "content") return part;
    const value = await Promise.all(output.value.map(async (item) =>
        item.type === "text" ? { ...item, text: await shorten(item.text) } : item));
    return { ...part, output: { ...output, value } };
}

/** The words of the last message of the user. */
function questionOf(prompt: Prompt): string | undefined {
    const message = prompt.findLast((message) => message.role === "user");
    const text = message?.content.map((part) => (part.type === "text" ? part.text : "")).join("\n").trim();
    return text === "" ? undefined : text;
}

class TextCompressor {
    readonly #results = new Map<string, Promise<string>>();

    constructor(private readonly client: Whittle, private readonly options: MiddlewareOptions) {}

    compress(text: string, question: string | undefined): Promise<string> {
        if (text.length < (this.options.minCharacters ?? 4000)) return Promise.resolve(text);
        const known = this.#results.get(text);
        if (known) return known;
        const made = this.#made(text, question);
        this.#results.set(text, made);
        // What failed is tried again with the next call.
        void made.then((short) => short === text && this.#results.delete(text), () => this.#results.delete(text));
        const oldest = this.#results.keys().next();
        if (this.#results.size > (this.options.remembered ?? 1000) && !oldest.done) this.#results.delete(oldest.value);
        return made;
    }

    async #made(text: string, question: string | undefined): Promise<string> {
        const settings = this.options.compress ?? {};
        const budget = settings.rate === undefined && settings.target_tokens === undefined ? { rate: 0.5 } : {};
        try {
            const request = { ...budget, ...settings, documents: [{ text }], ...(question === undefined ? {} : { question }) };
            const response = await this.client.compress(request);
            return response.documents[0]?.text ?? text;
        } catch (error) {
            if (!(error instanceof WhittleError)) throw error;
            const report = this.options.onError ?? ((error) => console.warn(`whittle: a text goes on as it is: ${error.message}`));
            report(error);
            return text;
        }
    }
}
