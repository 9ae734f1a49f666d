/** What the service receives and answers. Written by scripts/types.mjs; do not edit. */

/** Body of `POST /v1/example-banks/{name}/examples`. */
export interface AddRequest {
    /** Stored together or not at all; each takes the place of the one with its id, if there is one. */
    examples: Example[];
}

/** The result of adding examples. */
export interface AddResponse {
    /** Examples that are new. */
    added: number;
    /** Ids, in the order sent, each once. */
    ids: string[];
    /** Milliseconds by stage: `embed`, `store`. */
    timing_ms: Timing;
    /** Examples that were stored already, just as they are. */
    unchanged: number;
    /** Examples that took the place of others with their ids. */
    updated: number;
}

/** The figures of one group of conversations. */
export interface ArmFigures extends ArmMeans {
    /** Conversations. */
    conversations: number;
    /** The number of requests that were not answered with success. */
    errors: number;
    /** Requests of these conversations. */
    requests: number;
}

/** Means over conversations. What there is no sample of is left out. */
export interface ArmMeans {
    /** Dollars; conversations of models without a price do not count. */
    cost_usd?: Mean | null;
    /** Share of the conversations that have an error. */
    failed?: Mean | null;
    /** Tokens of the input. */
    input_tokens?: Mean | null;
    /** Requests. */
    turns?: Mean | null;
}

/** A line that is no document. */
export interface BadLine {
    /** The line number, from 1; empty lines count. */
    line: number;
    /** The description of the fault. */
    reason: string;
}

/** A bank of examples. */
export interface BankInfo {
    /** Bytes of its files. */
    bytes: number;
    /** Values in a vector. */
    dimensions: number;
    /** Model that makes the vectors of its questions. */
    embedder: string;
    /** Batches of changes that were acknowledged so far. */
    epoch: number;
    /** Examples in it. */
    examples: number;
    /** The descriptions of damage that was found and repaired on opening. */
    mended: string[];
    /** The name. */
    name: string;
}

/** Answer of `GET /v1/example-banks`. */
export interface BankList {
    /** All banks that can be read, by name. */
    banks: BankInfo[];
    /** The banks that cannot be opened. */
    unreadable?: Unreadable[];
}

/** A cache, since the service began. */
export interface CacheStatus {
    /** Bytes in memory. */
    bytes: number;
    /** Texts that were found, in memory or on disk. */
    hits: number;
    /** Texts that were not. */
    misses: number;
    /** `scores`, `keys_values` or `vectors`. */
    name: string;
}

/** A chunk that was found. */
export interface Candidate {
    /** Whether any part of it is in the prompt. */
    chosen: boolean;
    /** The collection of the source. */
    collection: string;
    /** The id of the document. */
    document_id: string;
    /** The byte range in the document's text. */
    range: number[];
    /** The score, as in a search. */
    score: number;
    /** The scores, as in a search. */
    scores: Record<string, number>;
}

/** One of the choices of a question. */
export interface Choice {
    /** Such as `A`. */
    label: string;
    /** The text of the choice. */
    text: string;
}

/** The settings for chunking a text. */
export interface ChunkSettings {
    /** Tokens at most that a chunk repeats from the end of the one before; less than half of `tokens`. */
    overlap?: number;
    /** Most tokens of a chunk, 16 to 8,192. */
    tokens?: number;
}

/** The source of a number in the prompt. */
export interface Citation {
    /** Collection of the document. */
    collection: string;
    /** The document. */
    document_id: string;
    /** The number, from 1. */
    number: number;
    /** Byte ranges of the document's text that are in the prompt, in order. */
    ranges: number[][];
    /** The title that is shown beside the number. */
    title: string;
}

/** A collection. */
export interface CollectionInfo {
    /** Bytes of its files. */
    bytes: number;
    /** The settings for chunking documents. */
    chunking: ChunkSettings;
    /** Chunks of them. */
    chunks: number;
    /** Values in a vector. */
    dimensions: number;
    /** Documents in it. */
    documents: number;
    /** Model that makes its vectors. */
    embedder: string;
    /** Batches of changes that were acknowledged so far. */
    epoch: number;
    /** State of its indexes. */
    index: IndexInfo;
    /** The descriptions of damage that was found and repaired on opening. */
    mended: string[];
    /** The name. */
    name: string;
    /** The settings for searching words. */
    words: WordSettings;
}

/** Answer of `GET /v1/collections`. */
export interface CollectionList {
    /** All collections that can be read, by name. */
    collections: CollectionInfo[];
    /** The collections that cannot be opened. */
    unreadable?: Unreadable[];
}

/** The options of a compression: what must be kept, and how. All of it in `exact` mode; `reference` mode knows
 * `reorder`, `context_budget` and `dynamic_ratio`. */
export interface CompressOptions {
    /** The budget of the coarse filter: the tokens of documents, best first, that go on to the choice of words. `+100`
     * is 100 more than there is room for, `*1.5` one and a half times the room; also `-` and `/`. */
    context_budget?: string | null;
    /** The spread of keep rates, 0 to 1: how much more of its words the best document keeps than the average one,
     * where the method is `longllmlingua`. */
    dynamic_ratio?: number | null;
    /** Ids of documents of which something is kept whatever their rank. */
    force_documents?: string[];
    /** Every word with a digit in it is kept. */
    force_numbers?: boolean;
    /** Words and phrases that are kept in every document wherever they stand as whole words, with the same
     * capitals. At most 256, of at most 256 bytes each. */
    force_words?: string[];
    /** Sentences at the start of each document that are kept. */
    keep_first_sentences?: number;
    /** Sentences at the end of each document that are kept. */
    keep_last_sentences?: number;
    /** Do marks such as `[12 lines left out]` stand for lines, rows, code and turns that were left out? By default they
     * do; in JSON there are none, so that it stays JSON. */
    marks?: boolean | null;
    /** Tokens that are kept of each document at least, as far as it has so many. */
    min_document_tokens?: number;
    /** Kinds of text that are kept or dropped whole, by default all. Quotations, say, may be cut where
     * `quotes` is not among them. */
    protect?: Protection[] | null;
    /** Regular expressions: what matches one is kept or dropped whole as well. At most 32, of at most 1,000
     * bytes each. Matching takes linear time; there is no looking around and no reference back. */
    protect_patterns?: string[];
    /** The likelihood that ranks documents where the method is `longllmlingua`: that of the question `after` each (the
     * default), that of the document with the question `before` it, or `none`, that of the document by itself. */
    rank_by?: RankBy | null;
    /** Order of the documents in the prompt, by default as sent. */
    reorder?: Reorder;
    /** The smallest part that is kept or dropped: `token` (a word, by default), `phrase` (by default where the
     * method is `selective-context`), `sentence` or `line`. */
    unit?: Granularity | null;
}

