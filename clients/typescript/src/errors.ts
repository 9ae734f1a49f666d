/** The base of all errors of this package. */
export class WhittleError extends Error {
    override name = "WhittleError";
}

/** The service could not be reached, or the connection broke. */
export class ConnectionError extends WhittleError {
    override name = "ConnectionError";
}

/** The service did not answer in time. */
export class TimeoutError extends ConnectionError {
    override name = "TimeoutError";
}

/** The service answered with success, but with something else than its API promises. */
export class ResponseError extends WhittleError {
    override name = "ResponseError";
}

/** The service refused the call or failed at it. */
export class StatusError extends WhittleError {
    override name = "StatusError";

    private constructor(
        message: string,
        /** The status of the response. */
        readonly status: number,
        /** The kind of error, such as `invalid_request_error`; undefined where the body is not the service's JSON. */
        readonly type: string | undefined,
        /** The exact error, such as `empty_input`. */
        readonly code: string | undefined,
        /** The member of the request that is at fault. */
        readonly param: string | undefined,
        /** The id of the request in the service's log. */
        readonly requestId: string | undefined,
        /** The seconds after which another attempt makes sense, where the service gives them. */
        readonly retryAfter: number | undefined,
        /** The body, parsed where it is JSON. */
        readonly body: unknown,
    ) {
        super(message);
    }

    /** Reads the error of a response. */
    static async of(response: Response): Promise<StatusError> {
        const text = await response.text();
        const body = parsed(text);
        const error = memberOf(body, "error");
        const own = typeof error === "string" ? { message: error } : (error ?? body);
        const read = (key: string) => textOf(memberOf(own, key));
        const code = read("code");
        const type = read("type");
        const message = read("message") ?? (text.trim().slice(0, 200) || response.statusText);
        const id = response.headers.get("x-request-id") ?? response.headers.get("x-whittle-request-id") ?? undefined;
        return new StatusError(`${response.status} ${code ?? type ?? response.statusText}: ${message}`, response.status, type,
            code, read("param"), id, retryAfter(response.headers.get("retry-after")), body);
    }
}

/** The seconds that `Retry-After` asks for, which gives seconds or a date. */
export function retryAfter(value: string | null): number | undefined {
    if (value === null || value.trim() === "") return undefined;
    const seconds = Number(value);
    const wait = Number.isFinite(seconds) ? seconds : (Date.parse(value) - Date.now()) / 1000;
    return Number.isFinite(wait) ? Math.max(wait, 0) : undefined;
}

function parsed(text: string): unknown {
    try {
        return JSON.parse(text);
    } catch {
        return text;
    }
}

function memberOf(value: unknown, key: string): unknown {
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[key] : undefined;
}

function textOf(value: unknown): string | undefined {
    return typeof value === "string" ? value : undefined;
}
