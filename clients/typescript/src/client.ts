import { type CallOptions, type ClientOptions, Transport } from "./transport.js";
import { WhittleError } from "./errors.js";
import type * as types from "./types.js";

/** A model that the service offers. */
export interface Model {
    /** The name to call it by. */
    id: string;
    object: "model";
    /** The time of its making, in seconds since 1970. */
    created: number;
    /** The upstream, or `local`. */
    owned_by: string;
}

/** What `usage` asks for. */
export interface UsageQuery {
    /** A day in UTC or a time; by default 30 days ago. */
    since?: string;
    /** The end, not included; by default now. */
    until?: string;
    /** The id of the only key that counts. */
    key?: string;
    /** The only model that counts. */
    model?: string;
    /** `day`, `model`, `key`, several of them with commas between, or `request`. */
    group_by?: string;
    /** The requests of a page, 1 to 1,000. */
    limit?: number;
    /** The `next` of the page before. */
    after?: string;
    /** Whether to compare held-out conversations with the others. */
    holdout?: boolean;
}

/** A page of documents or examples. */
export interface Page {
    /** The `next` of the page before. */
    from?: number;
    /** The most items, 1 to 1,000. */
    limit?: number;
}

/** How a file is stored. */
export interface FileOptions extends CallOptions {
    /** The type; by default by the end of the id, else `text/plain`. */
    contentType?: string;
    /** The title; by default the file's own. */
    title?: string;
    /** What filters of searches see. */
    metadata?: Record<string, unknown>;
    /** Whether to score the chunks too. */
    score?: boolean;
    /** Whether to keep the navigation and footers of HTML. */
    whole?: boolean;
}

const SOURCE = "text/x-source";
const OFFICE = "application/vnd.openxmlformats-officedocument";
const FILE_TYPES: Record<string, string> = {
    csv: "text/csv", tsv: "text/tab-separated-values", md: "text/markdown", html: "text/html", htm: "text/html",
    xhtml: "text/html", pdf: "application/pdf", epub: "application/epub+zip", eml: "message/rfc822",
    ods: "application/vnd.oasis.opendocument.spreadsheet", docx: `${OFFICE}.wordprocessingml.document`,
    pptx: `${OFFICE}.presentationml.presentation`, xlsx: `${OFFICE}.spreadsheetml.sheet`,
    rs: SOURCE, py: SOURCE, js: SOURCE, ts: SOURCE, go: SOURCE, c: SOURCE, h: SOURCE, java: SOURCE, yaml: SOURCE, yml: SOURCE,
    toml: SOURCE, sh: SOURCE,
};

/** A name as one segment of a path. */
function segment(name: string): string {
    if (name === "" || name === "." || name === "..") throw new WhittleError(`"${name}" cannot be a part of a path`);
    return encodeURIComponent(name);
}

/** A client of the service. */
export class Whittle {
    /** Collections of documents. */
    readonly collections: Collections;
    /** Banks of solved examples. */
    readonly exampleBanks: ExampleBanks;
    readonly #transport: Transport;

