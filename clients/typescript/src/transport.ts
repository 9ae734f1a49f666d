import { ConnectionError, ResponseError, StatusError, TimeoutError, type WhittleError } from "./errors.js";

/** Where the service is, and how it is called. */
export interface ClientOptions {
    /** The address of the service. */
    baseUrl?: string;
    /** A key of whittle, where the service asks for one. */
    apiKey?: string;
    /** The milliseconds that an attempt may take until its response is there; 120,000 by default. */
    timeoutMs?: number;
    /** How often a call is tried again after 429, 502, 503, 504 or a failed connection; 2 by default. */
    retries?: number;
    /** The longest pause between attempts. Where the service asks for a longer one, the error is thrown at once. */
    longestPauseMs?: number;
    /** Headers of all requests. */
    headers?: Record<string, string>;
    /** The function that sends requests; by default the global one. */
    fetch?: typeof fetch;
}

/** What one call may have of its own. */
export interface CallOptions {
    /** Ends the call. */
    signal?: AbortSignal;
    /** As in `ClientOptions`. */
    timeoutMs?: number;
    /** The milliseconds after which the service gives up. */
    deadlineMs?: number;
}

type Query = Record<string, string | number | boolean | undefined>;

/** What is sent. */
export interface Call {
    method: string;
    path: string;
    query?: Query;
    json?: unknown;
    content?: BodyInit;
    contentType?: string;
}

const RETRIED = new Set([429, 502, 503, 504]);
// Errors that stay until somebody does something about the service.
const LASTING = new Set(["model_unavailable"]);
const FIRST_PAUSE_MS = 250;

/** Sends calls, and tries again those that may succeed later. */
export class Transport {
    readonly baseUrl: string;
    readonly #options: Required<Omit<ClientOptions, "apiKey" | "baseUrl">>;