/** Body of `POST /v1/compress`. */
export interface CompressRequest {
    /** One text to compress. Give this or one of the next four. */
    context?: string | null;
    /** Documents to compress. */
    documents?: DocumentInput[] | null;
    /** Kept whole, before the documents. */
    instruction?: string | null;
    /** JSON of which strings become smaller. */
    json?: JsonInput | null;
    /** Messages of `OpenAI`'s Chat or Anthropic's API, items of `OpenAI`'s Responses, or Gemini's contents, of which texts
     * become smaller: those that the proxy finds, in results of tools, documents and search results too, and those of
     * assistants. Where there is no `question`, the last words of the last user are one unless they are longer than 2,000
     * bytes. */
    messages?: (Record<string, unknown>)[] | null;
    /** Compression method. */
    method?: Method | null;
    /** `exact` (default) or `reference`. */
    mode?: Mode | null;
    /** Model that the prompt is for; names its tokenizer where `tokenizer` is not given. */
    model?: string | null;
    /** The options of the compression: what must be kept, and how. */
    options?: CompressOptions;
    /** Kept whole, after the documents. */
    question?: string | null;
    /** Share of the tokens to keep, above 0 and at most 1. Give this or `target_tokens`; where every part has a rate of
     * its own, neither is needed. */
    rate?: number | null;
    /** The optional parts of the response besides the prompt, by default `ranges`. */
    return?: Return[] | null;
    /** The roles whose texts are compressed, by default `user`, `assistant` and `tool`. Results of tools are `tool`, whatever
     * the role of their message. */
    roles?: string[] | null;
    /** Parts of one text, with rates of their own; they follow each other with nothing between them. */
    sections?: SectionInput[] | null;
    /** Are the tags of llmlingua read in `context` or `documents`: `<llmlingua, rate=0.4>text</llmlingua>` and
     * `<llmlingua, compress=False>text</llmlingua>`? They are not in the result. */
    tags?: boolean;
    /** Most tokens of the whole result, at least 1. Give this or `rate`. */
    target_tokens?: number | null;
    /** Tokenizer to count with, by default `o200k_base`. */
    tokenizer?: string | null;
}

/** Answer of `POST /v1/compress`. */
export interface CompressResponse {
    /** The compressed documents in the order sent. */
    documents: DocumentOutput[];
    /** Unique name of this answer. */
    id: string;
    /** The amounts that were left out as a whole, by kind: `lines`, `rows`, `records`, `turns`, `bytes` of blobs. What
     * is left out of prose is not counted. */
    left_out: Record<string, number>;
    /** The messages with what is left of their texts, where messages were sent. */
    messages?: (Record<string, unknown>)[] | null;
    /** Method that made it. */
    method: Method | (string & {});
    /** The compressed prompt. */
    prompt: string;
    /** The reason for the choice of this method and depth. */
    reason: string;
    /** Milliseconds by stage. */
    timing_ms: Timing;
    /** Token counts. */
    usage: Usage;
    /** The warnings for the caller. */
    warnings: Warning[];
}

/** Body of `PUT /v1/collections/{name}`. */
export interface CreateRequest {
    /** The settings for chunking documents. It cannot be changed later. */
    chunking?: ChunkSettings;
    /** The settings for searching words. It cannot be changed later. */
    words?: WordSettings;
}

/** The database that holds collections. */
export interface DatabaseStatus {
    /** Transactions that failed, since the service began. */
    errors: number;
    /** Connections that are in use. */
    in_use: number;
    /** The reason why it cannot, if so. */
    reason?: string | null;
    /** Host, port and database. */
    server: string;
    /** True if it can be used now. */
    up: boolean;
    /** Requests that wait for a connection. */
    waiting: number;
}

/** Body of `POST /v1/collections/{name}/delete`. */
export interface DeleteRequest {
    /** Documents by metadata. Give this or `ids`. A field that no document has is refused where a document meets the
     * filter by not having it, as under `not`: misspelt, it would mean them all. */
    filter?: Record<string, unknown> | null;
    /** Documents by id; those that do not exist are passed over. Give this or `filter`. */
    ids?: string[] | null;
}

/** Answer to a deletion. */
export interface DeleteResponse {
    /** Documents that are gone now. */
    deleted: number;
    /** The warnings for the caller. */
    warnings?: Warning[];
}

/** A document as it is stored. */
export interface DocumentInfo {
    /** Unique in its collection. */
    id: string;
    /** The layout as given. */
    layout: Layout | (string & {});
    /** The metadata as given. */
    metadata?: Record<string, unknown>;
    /** The text as given. */
    text: string;
    /** The title as given. */
    title?: string | null;
}

/** A document of a request. */
export interface DocumentInput {
    /** Is it compressed? Else it is kept whole. */
    compress?: boolean;
    /** Unique in the request; by default the document's place, from 0. */
    id?: string | null;
    /** Handed back untouched. */
    metadata?: unknown;
    /** Share of its tokens that is kept at most, 0 to 1; by default as much as it is worth. */
    rate?: number | null;
    /** The text to compress. */
    text: string;
    /** Kept whole with the document. */
    title?: string | null;
}