    constructor(options: ClientOptions = {}) {
        this.#transport = new Transport(options);
        this.collections = new Collections(this.#transport);
        this.exampleBanks = new ExampleBanks(this.#transport);
    }

    /** The base URL for clients of OpenAI's API, which the service forwards smaller. */
    get openaiBaseUrl(): string {
        return `${this.#transport.baseUrl}/v1`;
    }

    /** Makes a text, documents, sections, JSON or messages smaller, to `rate` or `target_tokens`. */
    compress(request: types.CompressRequest, options?: CallOptions): Promise<types.CompressResponse> {
        return this.#post("/v1/compress", request, options);
    }

    /** Restores the names and numbers of the originals in an answer to a compressed prompt. */
    recover(request: types.RecoverRequest, options?: CallOptions): Promise<types.RecoverResponse> {
        return this.#post("/v1/recover", request, options);
    }

    /** Returns the negative log-likelihood of each token of a text. */
    score(request: types.ScoreRequest, options?: CallOptions): Promise<types.ScoreResponse> {
        return this.#post("/v1/score", request, options);
    }

    /** Returns the vectors of texts. */
    embeddings(request: types.EmbeddingsRequest, options?: CallOptions): Promise<types.EmbeddingsResponse> {
        return this.#post("/v1/embeddings", request, options);
    }

    /** Orders documents by how well they answer a query. */
    rerank(request: types.RerankRequest, options?: CallOptions): Promise<types.RerankResponse> {
        return this.#post("/v1/rerank", request, options);
    }

    /** Makes a prompt of a question, what collections hold about it, and similar solved examples. */
    prompt(request: types.PromptRequest, options?: CallOptions): Promise<types.PromptResponse> {
        return this.#post("/v1/prompt", request, options);
    }

    /** Returns the models of the service and of its upstreams. */
    models(options?: CallOptions): Promise<{ object: "list"; data: Model[] }> {
        return this.request("GET", "/v1/models", undefined, options);
    }

    /** Returns tokens, cost and savings of the requests that went through the proxy. */
    usage(query: UsageQuery = {}, options?: CallOptions): Promise<types.UsageReport> {
        return this.#transport.json({ method: "GET", path: "/v1/usage", query: { ...query } }, options);
    }

    /** Returns the state of the service once it can work, and throws a `StatusError` of 503 before. */
    ready(options?: CallOptions): Promise<types.Health> {
        return this.request("GET", "/readyz", undefined, options);
    }

    /** Calls any path of the service, for what has no method here. */
    request<T>(method: string, path: string, json?: unknown, options?: CallOptions): Promise<T> {
        return this.#transport.json({ method, path, json }, options);
    }

    #post<T>(path: string, json: unknown, options: CallOptions | undefined): Promise<T> {
        return this.#transport.json({ method: "POST", path, json }, options);
    }
}

/** Collections of documents, as `client.collections`. */
export class Collections {
    readonly #transport: Transport;

    constructor(transport: Transport) {
        this.#transport = transport;
    }

    /** Returns all collections. */
    list(options?: CallOptions): Promise<types.CollectionList> {
        return this.#transport.json({ method: "GET", path: "/v1/collections" }, options);
    }

    /** Makes a collection, unless there is one of this name with the same settings. */
    create(name: string, request: types.CreateRequest = {}, options?: CallOptions): Promise<types.CollectionInfo> {
        return this.#call("PUT", name, "", { json: request }, options);
    }

    /** Returns what a collection holds. */
    describe(name: string, options?: CallOptions): Promise<types.CollectionInfo> {
        return this.#call("GET", name, "", {}, options);
    }

    /** Removes a collection with all its documents. */
    delete(name: string, options?: CallOptions): Promise<void> {
        return this.#call("DELETE", name, "", {}, options);
    }

    /** Finds the chunks that answer a query best. */
    search(name: string, query: string, request: types.SearchRequest = {}, options?: CallOptions): Promise<types.SearchResponse> {
        return this.#call("POST", name, "/search", { json: { ...request, query } }, options);
    }

    /** Stores documents, all or none. One whose id is there already takes its place. */
    upsert(name: string, request: types.UpsertRequest, options?: CallOptions): Promise<types.UpsertResponse> {
        return this.#call("POST", name, "/documents", { json: request }, options);
    }

    /** Stores a file as a document. */
    putFile(name: string, id: string, content: BodyInit, options: FileOptions = {}): Promise<types.UpsertResponse> {
        const { contentType, title, metadata, score, whole, ...own } = options;
        const query = { title, metadata: metadata === undefined ? undefined : JSON.stringify(metadata), score, whole };
        const kind = contentType ?? FILE_TYPES[id.split(".").at(-1)?.toLowerCase() ?? ""] ?? "text/plain";
        return this.#call("PUT", name, `/documents/${segment(id)}`, { content, contentType: kind, query }, own);
    }

    /** Returns a page of documents. */
    documents(name: string, page: Page = {}, options?: CallOptions): Promise<types.DocumentPage> {
        return this.#call("GET", name, "/documents", { query: { ...page } }, options);
    }

    /** Returns a document. */
    document(name: string, id: string, options?: CallOptions): Promise<types.DocumentInfo> {
        return this.#call("GET", name, `/documents/${segment(id)}`, {}, options);
    }