    constructor(options: ClientOptions) {
        this.baseUrl = (options.baseUrl ?? "http://127.0.0.1:8787").replace(/\/+$/, "");
        const key: Record<string, string> = options.apiKey === undefined ? {} : { "x-whittle-key": options.apiKey };
        this.#options = {
            timeoutMs: options.timeoutMs ?? 120_000,
            retries: options.retries ?? 2,
            longestPauseMs: options.longestPauseMs ?? 30_000,
            headers: { accept: "application/json", ...key, ...options.headers },
            fetch: options.fetch ?? ((input, init) => fetch(input, init)),
        };
    }

    /** Sends a call and returns the JSON of its response; undefined where that is empty. */
    async json<T>(call: Call, options: CallOptions = {}): Promise<T> {
        const response = await this.send(call, options);
        const text = await this.#reading(call, options, () => response.text());
        if (text === "") return undefined as T;
        try {
            return JSON.parse(text) as T;
        } catch (error) {
            throw new ResponseError(`${call.method} ${call.path}: ${String(error)}`, { cause: error });
        }
    }

    /** Sends a call and returns the bytes of its response as they arrive. */
    async stream(call: Call, options: CallOptions = {}): Promise<ReadableStream<Uint8Array>> {
        const response = await this.send(call, options);
        if (response.body === null) throw new ResponseError(`${call.method} ${call.path}: there is no body`);
        return response.body as ReadableStream<Uint8Array>;
    }

    /** Sends a call until it succeeds, or throws the error of the last attempt. */
    async send(call: Call, options: CallOptions = {}): Promise<Response> {
        for (let attempt = 0; ; attempt++) {
            let error: WhittleError;
            try {
                const response = await this.#attempt(call, options);
                if (response.ok) return response;
                error = await this.#reading(call, options, () => StatusError.of(response));
            } catch (thrown) {
                if (!(thrown instanceof ConnectionError)) throw thrown;
                error = thrown;
            }
            const pause = this.#pause(call, attempt, error);
            if (pause === undefined) throw error;
            await sleep(pause, options.signal);
        }
    }

    async #attempt(call: Call, options: CallOptions): Promise<Response> {
        const timeout = new AbortController();
        const milliseconds = options.timeoutMs ?? this.#options.timeoutMs;
        const timer = setTimeout(() => timeout.abort(), milliseconds);
        const signals = options.signal ? [timeout.signal, options.signal] : [timeout.signal];
        try {
            return await this.#options.fetch(this.#url(call), this.#init(call, options, AbortSignal.any(signals)));
        } catch (error) {
            options.signal?.throwIfAborted();
            const place = `${call.method} ${this.baseUrl}${call.path}`;
            if (timeout.signal.aborted) throw new TimeoutError(`${place}: no answer within ${milliseconds} ms`, { cause: error });
            throw new ConnectionError(`${place}: ${reason(error)}`, { cause: error });
        } finally {
            clearTimeout(timer);
        }
    }

    #url(call: Call): string {
        const query = new URLSearchParams();
        for (const [key, value] of Object.entries(call.query ?? {})) if (value !== undefined) query.set(key, String(value));
        return `${this.baseUrl}${call.path}${query.size > 0 ? `?${query}` : ""}`;
    }

    #init(call: Call, options: CallOptions, signal: AbortSignal): RequestInit {
        const headers: Record<string, string> = { ...this.#options.headers };
        if (options.deadlineMs !== undefined) headers["x-whittle-deadline-ms"] = String(options.deadlineMs);
        const init: RequestInit & { duplex?: "half" } = { method: call.method, headers, signal };
        if (call.json !== undefined) {
            headers["content-type"] = "application/json";
            init.body = JSON.stringify(call.json);
        } else if (call.content !== undefined) {
            headers["content-type"] = call.contentType ?? "application/octet-stream";
            init.body = call.content;
            if (call.content instanceof ReadableStream) init.duplex = "half";
        }
        return init;
    }

    /** The milliseconds before another attempt; undefined where there is to be none. */
    #pause(call: Call, attempt: number, error: WhittleError): number | undefined {
        if (attempt >= this.#options.retries || error instanceof TimeoutError || call.content instanceof ReadableStream) return undefined;
        if (error instanceof ConnectionError && !refused(error)) return undefined;
        const longest = this.#options.longestPauseMs;
        if (error instanceof StatusError) {
            if (!RETRIED.has(error.status) || LASTING.has(error.code ?? "")) return undefined;
            if (error.retryAfter !== undefined) return error.retryAfter * 1000 <= longest ? error.retryAfter * 1000 : undefined;
        }
        return Math.min(FIRST_PAUSE_MS * 2 ** attempt, longest) * (0.5 + Math.random() / 2);
    }

    async #reading<T>(call: Call, options: CallOptions, read: () => Promise<T>): Promise<T> {
        try {
            return await read();
        } catch (error) {
            options.signal?.throwIfAborted();
            throw new ConnectionError(`${call.method} ${this.baseUrl}${call.path}: ${reason(error)}`, { cause: error });
        }
    }
}

/** Whether there was no connection, so that nothing was sent. */
function refused(error: ConnectionError): boolean {
    const cause = (error.cause as { cause?: { code?: string } } | undefined)?.cause;
    return ["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "EHOSTUNREACH", "ENETUNREACH", "UND_ERR_CONNECT_TIMEOUT"].includes(cause?.code ?? "");
}

function reason(error: unknown): string {
    const cause = (error as { cause?: unknown }).cause;
    return cause === undefined ? String(error) : `${String(error)} (${String(cause)})`;
}

function sleep(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
        signal?.throwIfAborted();
        const stop = () => {
            clearTimeout(timer);
            reject(signal?.reason);
        };
        const timer = setTimeout(() => {
            signal?.removeEventListener("abort", stop);
            resolve();
        }, milliseconds);
        signal?.addEventListener("abort", stop, { once: true });
    });
}