/** A compressed document. */
export interface DocumentOutput {
    /** The id as sent. */
    id: string;
    /** Byte ranges of the text as it was sent that were kept, marks not counted. Where the method is `lossless`, those that stand in
     * the new text as they were, beside the marks and columns that were put in. */
    kept?: number[][] | null;
    /** The amounts that were left out as a whole, by kind. */
    left_out?: Record<string, number>;
    /** The metadata as sent. */
    metadata?: unknown;
    /** Place in the ranking, from 0 for the most valuable. */
    rank?: number | null;
    /** The score that the document was ranked by. */
    score?: number | null;
    /** The score of each word, higher is better; null where the document was not scored. */
    scores?: (number | null)[] | null;
    /** The compressed text, with marks in place of lines, rows, code and turns that were left out. */
    text: string;
    /** The document's words in order; `None` where the prompt fit without compression. */
    words?: WordOutput[] | null;
}

/** Some of a collection's documents, in the order in which they were stored. */
export interface DocumentPage {
    /** The documents. */
    documents: DocumentInfo[];
    /** The `from` of the next page; none at the end. */
    next?: number | null;
}

/** Tokens that the embedder read. */
export interface EmbedderUsage {
    /** Tokens of the texts. */
    prompt_tokens: number;
    /** The number of tokens, equal to `prompt_tokens`. */
    total_tokens: number;
}

/** Vector of one text. */
export interface Embedding {
    /** The vector, of length 1. */
    embedding: Vector;
    /** Place of the text in the request, from 0. */
    index: number;
    /** Always `embedding`. */
    object: string;
}

/** Body of `POST /v1/embeddings`, as `OpenAI`'s clients send it. Fields that are not listed are passed over. */
export interface EmbeddingsRequest {
    /** Values of a vector; only as many as the model gives. */
    dimensions?: number | null;
    /** `float` (default) or `base64`. */
    encoding_format?: Encoding;
    /** A text, a list of texts, the token ids of a text, or a list of such ids. Ids are those of `cl100k_base`,
     * which `OpenAI`'s clients send. */
    input: string | string[] | number[] | number[][];
    /** The use of the texts, `document` (default) or `query`: some models read questions otherwise. Whatever is none of
     * these counts as `document`. */
    input_type?: InputType;
    /** Name of the configured embedder, with or without `local/` before it, or left out. */
    model?: string | null;
}

/** Answer of `POST /v1/embeddings`. */
export interface EmbeddingsResponse {
    /** A vector for each text, in the order sent. */
    data: Embedding[];
    /** The fingerprint of the model's files, by which collections tell it from others of its name. */
    identity: string;
    /** Model that made them. */
    model: string;
    /** Always `list`. */
    object: string;
    /** Token counts. */
    usage: EmbedderUsage;
}

/** The encoding of vectors. */
export type Encoding = "float" | "base64";

/** The error. */
export interface ErrorBody {
    /** Stable name. */
    code: string;
    /** The message for people; names the remedy. */
    message: string;
    /** Field or header of the request that is at fault. */
    param?: string | null;
    /** `invalid_request_error` where the caller can mend it, else `server_error`. */
    type: string;
}

/** Body of every answer that is not a success. */
export interface ErrorEnvelope {
    error: ErrorBody;
}

/** The evaluations that were found. */
export interface EvaluationList {
    /** Whether there are more than are listed. */
    more: boolean;
    /** The runs, in the order of their names. */
    runs: EvaluationRun[];
}

/** A run of an evaluation. */
export interface EvaluationRun {
    /** Its folder, as `page.evaluations` names the one that it lies in: `eval/results/nq`. */
    name: string;
    /** Questions. */
    questions?: number | null;
    /** The suite; none where the summary cannot be read. */
    suite?: string | null;
    /** The version of whittle that ran it, with the revision of the repository where there was one. */
    version?: string | null;
}

/** A question with its answer, to be shown before another question. */
export interface Example {
    /** The answer; of a multiple choice, the label of the right one. */
    answer: string;
    /** The choices of a multiple-choice question. */
    choices?: Choice[];
    /** Unique in its bank; by default a hash of everything else. */
    id?: string;
    /** Anything else. */
    metadata?: Record<string, unknown>;
    /** The question, without choices. */
    question: string;
    /** The chain of thought that leads to the answer. */
    thought?: string | null;
}

/** An example that was found. */
export interface ExampleCandidate {
    /** The bank of the example. */
    bank: string;
    /** Whether the example is in the prompt. */
    chosen: boolean;
    /** The id in the bank. */
    id: string;
    /** Cosine between its question and the one that is asked. */
    similarity: number;
}

/** Some of a bank's examples, in the order in which they were stored. */
export interface ExamplePage {
    /** The examples. */
    examples: Example[];
    /** The `from` of the next page; none at the end. */
    next?: number | null;
}

/** Answer of `PUT /v1/extract`. */
export interface ExtractResponse {
    /** The text: that of the file as it is, or Markdown. */
    text: string;
    /** The title that the file itself has. */
    title?: string | null;
}

/** The savings of one rule on results of one kind. */
export interface FoldingLine {
    /** Kind of the results: `prose`, `code`, `json`, `log`, `diff`, `table`, `chat`, or `search` for hits of a search. */
    kind: string;
    /** Requests with such a result. */
    requests: number;
    /** Name of the rule. */
    rule: string;
    /** Tokens that were left out, counted in each request that would have had them. */
    saved_tokens: number;
    /** Dollars that this saved on requests with a price, less its part of the cost of the work. */
    saving_usd: number;
}

/** The smallest part of a text that is kept or dropped. */
export type Granularity = "token" | "phrase" | "sentence" | "line";

/** Sums of a group. What it is not grouped by is left out. */
export interface Group extends Numbers {
    /** The day, in UTC. */
    day?: string | null;
    /** Id of the key; empty where requests came without one. */
    key?: string | null;
    /** The model; empty where requests passed unread. */
    model?: string | null;
    /** The reason why texts went on as they came, as `x-whittle-status` has it: that of a text, or `unchanged` or
     * `bypassed`; empty where all were compressed. */
    reason?: string | null;
    /** The upstream. */
    upstream?: string | null;
}

/** State of the service. */
export interface Health {
    /** `up` where collections are in PostgreSQL; missing where they are in the data folder. */
    postgres?: string | null;
    /** `up` or `away`: the state of the server that replicas share; missing where they share none. */
    shared?: string | null;
    /** `ok`; of readiness, `ready` or `idle`, where the models load with the first request. */
    status: string;
    /** Version of whittle. */
    version: string;
}