    /** Removes a document. */
    deleteDocument(name: string, id: string, options?: CallOptions): Promise<types.DeleteResponse> {
        return this.#call("DELETE", name, `/documents/${segment(id)}`, {}, options);
    }

    /** Removes documents by `ids` or by a `filter` on metadata. */
    deleteDocuments(name: string, request: types.DeleteRequest, options?: CallOptions): Promise<types.DeleteResponse> {
        return this.#call("POST", name, "/delete", { json: request }, options);
    }

    /** Returns all documents, one after the other as they arrive. */
    async *export(name: string, options?: CallOptions): AsyncGenerator<types.SourceDocument, void, undefined> {
        const path = `/v1/collections/${segment(name)}/export`;
        const bytes = await this.#transport.stream({ method: "GET", path }, options);
        const decoder = new TextDecoder();
        let rest = "";
        for await (const piece of bytes) {
            const lines = (rest + decoder.decode(piece, { stream: true })).split("\n");
            rest = lines.pop() ?? "";
            for (const line of lines) if (line.trim() !== "") yield JSON.parse(line) as types.SourceDocument;
        }
        if (rest.trim() !== "") yield JSON.parse(rest) as types.SourceDocument;
    }

    /** Returns the bytes of a snapshot as they arrive, for `restore`. */
    snapshot(name: string, options?: CallOptions): Promise<ReadableStream<Uint8Array>> {
        return this.#transport.stream({ method: "POST", path: `/v1/collections/${segment(name)}/snapshot` }, options);
    }

    /** Makes a new collection of a snapshot, all or nothing. */
    restore(name: string, content: BodyInit, options?: CallOptions): Promise<types.CollectionInfo> {
        return this.#call("POST", name, "/restore", { content }, options);
    }

    async #call<T>(method: string, name: string, rest: string, what: object, options: CallOptions | undefined): Promise<T> {
        return this.#transport.json({ method, path: `/v1/collections/${segment(name)}${rest}`, ...what }, options);
    }
}

/** Banks of solved examples, as `client.exampleBanks`. */
export class ExampleBanks {
    readonly #transport: Transport;

    constructor(transport: Transport) {
        this.#transport = transport;
    }

    /** Returns all banks. */
    list(options?: CallOptions): Promise<types.BankList> {
        return this.#transport.json({ method: "GET", path: "/v1/example-banks" }, options);
    }

    /** Returns what a bank holds. */
    describe(name: string, options?: CallOptions): Promise<types.BankInfo> {
        return this.#call("GET", name, "", {}, options);
    }

    /** Removes a bank with all its examples. */
    delete(name: string, options?: CallOptions): Promise<void> {
        return this.#call("DELETE", name, "", {}, options);
    }

    /** Stores solved examples, and makes the bank if there is none. */
    add(name: string, request: types.AddRequest, options?: CallOptions): Promise<types.AddResponse> {
        return this.#call("POST", name, "/examples", { json: request }, options);
    }

    /** Returns a page of examples. */
    examples(name: string, page: Page = {}, options?: CallOptions): Promise<types.ExamplePage> {
        return this.#call("GET", name, "/examples", { query: { ...page } }, options);
    }

    /** Returns an example. */
    example(name: string, id: string, options?: CallOptions): Promise<types.Example> {
        return this.#call("GET", name, `/examples/${segment(id)}`, {}, options);
    }

    /** Removes an example. */
    deleteExample(name: string, id: string, options?: CallOptions): Promise<types.DeleteResponse> {
        return this.#call("DELETE", name, `/examples/${segment(id)}`, {}, options);
    }

    /** Selects the examples to show before a question; the most similar one comes last. */
    select(name: string, question: string, request: types.SelectRequest = {}, options?: CallOptions): Promise<types.SelectResponse> {
        return this.#call("POST", name, "/select", { json: { ...request, question } }, options);
    }

    async #call<T>(method: string, name: string, rest: string, what: object, options: CallOptions | undefined): Promise<T> {
        return this.#transport.json({ method, path: `/v1/example-banks/${segment(name)}${rest}`, ...what }, options);
    }
}