/** A comparison of held-out conversations with the others. */
export interface HoldoutReport {
    /** Conversations whose texts were changed where that saves something. */
    changed: ArmFigures;
    /** The means of changed conversations less those of held-out ones, with their 95% intervals by resampling. */
    difference: ArmMeans;
    /** Conversations that went on as they came. */
    held_out: ArmFigures;
}

/** State of the indexes of a collection. */
export interface IndexInfo {
    /** Linked chunks that are gone; past a fifth the links are made anew. */
    dead: number;
    /** Chunks that the dense index compares one by one. */
    fresh: number;
    /** Chunks that can be found by words. */
    lexical: number;
    /** Chunks that the dense index has links for. */
    linked: number;
}

/** The use of texts that are embedded. */
export type InputType = "document" | "query";

/** JSON to compress. */
export interface JsonInput {
    /** The rules for strings, by the key that they or the object or array around them have; `*` is for all others.
     * Without a rule of either kind strings stay as they are; without any rule all may become smaller. Keys, numbers,
     * `true`, `false` and `null` never change. */
    keys?: Record<string, KeyRule>;
    /** The JSON. */
    text: string;
}

/** Answer of `POST /v1/keys`. */
export interface KeyCreated {
    /** The key. */
    key: KeyInfo;
    /** The secret that callers send, which is stored nowhere and told this once. */
    secret: string;
}

/** A key, all but its secret. */
export interface KeyInfo {
    /** Whether the key may read metrics and the usage of other keys, and change keys. */
    admin: boolean;
    /** The time of its creation. */
    created: string;
    /** The id, which names the key in the ledger. */
    id: string;
    /** Models that it may call, in whose names `*` stands for any characters; all where there is none. */
    models: string[];
    /** The name that its owner gave it. */
    name: string;
    /** Requests a minute, at least 1. */
    requests_per_minute?: number | null;
    /** The time of its revocation, if any. */
    revoked?: string | null;
    /** Tokens a minute, input and output together, at least 1. */
    tokens_per_minute?: number | null;
    /** Dollars a day in UTC, above 0. */
    usd_per_day?: number | null;
}

/** All keys. */
export interface KeyList {
    /** The keys in the order in which they were made, revoked ones included. */
    keys: KeyInfo[];
}

/** Body of `POST /v1/keys`. */
export interface KeyRequest {
    /** Whether the key may read metrics and the usage of other keys, and change keys. */
    admin?: boolean;
    /** Models that it may call, in whose names `*` stands for any characters; all where there is none. */
    models?: string[];
    /** The name, 1 to 64 characters. */
    name: string;
    /** Requests a minute, at least 1. */
    requests_per_minute?: number | null;
    /** Tokens a minute, input and output together, at least 1. */
    tokens_per_minute?: number | null;
    /** Dollars a day in UTC, above 0. */
    usd_per_day?: number | null;
}

/** A rule for the strings under a key. */
export interface KeyRule {
    /** Whether the strings are compressed. */
    compress?: boolean;
    /** Share of a string's tokens that is kept at most, 0 to 1; by default as much as it is worth. */
    rate?: number | null;
    /** May a member go when nothing is left of its string? Else something of it stays. */
    removable?: boolean;
}

/** The layout of a text. */
export type Layout = "plain" | "markdown" | "code";

/** The record of how a prompt was built. */
export interface Ledger {
    /** The counts are estimates: the model's own tokenizer is not public. */
    approximate: boolean;
    /** Chunks that were found, best first. */
    candidates: Candidate[];
    /** Candidates of which something is in the prompt. */
    chosen: number;
    /** Examples that were found, the most similar one first. */
    examples: ExampleCandidate[];
    /** Tokens of what was found, before it was compressed. */
    found_tokens: number;
    /** Method that compressed. */
    method: Method | (string & {});
    /** Most tokens that were asked for. */
    requested_tokens: number;
    /** Template that it was rendered with. */
    template: TemplateInfo;
    /** The tokenizer that counted. */
    tokenizer: string;
    /** Tokens of the prompt by part. */
    tokens: TokensByPart;
}

/** A mean with its 95% interval. */
export interface Mean {
    /** The upper end. */
    high: number;
    /** The lower end. */
    low: number;
    /** The mean. */
    mean: number;
    /** Conversations that it is made of. */
    n: number;
}

/** A chat message. */
export interface Message {
    /** The text of the message. */
    content: string;
    /** `system` or `user`. */
    role: string;
}

/** A compression method. */
export type Method = "auto" | "hybrid" | "extractive" | "llmlingua" | "longllmlingua" | "llmlingua2" | "selective-context" | "prune" | "lossless";

/** The fidelity to a method's first implementation. */
export type Mode = "exact" | "reference";

/** Sums over requests. */
export interface Numbers {
    /** Tokens of the input that came from providers' caches. */
    cache_read_tokens: number;
    /** Tokens of the input that went into providers' caches. */
    cache_write_tokens: number;
    /** Milliseconds of work on texts. */
    compressor_ms: number;
    /** Dollars that the requests with a price cost. */
    cost_usd: number;
    /** The number of requests that were not answered with success, streams that ended in an error included. */
    errors: number;
    /** Requests of which the provider did not say what they took: it is estimated from the lengths. */
    estimated: number;
    /** Tokens of the input that providers counted, those from and to their caches included. */
    input_tokens: number;
    /** Tokens of the output. */
    output_tokens: number;
    /** Requests. */
    requests: number;
    /** Dollars that compression saved on them, less its own cost; below 0 where that was more. */
    saving_usd: number;
    /** The number of tokens after compression. */
    text_tokens_after: number;
    /** Tokens of the texts that were compressed, before. */
    text_tokens_before: number;
    /** Requests of models without a price, which are in neither sum of dollars. */
    unpriced: number;
}

/** The treatment of a line, or a file, that is no document. */
export type OnBad = "refuse" | "skip";

/** Form of a prompt. */
export type PromptFormat = "text" | "messages";

/** Body of `POST /v1/prompt`. */
export interface PromptRequest {
    /** Banks that solved examples are taken from, at most 16. */
    banks?: string[];
    /** Collections to answer it from, at most 16; none only where there are banks. */
    collections?: string[];
    /** Examples that are shown at most, of all banks together, 1 to 100; 5 by default. Each is shown whole, the most
     * similar one last, and beside documents all of them together fill no more than half of the room. Short for the
     * `count` of `selection`, which stands alone. */
    examples?: number | null;
    /** The filter on documents, as in a search. */
    filter?: Record<string, unknown> | null;
    /** Form of the prompt. */
    format?: PromptFormat;
    /** The additional instruction to the model. */
    instruction?: string | null;
    /** The method that compresses the documents found. */
    method?: Method | null;
    /** The ranking to search by. This and the two below are short for the same fields of `search`, which stands alone. */
    mode?: SearchMode | null;
    /** Model that the prompt is for; names its tokenizer where `tokenizer` is not given. */
    model?: string | null;
    /** The question to answer. */
    question: string;
    /** The search in each collection, as by the route of a collection; its `query` defaults to the question. */
    search?: SearchRequest | null;
    /** The selection of examples from each bank, as by the route of a bank; its `question` defaults to the request's. */
    selection?: SelectRequest | null;
    /** Most tokens of the whole prompt, template and joins included, at least 1. A provider may add a few of its own
     * around messages. */
    target_tokens: number;
    /** Template, by default `answer`. */
    template?: string | null;
    /** Tokenizer to count with, by default `o200k_base`. */
    tokenizer?: string | null;
    /** Chunks that are taken from each collection at most, 1 to 1,000; 10 by default. */
    top_k?: number | null;
}

/** Answer of `POST /v1/prompt`. */
export interface PromptResponse {
    /** The citations: the sources of the numbers in the prompt. */
    citations: Citation[];
    /** Unique name of this answer. */
    id: string;
    /** The record of how the prompt was built. */
    ledger: Ledger;
    /** The prompt, where it was asked for as messages. */
    messages?: Message[] | null;
    /** The prompt, where it was asked for as text. */
    prompt?: string | null;
    /** Milliseconds by stage: `examples`, `retrieve`, `compress`. */
    timing_ms: Timing;
    /** The warnings for the caller. */
    warnings: Warning[];
}

/** Kinds of text that are protected, by name. */
export type Protection = "numbers" | "dates" | "urls" | "paths" | "emails" | "identifiers" | "versions" | "quotes" | "code" | "negations";

/** What waits to be stored, and what was lost since the service began. */
export interface QueueStatus {
    /** Entries of the ledger that could not be stored. */
    ledger_lost: number;
    /** Entries of the ledger that are not committed yet. They are in its journal, so that a kill loses none. */
    ledger_waiting: number;
    /** Bytes of originals that are stored. */
    originals_bytes: number;
    /** Originals that could not be stored. */
    originals_lost: number;
    /** Bytes of originals that wait to be. */
    originals_waiting: number;
}

/** The likelihood that ranks documents: a mean negative log-likelihood (arXiv 2310.06839, and `condition_in_question`
 * of llmlingua). */
export type RankBy = "after" | "before" | "none";

/** A document before compression. */
export interface RecoverDocument {
    /** Handed back with what is restored from it; by default the document's place, from 0. */
    id?: string | null;
    /** `documents[].kept` of the answer to `/v1/compress`. */
    kept: number[][];
    /** The original text. */
    text: string;
}

/** Body of `POST /v1/recover`. */
export interface RecoverRequest {
    /** The documents as they were sent to `/v1/compress`, with what it kept of them. */
    documents: RecoverDocument[];
    /** The model's response to the compressed prompt. */
    response: string;
}

/** Answer of `POST /v1/recover`. */
export interface RecoverResponse {
    /** The response with phrases of the original in place of shortened ones. */
    response: string;
    /** The restored passages in order. */
    restored: RestoredOutput[];
}

/** A model on another machine, as it is configured and as it last answered. */
export interface RemoteModel {
    /** The local model that takes its place in rankings, where there is one. */
    fallback?: string | null;
    /** The form that its server is asked in. */
    kind: string;
    /** The name that the server has for it. */
    model: string;
    /** The use of the model: `scorer`, `embedder` or `reranker`. */
    role: string;
    /** The state: `ready`; `idle` where it was not asked yet, or failed some time ago; `failed` where it failed within the
     * last ten seconds. */
    state: string;
    /** The base URL of the server. */
    url: string;
}

/** Order of the documents in a result. */
export type Reorder = "original" | "sort" | "two_stage";

/** One request. */
export interface RequestLine extends Numbers {
    /** Id of the key that it came with. */
    key?: string | null;
    /** The model; empty where it passed unread. */
    model: string;
    /** The reason why texts went on as they came, as `x-whittle-status` has it: that of a text, or `unchanged` or
     * `bypassed`. */
    reason?: string | null;
    /** The id of the request. */
    request_id: string;
    /** Status of the answer; 499 where the client left before there was one. */
    status: number;
    /** The time of the request. */
    time: string;
    /** The upstream. */
    upstream: string;
}

/** The model that reranks results.
 * 
 * Of the 1,500 questions of `data/nq` relevance raises recall at 1 from 0.899 to 0.907 for 20 results. Likelihood costs
 * the scorer all their tokens and has not paid so far: of 40 of the questions it puts the right passage first 23 times,
 * where both relevance and the search itself do 35 times. */
export type RerankBy = "relevance" | "likelihood";

/** A document to rank. */
export type RerankDocument = string | RerankText;

/** The metadata of a response in Cohere's API. */
export interface RerankMeta {
    /** Version of that API. */
    api_version: RerankVersion;
    /** Token counts. */
    tokens: RerankTokens;
}

/** Body of `POST /v1/rerank`, as clients of Cohere and Jina send it. Fields that are not listed are passed over. */
export interface RerankRequest {
    /** Texts, or objects with a `text`. */
    documents: RerankDocument[];
    /** Name of the configured reranker or embedder, with or without `local/` before it. Left out, the reranker ranks where one
     * is configured, else the embedder. */
    model?: string | null;
    /** The query that documents are ranked by. */
    query: string;
    /** Whether results include the texts, as objects, however they were sent. */
    return_documents?: boolean;
    /** Most results; by default all. */
    top_n?: number | null;
}

/** Answer of `POST /v1/rerank`. */
export interface RerankResponse {
    /** Unique name of this answer. */
    id: string;
    /** Token counts, where Cohere's clients look for them. */
    meta: RerankMeta;
    /** Model that ranked: the reranker or the embedder. */
    model: string;
    /** The documents, the most relevant first. */
    results: RerankResult[];
    /** Token counts, where Jina's clients look for them. */
    usage: EmbedderUsage;
}

/** A document and its worth. */
export interface RerankResult {
    /** The text, where it was requested. */
    document?: RerankText | null;
    /** The index in the request, from 0. */
    index: number;
    /** 0 to 1, the more the better. An order, not a probability; of a reranker, the sigmoid of its score. */
    relevance_score: number;
}

/** A document as an object. */
export interface RerankText {
    /** The text of the document. */
    text: string;
}

/** Tokens as Cohere's API counts them. */
export interface RerankTokens {
    /** Tokens of the query and the documents. */
    input_tokens: number;
    /** Always 0. */
    output_tokens: number;
}

/** Version of Cohere's API that an answer is in the form of. */
export interface RerankVersion {
    /** Always `1`. */
    version: string;
}

/** A phrase that was restored. */
export interface RestoredOutput {
    /** Id of the document that it is from. */
    document: string;
    /** Byte range in the response as it was sent. */
    range: number[];
    /** Byte range in the response as it is given back. */
    restored_range: number[];
    /** Byte range in that document's original text. */
    source: number[];
}

/** Optional parts of the answer. */
export type Return = "ranges" | "scores" | "words";

/** Body of `POST /v1/score`. */
export interface ScoreRequest {
    /** Text that conditions the scores. */
    prefix?: string | null;
    /** Text to score. */
    text: string;
}

/** Answer of `POST /v1/score`. */
export interface ScoreResponse {
    /** Token ids of the text. */
    ids: number[];
    /** Mean of `nll`; null when nothing was scored. */
    mean_nll?: number | null;
    /** Model that scored. */
    model: string;
    /** Negative log-likelihood of each token in nats; null for a first token without context. */
    nll: (number | null)[];
    /** The perplexity, exp(`mean_nll`). */
    perplexity?: number | null;
    /** Byte range of each token in the text. */
    ranges: number[][];
    /** Time of the scoring. */
    seconds: number;
    /** The tokens' texts; bytes that are not UTF-8 by themselves show as U+FFFD. */
    tokens: string[];
    /** Scored and conditioning tokens over `seconds`. */
    tokens_per_second: number;
}

/** The ranking that a search uses. */
export type SearchMode = "lexical" | "dense" | "hybrid";

/** Body of `POST /v1/collections/{name}/search`. */
export interface SearchRequest {
    /** 0 to 1: how much a result that is like one before it is passed over. */
    diversity?: number;
    /** The filter on documents by metadata: `{"field": "year", "gte": 1990}`, with `eq`, `in`, `gt`, `gte`, `lt`,
     * `lte`, `exists`; `{"and": [...]}`, `{"or": [...]}`, `{"not": {...}}`. */
    filter?: Record<string, unknown> | null;
    /** Results with a lower `score` are left out. */
    min_score?: number | null;
    /** The ranking to search by. */
    mode?: SearchMode;
    /** The query. In a prompt's `search` it may be left out. */
    query?: string;
    /** The number of best results to rerank, at most 100. 0, the default, leaves the order alone. */
    rerank?: number;
    /** The model that reranks. */
    rerank_by?: RerankBy;
    /** Milliseconds that this may take; if it takes longer the order stays, and a warning says so. A model that no
     * request has needed before is waited for all the same. */
    rerank_deadline_ms?: number | null;
    /** Most results, 1 to 1,000. */
    top_k?: number;
    /** The weights of the rankings in `hybrid`, at least 0. */
    weights?: Weights;
}

/** Answer of `POST /v1/collections/{name}/search`. */
export interface SearchResponse {
    /** The best chunks, best first. */
    results: SearchResult[];
    /** Milliseconds by stage: `embed`, `search`, `rerank`. */
    timing_ms: Timing;
    /** The warnings for the caller. */
    warnings: Warning[];
}

/** A chunk that was found. */
export interface SearchResult {
    /** The document's id, `#` and its place among the document's chunks, from 0. */
    chunk_id: string;
    /** Document that it is a part of. */
    document_id: string;
    /** The byte range of the header, if there is one. */
    header?: number[] | null;
    /** Headings that it stands under, outermost first. */
    headings?: string[];
    /** Metadata of the document. */
    metadata?: Record<string, unknown>;
    /** The byte range in the document's text, without the header. */
    range: number[];
    /** The score that results are ranked by: BM25 (`lexical`), the cosine (`dense`), or the sum of weight / (1 + rank)
     * (`hybrid`). */
    score: number;
    /** The scores by `lexical` and `dense`, where it was among the best by them, and by `rerank`, 0 to 1, where it was
     * put in order anew: by likelihood that is the probability of a token of the query, in the geometric mean. */
    scores: Record<string, number>;
    /** The text of the chunk; where it begins inside a table, the table's header precedes it on a line of its own. */
    text: string;
    /** Title of the document. */
    title?: string | null;
}

/** A part of a text. */
export interface SectionInput {
    /** Is it compressed? Else it is kept whole. */
    compress?: boolean;
    /** Share of its tokens that is kept at most, 0 to 1; by default as much as it is worth. */
    rate?: number | null;
    /** The text of the section. */
    text: string;
}

/** Body of `POST /v1/example-banks/{name}/select`. */
export interface SelectRequest {
    /** Whether answers are balanced: no answer may be that of more examples than its share, as long as there are
     * others among the nearest 256. */
    balance?: boolean;
    /** The number of examples, 1 to 100. */
    count?: number;
    /** 0 takes the nearest; up to 1, the more an example is like one that was chosen already, the less it counts. */
    diversity?: number;
    /** Examples as near to the question as this, by the cosine, are the question itself in other words and are left
     * out; at least 0, and above 1 leaves out none for its nearness. */
    duplicate?: number;
    /** The question that the examples are selected for. In a prompt's `selection` it may be left out. */
    question?: string;
    /** Seed of the order that the choices of each example are put into, their labels staying in theirs; the answer is
     * then the label of the same text, and the thought is left out. Without one they stay as they were stored. */
    shuffle?: number | null;
}

/** Answer of `POST /v1/example-banks/{name}/select`. */
export interface SelectResponse {
    /** The chosen examples, the most similar one last. */
    examples: SelectedExample[];
    /** Milliseconds by stage: `embed`, `select`. */
    timing_ms: Timing;
}

/** An example that was chosen. */
export interface SelectedExample {
    /** The example, its choices in the order asked for. */
    example: Example;
    /** Cosine between its question and the one that it is chosen for. */
    similarity: number;
}

/** The state of the service. */
export interface ServiceStatus {
    /** The caches. */
    caches: CacheStatus[];
    /** The database that holds collections; missing where they are in the data folder. */
    database?: DatabaseStatus | null;
    /** `ready`; `idle` where the models load with the first request; `failed` where one could not be had. */
    models: string;
    /** The models on other machines; missing where all run in this process. */
    remote_models?: RemoteModel[];
    /** The server that replicas share; missing where they share none. */
    shared?: SharedStatus | null;
    /** What waits to be stored; missing where there is no proxy. */
    stores?: QueueStatus | null;
    /** The upstreams, in the order of the configuration. */
    upstreams: UpstreamStatus[];
    /** Version of whittle. */
    version: string;
    /** The work on requests. */
    work: WorkStatus;
}

/** One comparison. */
export interface ShadowLine {
    /** Tokens of the compressed request, as the provider counted them. */
    compressed_tokens: number;
    /** Dollars that the answer to the original cost. */
    cost_usd: number;
    /** Words in common, 0 to 1, as SQuAD counts them. */
    f1: number;
    /** The model. */
    model: string;
    /** Tokens of the original request, as the provider counted them. */
    original_tokens: number;
    /** The id of the request, as in the ledger. */
    request_id: string;
    /** Whether both answers are equal but for case, punctuation, articles and spaces. */
    same: boolean;
    /** The time of the request, in UTC. */
    time: string;
    /** The upstream that answered. */
    upstream: string;
}

/** The comparisons of one model. */
export interface ShadowModel {
    /** Dollars that the answers to the originals cost. */
    cost_usd: number;
    /** Mean of the words in common, 0 to 1, as SQuAD counts them. */
    f1: number;
    /** The model. */
    model: string;
    /** Requests that were compared. */
    requests: number;
    /** Those whose answers are equal but for case, punctuation, articles and spaces. */
    same: number;
}

/** The comparisons of shadow requests. */
export interface ShadowReport {
    /** Single comparisons, the latest first. */
    comparisons: ShadowLine[];
    /** Sums over all comparisons that are stored, by model. */
    models: ShadowModel[];
}

/** The server that replicas share. */
export interface SharedStatus {
    /** Calls that failed or could not be made, since the service began. */
    errors: number;
    /** The reason why it cannot, if so. */
    reason?: string | null;
    /** Host and port. */
    server: string;
    /** True if it can be used now. */
    up: boolean;
}

/** A document to store. */
export interface SourceDocument {
    /** Unique in its collection, at most 512 bytes; by default a hash of the document. */
    id?: string | null;
    /** The layout of the text. */
    layout?: Layout;
    /** Free data, which filters look at. */
    metadata?: Record<string, unknown>;
    /** The text, which chunks and citations are ranges of. */
    text: string;
    /** Searched for as the text is. */
    title?: string | null;
}

/** A template. */
export interface TemplateInfo {
    /** The name as requested. */
    name: string;
    /** Rises with every change of its text, so that name and version say what a prompt was made with; none of a file of
     * the caller's. */
    version?: number | null;
}

/** Milliseconds by stage. */
export interface Timing {
    /** The whole call. */
    total: number;
}

/** Body of `POST /v1/score/tokens`. */
export interface TokenScoreRequest {
    /** Name of the scorer that is to score, with or without `local/` before it, or left out. */
    model?: string | null;
    /** The sequences to score, each by itself. */
    sequences: TokenSequence[];
    /** True if all of a prefix is read, as a reader would, up to the model's context. By default as much of it is as fits
     * half of the scorer's window. */
    whole?: boolean;
}

/** Answer of `POST /v1/score/tokens`. */
export interface TokenScoreResponse {
    /** Most tokens that the model was trained for. */
    context: number;
    /** The fingerprint of what scores depend on besides tokens: the model's files and the arithmetic. */
    identity: string;
    /** Model that scored. */
    model: string;
    /** The scores of each sequence, in the order sent. */
    sequences: TokenScores[];
    /** Most tokens that the scorer looks at together. */
    window: number;
}

/** The scores of a sequence of tokens. */
export interface TokenScores {
    /** The token ids that were scored. */
    ids: number[];
    /** Negative log-likelihood of each token in nats; null for a first token without context. */
    nll: (number | null)[];
}

/** Tokens to score, by their ids in the scorer's vocabulary. */
export interface TokenSequence {
    /** Token ids to score. */
    ids: number[];
    /** Token ids that condition the scores. */
    prefix?: number[];
}

/** Tokens of a prompt by part. */
export interface TokensByPart {
    /** Documents, with their numbers and titles. */
    documents: number;
    /** Examples. */
    examples: number;
    /** The instruction. */
    instruction: number;
    /** The question. */
    question: number;
    /** The template's own words, and joins. */
    template: number;
    /** All of it. */
    total: number;
}

/** A collection that cannot be read. */
export interface Unreadable {
    /** The name. */
    name: string;
    /** The cause. */
    reason: string;
}

/** Body of `POST /v1/collections/{name}/documents`. */
export interface UpsertRequest {
    /** Stored together or not at all; each takes the place of the one with its id, if there is one. */
    documents: SourceDocument[];
    /** Are chunks scored too, those of documents that were stored before included? Their likelihoods are kept on disk, so
     * that compressing what a search finds takes no model later, where the method has no use for the question. */
    score?: boolean;
}

/** The result of storing documents. */
export interface UpsertResponse {
    /** Documents that are new. */
    added: number;
    /** Lines of JSONL that are no documents and were left out. */
    bad?: BadLine[];
    /** Chunks of those that were stored now. */
    chunks: number;
    /** Ids, in the order sent, each once. */
    ids: string[];
    /** Chunks that were asked to be scored and had not been before. */
    scored: number;
    /** Milliseconds by stage: `parse` (of a file), `chunk`, `embed`, `score`, `store`. */
    timing_ms: Timing;
    /** Documents that were stored already, just as they are. */
    unchanged: number;
    /** Documents that took the place of others with their ids. */
    updated: number;
}

/** The answers of an upstream since the service began or last read its configuration. Each attempt counts, also one
 * that is made again, but none whose client left before it ended. */
export interface UpstreamHealth {
    /** Attempts that were answered, whatever the answer. */
    answers: number;
    /** Attempts that failed: those answered with 408, 429 or from 500 on, and those that were not answered. */
    failures: number;
    /** Milliseconds from the last answered request to the head of its answer. */
    last_ms?: number | null;
    /** The status of the last answer. */
    last_status?: number | null;
    /** The time of the last attempt's end, in UTC. */
    last_time?: string | null;
    /** The state, by the last attempt. */
    state: UpstreamState | (string & {});
}

/** The state of an upstream, by the last request that was sent to it. */
export type UpstreamState = "unknown" | "up" | "failing" | "unreachable";

/** An upstream and how it has answered. */
export interface UpstreamStatus extends UpstreamHealth {
    /** Its dialect, by the name that the configuration has for it. */
    dialect: string;
    /** Its name in the configuration. */
    name: string;
}

/** Token counts of the whole prompt, joins included. */
export interface Usage {
    /** The counts are estimates: the model's own tokenizer is not public. */
    approximate: boolean;
    /** Tokens of the compressed prompt. */
    compressed_tokens: number;
    /** Tokens of the prompt as it was sent. */
    original_tokens: number;
    /** Share of the tokens that was kept. */
    rate: number;
    /** Tokens asked for at most. */
    requested_tokens: number;
    /** The tokenizer that counted. */
    tokenizer: string;
}

/** A report of the ledger. */
export interface UsageReport {
    /** Savings of folding of tools' results, by rule and kind of result. */
    folding?: FoldingLine[] | null;
    /** Sums, one for each group, in the order of their days, models and keys. */
    groups?: Group[] | null;
    /** Held-out conversations compared with the others, where that was asked for. */
    holdout?: HoldoutReport | null;
    /** Requests that are in no ledger, because it could not be written, since the service began. */
    lost: number;
    /** The `after` that gives the next page, if there is one. */
    next?: string | null;
    /** Requests, in the order in which they came. */
    requests?: RequestLine[] | null;
    /** Beginning of what was looked at. */
    since: string;
    /** Sum of all groups. */
    total?: Numbers | null;
    /** End of it, not included. */
    until: string;
}

/** A vector, as it was asked for. */
export type Vector = number[] | string;

/** Something that the caller should know. */
export interface Warning {
    /** Stable name. */
    code: string;
    /** The message for people. */
    message: string;
}

/** The weights of the rankings in a fusion.
 * 
 * Recall of the passage that answers among all 2,600 of `data/nq`, 1,500 questions, at 1, 5 and 10, by rank offset and
 * weight of the ranking by words; by vectors alone it is 0.899, 0.989 and 0.993, by words alone 0.760, 0.921, 0.951
 * (0.765, 0.927, 0.953 since function words are not looked up, which left the default's row as it is):
 * 
 * | | 0.1 | 0.3 | 0.5 |
 * |---|---|---|---|
 * | offset 60 | 0.887, 0.991, 0.995 | 0.877, 0.985, 0.995 | 0.869, 0.978, 0.991 |
 * | offset 10 | 0.899, 0.989, 0.995 | 0.887, 0.991, 0.995 | 0.877, 0.990, 0.996 |
 * | offset 1 | 0.899, 0.990, 0.994 | 0.899, 0.991, 0.995 | 0.894, 0.990, 0.995 |
 * 
 * The sum of the cosine and a tenth of BM25, scaled to 1 for the best, gives 0.901, 0.991 and 0.996.
 * 
 * What else was tried to have more of these passages first: the best sentence's cosine added (0.3 of it: 0.911),
 * titles and texts embedded apart (0.903), other spellings of the question (0.904), the likelihood of the question
 * after the passage (0.004 more at best, on 500 questions), and a logistic regression over 21 such features, by
 * cross-validation (0.907). Of the questions whose passage is not first, a third have an answer in what is. */
export interface Weights {
    /** The weight of the vector ranking, at least 0. */
    dense?: number;
    /** The weight of the lexical ranking, at least 0. */
    lexical?: number;
}

/** A language whose endings can be taken off words. */
export type WordLanguage = "none" | "arabic" | "danish" | "dutch" | "english" | "finnish" | "french" | "german" | "greek" | "hungarian" | "italian" | "norwegian" | "portuguese" | "romanian" | "russian" | "spanish" | "swedish" | "tamil" | "turkish";

/** The decision on one word. */
export interface WordOutput {
    /** Whether the word is in the result. */
    kept: boolean;
    /** The kinds of the protected spans that the word has a part of: it is kept or dropped with all of them. */
    protected?: (Protection | (string & {}))[];
    /** Byte range of the text as it was sent, without the white space before the word. */
    range: number[];
}

/** The settings for searching the words of a collection. */
export interface WordSettings {
    /** True if a word with accents is another one than that without. */
    accents?: boolean;
    /** Language whose endings are taken off words, so that one form finds the others. */
    language?: WordLanguage | (string & {});
}

/** The work on requests. */
export interface WorkStatus {
    /** Most that are worked on at once, `limits.concurrency`. */
    concurrency: number;
    /** Most that may wait, `limits.queue`. */
    queue: number;
    /** Requests that are worked on or wait for their turn now. */
    requests: number;
}
