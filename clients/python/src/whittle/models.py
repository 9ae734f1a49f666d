"""What the service receives and answers. Written by scripts/models.py; do not edit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import Required, TypedDict


class RequestModel(BaseModel):
    """A part of a request. An unknown member is an error before anything is sent."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True, protected_namespaces=())


class ResponseModel(BaseModel):
    """A part of a response. Members that a newer service adds are kept."""

    model_config = ConfigDict(extra="allow", populate_by_name=True, protected_namespaces=())


class Choice(ResponseModel):
    """One of the choices of a question."""

    label: str
    """Such as `A`."""
    text: str
    """The text of the choice."""


class ChoiceParams(TypedDict, total=False):
    """The members of `Choice`, as arguments."""

    label: Required[str]
    """Such as `A`."""
    text: Required[str]
    """The text of the choice."""


class Example(ResponseModel):
    """A question with its answer, to be shown before another question."""

    answer: str
    """The answer; of a multiple choice, the label of the right one."""
    question: str
    """The question, without choices."""
    choices: list[Choice] = Field(default_factory=list)
    """The choices of a multiple-choice question."""
    id: str | None = None
    """Unique in its bank; by default a hash of everything else."""
    metadata: dict[str, Any] = Field(default_factory=dict)
    """Anything else."""
    thought: str | None = None
    """The chain of thought that leads to the answer."""


class ExampleParams(TypedDict, total=False):
    """The members of `Example`, as arguments."""

    answer: Required[str]
    """The answer; of a multiple choice, the label of the right one."""
    choices: Sequence[Choice | ChoiceParams]
    """The choices of a multiple-choice question."""
    id: str
    """Unique in its bank; by default a hash of everything else."""
    metadata: dict[str, Any]
    """Anything else."""
    question: Required[str]
    """The question, without choices."""
    thought: str | None
    """The chain of thought that leads to the answer."""


class AddRequest(RequestModel):
    """Body of `POST /v1/example-banks/{name}/examples`."""

    examples: list[Example]
    """Stored together or not at all; each takes the place of the one with its id, if there is one."""


class AddRequestParams(TypedDict, total=False):
    """The members of `AddRequest`, as arguments."""

    examples: Required[Sequence[Example | ExampleParams]]
    """Stored together or not at all; each takes the place of the one with its id, if there is one."""


class Timing(ResponseModel):
    """Milliseconds by stage."""

    total: float
    """The whole call."""


class AddResponse(ResponseModel):
    """The result of adding examples."""

    added: int
    """Examples that are new."""
    ids: list[str]
    """Ids, in the order sent, each once."""
    timing_ms: Timing
    """Milliseconds by stage: `embed`, `store`."""
    unchanged: int
    """Examples that were stored already, just as they are."""
    updated: int
    """Examples that took the place of others with their ids."""


class Mean(ResponseModel):
    """A mean with its 95% interval."""

    high: float
    """The upper end."""
    low: float
    """The lower end."""
    mean: float
    """The mean."""
    n: int
    """Conversations that it is made of."""


class ArmMeans(ResponseModel):
    """Means over conversations. What there is no sample of is left out."""

    cost_usd: Mean | None = None
    """Dollars; conversations of models without a price do not count."""
    failed: Mean | None = None
    """Share of the conversations that have an error."""
    input_tokens: Mean | None = None
    """Tokens of the input."""
    turns: Mean | None = None
    """Requests."""


class ArmFigures(ArmMeans):
    """The figures of one group of conversations."""

    conversations: int
    """Conversations."""
    errors: int
    """The number of requests that were not answered with success."""
    requests: int
    """Requests of these conversations."""


class BadLine(ResponseModel):
    """A line that is no document."""

    line: int
    """The line number, from 1; empty lines count."""
    reason: str
    """The description of the fault."""


class BankInfo(ResponseModel):
    """A bank of examples."""

    bytes: int
    """Bytes of its files."""
    dimensions: int
    """Values in a vector."""
    embedder: str
    """Model that makes the vectors of its questions."""
    epoch: int
    """Batches of changes that were acknowledged so far."""
    examples: int
    """Examples in it."""
    mended: list[str]
    """The descriptions of damage that was found and repaired on opening."""
    name: str
    """The name."""


class Unreadable(ResponseModel):
    """A collection that cannot be read."""

    name: str
    """The name."""
    reason: str
    """The cause."""


class BankList(ResponseModel):
    """Answer of `GET /v1/example-banks`."""

    banks: list[BankInfo]
    """All banks that can be read, by name."""
    unreadable: list[Unreadable] = Field(default_factory=list)
    """The banks that cannot be opened."""


class CacheStatus(ResponseModel):
    """A cache, since the service began."""

    bytes: int
    """Bytes in memory."""
    hits: int
    """Texts that were found, in memory or on disk."""
    misses: int
    """Texts that were not."""
    name: str
    """`scores`, `keys_values` or `vectors`."""


class Candidate(ResponseModel):
    """A chunk that was found."""

    chosen: bool
    """Whether any part of it is in the prompt."""
    collection: str
    """The collection of the source."""
    document_id: str
    """The id of the document."""
    range: list[int]
    """The byte range in the document's text."""
    score: float
    """The score, as in a search."""
    scores: dict[str, float]
    """The scores, as in a search."""


class ChunkSettings(ResponseModel):
    """The settings for chunking a text."""

    overlap: int = 32
    """Tokens at most that a chunk repeats from the end of the one before; less than half of `tokens`."""
    tokens: int = 220
    """Most tokens of a chunk, 16 to 8,192."""


class ChunkSettingsParams(TypedDict, total=False):
    """The members of `ChunkSettings`, as arguments."""

    overlap: int
    """Tokens at most that a chunk repeats from the end of the one before; less than half of `tokens`."""
    tokens: int
    """Most tokens of a chunk, 16 to 8,192."""


class Citation(ResponseModel):
    """The source of a number in the prompt."""

    collection: str
    """Collection of the document."""
    document_id: str
    """The document."""
    number: int
    """The number, from 1."""
    ranges: list[list[int]]
    """Byte ranges of the document's text that are in the prompt, in order."""
    title: str
    """The title that is shown beside the number."""


class IndexInfo(ResponseModel):
    """State of the indexes of a collection."""

    dead: int
    """Linked chunks that are gone; past a fifth the links are made anew."""
    fresh: int
    """Chunks that the dense index compares one by one."""
    lexical: int
    """Chunks that can be found by words."""
    linked: int
    """Chunks that the dense index has links for."""


WordLanguage = Literal["none", "arabic", "danish", "dutch", "english", "finnish", "french", "german", "greek", "hungarian", "italian", "norwegian", "portuguese", "romanian", "russian", "spanish", "swedish", "tamil", "turkish"]
"""A language whose endings can be taken off words."""


class WordSettings(ResponseModel):
    """The settings for searching the words of a collection."""

    accents: bool = False
    """True if a word with accents is another one than that without."""
    language: WordLanguage | str = 'english'
    """Language whose endings are taken off words, so that one form finds the others."""


class WordSettingsParams(TypedDict, total=False):
    """The members of `WordSettings`, as arguments."""

    accents: bool
    """True if a word with accents is another one than that without."""
    language: WordLanguage
    """Language whose endings are taken off words, so that one form finds the others."""


class CollectionInfo(ResponseModel):
    """A collection."""

    bytes: int
    """Bytes of its files."""
    chunking: ChunkSettings
    """The settings for chunking documents."""
    chunks: int
    """Chunks of them."""
    dimensions: int
    """Values in a vector."""
    documents: int
    """Documents in it."""
    embedder: str
    """Model that makes its vectors."""
    epoch: int
    """Batches of changes that were acknowledged so far."""
    index: IndexInfo
    """State of its indexes."""
    mended: list[str]
    """The descriptions of damage that was found and repaired on opening."""
    name: str
    """The name."""
    words: WordSettings
    """The settings for searching words."""


class CollectionList(ResponseModel):
    """Answer of `GET /v1/collections`."""

    collections: list[CollectionInfo]
    """All collections that can be read, by name."""
    unreadable: list[Unreadable] = Field(default_factory=list)
    """The collections that cannot be opened."""


Protection = Literal["numbers", "dates", "urls", "paths", "emails", "identifiers", "versions", "quotes", "code", "negations"]
"""Kinds of text that are protected, by name."""


RankBy = Literal["after", "before", "none"]
"""The likelihood that ranks documents: a mean negative log-likelihood (arXiv 2310.06839, and `condition_in_question`
of llmlingua)."""


Reorder = Literal["original", "sort", "two_stage"]
"""Order of the documents in a result."""


Granularity = Literal["token", "phrase", "sentence", "line"]
"""The smallest part of a text that is kept or dropped."""


class CompressOptions(RequestModel):
    """The options of a compression: what must be kept, and how. All of it in `exact` mode; `reference` mode knows
    `reorder`, `context_budget` and `dynamic_ratio`."""

    context_budget: str | None = None
    """The budget of the coarse filter: the tokens of documents, best first, that go on to the choice of words. `+100`
    is 100 more than there is room for, `*1.5` one and a half times the room; also `-` and `/`."""
    dynamic_ratio: float | None = None
    """The spread of keep rates, 0 to 1: how much more of its words the best document keeps than the average one,
    where the method is `longllmlingua`."""
    force_documents: list[str] = Field(default_factory=list)
    """Ids of documents of which something is kept whatever their rank."""
    force_numbers: bool = False
    """Every word with a digit in it is kept."""
    force_words: list[str] = Field(default_factory=list)
    """Words and phrases that are kept in every document wherever they stand as whole words, with the same
    capitals. At most 256, of at most 256 bytes each."""
    keep_first_sentences: int = 0
    """Sentences at the start of each document that are kept."""
    keep_last_sentences: int = 0
    """Sentences at the end of each document that are kept."""
    marks: bool | None = None
    """Do marks such as `[12 lines left out]` stand for lines, rows, code and turns that were left out? By default they
    do; in JSON there are none, so that it stays JSON."""
    min_document_tokens: int = 0
    """Tokens that are kept of each document at least, as far as it has so many."""
    protect: list[Protection] | None = None
    """Kinds of text that are kept or dropped whole, by default all. Quotations, say, may be cut where
    `quotes` is not among them."""
    protect_patterns: list[str] = Field(default_factory=list)
    """Regular expressions: what matches one is kept or dropped whole as well. At most 32, of at most 1,000
    bytes each. Matching takes linear time; there is no looking around and no reference back."""
    rank_by: RankBy | None = None
    """The likelihood that ranks documents where the method is `longllmlingua`: that of the question `after` each (the
    default), that of the document with the question `before` it, or `none`, that of the document by itself."""
    reorder: Reorder = 'original'
    """Order of the documents in the prompt, by default as sent."""
    unit: Granularity | None = None
    """The smallest part that is kept or dropped: `token` (a word, by default), `phrase` (by default where the
    method is `selective-context`), `sentence` or `line`."""


class CompressOptionsParams(TypedDict, total=False):
    """The members of `CompressOptions`, as arguments."""

    context_budget: str | None
    """The budget of the coarse filter: the tokens of documents, best first, that go on to the choice of words. `+100`
    is 100 more than there is room for, `*1.5` one and a half times the room; also `-` and `/`."""
    dynamic_ratio: float | None
    """The spread of keep rates, 0 to 1: how much more of its words the best document keeps than the average one,
    where the method is `longllmlingua`."""
    force_documents: Sequence[str]
    """Ids of documents of which something is kept whatever their rank."""
    force_numbers: bool
    """Every word with a digit in it is kept."""
    force_words: Sequence[str]
    """Words and phrases that are kept in every document wherever they stand as whole words, with the same
    capitals. At most 256, of at most 256 bytes each."""
    keep_first_sentences: int
    """Sentences at the start of each document that are kept."""
    keep_last_sentences: int
    """Sentences at the end of each document that are kept."""
    marks: bool | None
    """Do marks such as `[12 lines left out]` stand for lines, rows, code and turns that were left out? By default they
    do; in JSON there are none, so that it stays JSON."""
    min_document_tokens: int
    """Tokens that are kept of each document at least, as far as it has so many."""
    protect: Sequence[Protection] | None
    """Kinds of text that are kept or dropped whole, by default all. Quotations, say, may be cut where
    `quotes` is not among them."""
    protect_patterns: Sequence[str]
    """Regular expressions: what matches one is kept or dropped whole as well. At most 32, of at most 1,000
    bytes each. Matching takes linear time; there is no looking around and no reference back."""
    rank_by: RankBy | None
    """The likelihood that ranks documents where the method is `longllmlingua`: that of the question `after` each (the
    default), that of the document with the question `before` it, or `none`, that of the document by itself."""
    reorder: Reorder
    """Order of the documents in the prompt, by default as sent."""
    unit: Granularity | None
    """The smallest part that is kept or dropped: `token` (a word, by default), `phrase` (by default where the
    method is `selective-context`), `sentence` or `line`."""


class DocumentInput(RequestModel):
    """A document of a request."""

    text: str
    """The text to compress."""
    compress: bool | None = None
    """Is it compressed? Else it is kept whole."""
    id: str | None = None
    """Unique in the request; by default the document's place, from 0."""
    metadata: Any = None
    """Handed back untouched."""
    rate: float | None = None
    """Share of its tokens that is kept at most, 0 to 1; by default as much as it is worth."""
    title: str | None = None
    """Kept whole with the document."""


class DocumentInputParams(TypedDict, total=False):
    """The members of `DocumentInput`, as arguments."""

    compress: bool
    """Is it compressed? Else it is kept whole."""
    id: str | None
    """Unique in the request; by default the document's place, from 0."""
    metadata: Any
    """Handed back untouched."""
    rate: float | None
    """Share of its tokens that is kept at most, 0 to 1; by default as much as it is worth."""
    text: Required[str]
    """The text to compress."""
    title: str | None
    """Kept whole with the document."""


class KeyRule(RequestModel):
    """A rule for the strings under a key."""

    compress: bool = True
    """Whether the strings are compressed."""
    rate: float | None = None
    """Share of a string's tokens that is kept at most, 0 to 1; by default as much as it is worth."""
    removable: bool = False
    """May a member go when nothing is left of its string? Else something of it stays."""


class KeyRuleParams(TypedDict, total=False):
    """The members of `KeyRule`, as arguments."""

    compress: bool
    """Whether the strings are compressed."""
    rate: float | None
    """Share of a string's tokens that is kept at most, 0 to 1; by default as much as it is worth."""
    removable: bool
    """May a member go when nothing is left of its string? Else something of it stays."""


class JsonInput(RequestModel):
    """JSON to compress."""

    text: str
    """The JSON."""
    keys: dict[str, KeyRule] = Field(default_factory=dict)
    """The rules for strings, by the key that they or the object or array around them have; `*` is for all others.
    Without a rule of either kind strings stay as they are; without any rule all may become smaller. Keys, numbers,
    `true`, `false` and `null` never change."""


class JsonInputParams(TypedDict, total=False):
    """The members of `JsonInput`, as arguments."""

    keys: dict[str, KeyRule | KeyRuleParams]
    """The rules for strings, by the key that they or the object or array around them have; `*` is for all others.
    Without a rule of either kind strings stay as they are; without any rule all may become smaller. Keys, numbers,
    `true`, `false` and `null` never change."""
    text: Required[str]
    """The JSON."""


Method = Literal["auto", "hybrid", "extractive", "llmlingua", "longllmlingua", "llmlingua2", "selective-context", "prune", "lossless"]
"""A compression method."""


Mode = Literal["exact", "reference"]
"""The fidelity to a method's first implementation."""


Return = Literal["ranges", "scores", "words"]
"""Optional parts of the answer."""


class SectionInput(RequestModel):
    """A part of a text."""

    text: str
    """The text of the section."""
    compress: bool | None = None
    """Is it compressed? Else it is kept whole."""
    rate: float | None = None
    """Share of its tokens that is kept at most, 0 to 1; by default as much as it is worth."""


class SectionInputParams(TypedDict, total=False):
    """The members of `SectionInput`, as arguments."""

    compress: bool
    """Is it compressed? Else it is kept whole."""
    rate: float | None
    """Share of its tokens that is kept at most, 0 to 1; by default as much as it is worth."""
    text: Required[str]
    """The text of the section."""


class CompressRequest(RequestModel):
    """Body of `POST /v1/compress`."""

    context: str | None = None
    """One text to compress. Give this or one of the next four."""
    documents: list[DocumentInput] | None = None
    """Documents to compress."""
    instruction: str | None = None
    """Kept whole, before the documents."""
    json_: JsonInput | None = Field(default=None, alias='json')
    """JSON of which strings become smaller."""
    messages: list[dict[str, Any]] | None = None
    """Messages of `OpenAI`'s Chat or Anthropic's API, items of `OpenAI`'s Responses, or Gemini's contents, of which texts
    become smaller: those that the proxy finds, in results of tools, documents and search results too, and those of
    assistants. Where there is no `question`, the last words of the last user are one unless they are longer than 2,000
    bytes."""
    method: Method | None = None
    """Compression method."""
    mode: Mode | None = None
    """`exact` (default) or `reference`."""
    model: str | None = None
    """Model that the prompt is for; names its tokenizer where `tokenizer` is not given."""
    options: CompressOptions | None = None
    """The options of the compression: what must be kept, and how."""
    question: str | None = None
    """Kept whole, after the documents."""
    rate: float | None = None
    """Share of the tokens to keep, above 0 and at most 1. Give this or `target_tokens`; where every part has a rate of
    its own, neither is needed."""
    return_: list[Return] | None = Field(default=None, alias='return')
    """The optional parts of the response besides the prompt, by default `ranges`."""
    roles: list[str] | None = None
    """The roles whose texts are compressed, by default `user`, `assistant` and `tool`. Results of tools are `tool`, whatever
    the role of their message."""
    sections: list[SectionInput] | None = None
    """Parts of one text, with rates of their own; they follow each other with nothing between them."""
    tags: bool | None = None
    """Are the tags of llmlingua read in `context` or `documents`: `<llmlingua, rate=0.4>text</llmlingua>` and
    `<llmlingua, compress=False>text</llmlingua>`? They are not in the result."""
    target_tokens: int | None = None
    """Most tokens of the whole result, at least 1. Give this or `rate`."""
    tokenizer: str | None = None
    """Tokenizer to count with, by default `o200k_base`."""


class CompressRequestParams(TypedDict, total=False):
    """The members of `CompressRequest`, as arguments."""

    context: str | None
    """One text to compress. Give this or one of the next four."""
    documents: Sequence[DocumentInput | DocumentInputParams] | None
    """Documents to compress."""
    instruction: str | None
    """Kept whole, before the documents."""
    json_: JsonInput | JsonInputParams | None
    """JSON of which strings become smaller."""
    messages: Sequence[dict[str, Any]] | None
    """Messages of `OpenAI`'s Chat or Anthropic's API, items of `OpenAI`'s Responses, or Gemini's contents, of which texts
    become smaller: those that the proxy finds, in results of tools, documents and search results too, and those of
    assistants. Where there is no `question`, the last words of the last user are one unless they are longer than 2,000
    bytes."""
    method: Method | None
    """Compression method."""
    mode: Mode | None
    """`exact` (default) or `reference`."""
    model: str | None
    """Model that the prompt is for; names its tokenizer where `tokenizer` is not given."""
    options: CompressOptions | CompressOptionsParams
    """The options of the compression: what must be kept, and how."""
    question: str | None
    """Kept whole, after the documents."""
    rate: float | None
    """Share of the tokens to keep, above 0 and at most 1. Give this or `target_tokens`; where every part has a rate of
    its own, neither is needed."""
    return_: Sequence[Return] | None
    """The optional parts of the response besides the prompt, by default `ranges`."""
    roles: Sequence[str] | None
    """The roles whose texts are compressed, by default `user`, `assistant` and `tool`. Results of tools are `tool`, whatever
    the role of their message."""
    sections: Sequence[SectionInput | SectionInputParams] | None
    """Parts of one text, with rates of their own; they follow each other with nothing between them."""
    tags: bool
    """Are the tags of llmlingua read in `context` or `documents`: `<llmlingua, rate=0.4>text</llmlingua>` and
    `<llmlingua, compress=False>text</llmlingua>`? They are not in the result."""
    target_tokens: int | None
    """Most tokens of the whole result, at least 1. Give this or `rate`."""
    tokenizer: str | None
    """Tokenizer to count with, by default `o200k_base`."""


class WordOutput(ResponseModel):
    """The decision on one word."""

    kept: bool
    """Whether the word is in the result."""
    range: list[int]
    """Byte range of the text as it was sent, without the white space before the word."""
    protected: list[Protection | str] = Field(default_factory=list)
    """The kinds of the protected spans that the word has a part of: it is kept or dropped with all of them."""


class DocumentOutput(ResponseModel):
    """A compressed document."""

    id: str
    """The id as sent."""
    text: str
    """The compressed text, with marks in place of lines, rows, code and turns that were left out."""
    kept: list[list[int]] | None = None
    """Byte ranges of the text as it was sent that were kept, marks not counted. Where the method is `lossless`, those that stand in
    the new text as they were, beside the marks and columns that were put in."""
    left_out: dict[str, int] = Field(default_factory=dict)
    """The amounts that were left out as a whole, by kind."""
    metadata: Any = None
    """The metadata as sent."""
    rank: int | None = None
    """Place in the ranking, from 0 for the most valuable."""
    score: float | None = None
    """The score that the document was ranked by."""
    scores: list[float | None] | None = None
    """The score of each word, higher is better; null where the document was not scored."""
    words: list[WordOutput] | None = None
    """The document's words in order; `None` where the prompt fit without compression."""


class Usage(ResponseModel):
    """Token counts of the whole prompt, joins included."""

    approximate: bool
    """The counts are estimates: the model's own tokenizer is not public."""
    compressed_tokens: int
    """Tokens of the compressed prompt."""
    original_tokens: int
    """Tokens of the prompt as it was sent."""
    rate: float
    """Share of the tokens that was kept."""
    requested_tokens: int
    """Tokens asked for at most."""
    tokenizer: str
    """The tokenizer that counted."""


class Warning(ResponseModel):
    """Something that the caller should know."""

    code: str
    """Stable name."""
    message: str
    """The message for people."""


class CompressResponse(ResponseModel):
    """Answer of `POST /v1/compress`."""

    documents: list[DocumentOutput]
    """The compressed documents in the order sent."""
    id: str
    """Unique name of this answer."""
    left_out: dict[str, int]
    """The amounts that were left out as a whole, by kind: `lines`, `rows`, `records`, `turns`, `bytes` of blobs. What
    is left out of prose is not counted."""
    method: Method | str
    """Method that made it."""
    prompt: str
    """The compressed prompt."""
    reason: str
    """The reason for the choice of this method and depth."""
    timing_ms: Timing
    """Milliseconds by stage."""
    usage: Usage
    """Token counts."""
    warnings: list[Warning]
    """The warnings for the caller."""
    messages: list[dict[str, Any]] | None = None
    """The messages with what is left of their texts, where messages were sent."""


class CreateRequest(RequestModel):
    """Body of `PUT /v1/collections/{name}`."""

    chunking: ChunkSettings | None = None
    """The settings for chunking documents. It cannot be changed later."""
    words: WordSettings | None = None
    """The settings for searching words. It cannot be changed later."""


class CreateRequestParams(TypedDict, total=False):
    """The members of `CreateRequest`, as arguments."""

    chunking: ChunkSettings | ChunkSettingsParams
    """The settings for chunking documents. It cannot be changed later."""
    words: WordSettings | WordSettingsParams
    """The settings for searching words. It cannot be changed later."""


class DatabaseStatus(ResponseModel):
    """The database that holds collections."""

    errors: int
    """Transactions that failed, since the service began."""
    in_use: int
    """Connections that are in use."""
    server: str
    """Host, port and database."""
    up: bool
    """True if it can be used now."""
    waiting: int
    """Requests that wait for a connection."""
    reason: str | None = None
    """The reason why it cannot, if so."""


class DeleteRequest(RequestModel):
    """Body of `POST /v1/collections/{name}/delete`."""

    filter: dict[str, Any] | None = None
    """Documents by metadata. Give this or `ids`. A field that no document has is refused where a document meets the
    filter by not having it, as under `not`: misspelt, it would mean them all."""
    ids: list[str] | None = None
    """Documents by id; those that do not exist are passed over. Give this or `filter`."""


class DeleteRequestParams(TypedDict, total=False):
    """The members of `DeleteRequest`, as arguments."""

    filter: dict[str, Any] | None
    """Documents by metadata. Give this or `ids`. A field that no document has is refused where a document meets the
    filter by not having it, as under `not`: misspelt, it would mean them all."""
    ids: Sequence[str] | None
    """Documents by id; those that do not exist are passed over. Give this or `filter`."""


class DeleteResponse(ResponseModel):
    """Answer to a deletion."""

    deleted: int
    """Documents that are gone now."""
    warnings: list[Warning] = Field(default_factory=list)
    """The warnings for the caller."""


Layout = Literal["plain", "markdown", "code"]
"""The layout of a text."""


class DocumentInfo(ResponseModel):
    """A document as it is stored."""

    id: str
    """Unique in its collection."""
    layout: Layout | str
    """The layout as given."""
    text: str
    """The text as given."""
    metadata: dict[str, Any] = Field(default_factory=dict)
    """The metadata as given."""
    title: str | None = None
    """The title as given."""


class DocumentPage(ResponseModel):
    """Some of a collection's documents, in the order in which they were stored."""

    documents: list[DocumentInfo]
    """The documents."""
    next: int | None = None
    """The `from` of the next page; none at the end."""


class EmbedderUsage(ResponseModel):
    """Tokens that the embedder read."""

    prompt_tokens: int
    """Tokens of the texts."""
    total_tokens: int
    """The number of tokens, equal to `prompt_tokens`."""


Vector = list[float] | str
"""A vector, as it was asked for."""


class Embedding(ResponseModel):
    """Vector of one text."""

    embedding: Vector
    """The vector, of length 1."""
    index: int
    """Place of the text in the request, from 0."""
    object: str
    """Always `embedding`."""


Encoding = Literal["float", "base64"]
"""The encoding of vectors."""


InputType = Literal["document", "query"]
"""The use of texts that are embedded."""


class EmbeddingsRequest(RequestModel):
    """Body of `POST /v1/embeddings`, as `OpenAI`'s clients send it. Fields that are not listed are passed over."""

    input: str | Sequence[str] | Sequence[int] | Sequence[Sequence[int]]
    """A text, a list of texts, the token ids of a text, or a list of such ids. Ids are those of `cl100k_base`,
    which `OpenAI`'s clients send."""
    dimensions: int | None = None
    """Values of a vector; only as many as the model gives."""
    encoding_format: Encoding | None = None
    """`float` (default) or `base64`."""
    input_type: InputType | None = None
    """The use of the texts, `document` (default) or `query`: some models read questions otherwise. Whatever is none of
    these counts as `document`."""
    model: str | None = None
    """Name of the configured embedder, with or without `local/` before it, or left out."""


class EmbeddingsRequestParams(TypedDict, total=False):
    """The members of `EmbeddingsRequest`, as arguments."""

    dimensions: int | None
    """Values of a vector; only as many as the model gives."""
    encoding_format: Encoding
    """`float` (default) or `base64`."""
    input: Required[str | Sequence[str] | Sequence[int] | Sequence[Sequence[int]]]
    """A text, a list of texts, the token ids of a text, or a list of such ids. Ids are those of `cl100k_base`,
    which `OpenAI`'s clients send."""
    input_type: InputType
    """The use of the texts, `document` (default) or `query`: some models read questions otherwise. Whatever is none of
    these counts as `document`."""
    model: str | None
    """Name of the configured embedder, with or without `local/` before it, or left out."""


class EmbeddingsResponse(ResponseModel):
    """Answer of `POST /v1/embeddings`."""

    data: list[Embedding]
    """A vector for each text, in the order sent."""
    identity: str
    """The fingerprint of the model's files, by which collections tell it from others of its name."""
    model: str
    """Model that made them."""
    object: str
    """Always `list`."""
    usage: EmbedderUsage
    """Token counts."""


class ErrorBody(ResponseModel):
    """The error."""

    code: str
    """Stable name."""
    message: str
    """The message for people; names the remedy."""
    type: str
    """`invalid_request_error` where the caller can mend it, else `server_error`."""
    param: str | None = None
    """Field or header of the request that is at fault."""


class ErrorEnvelope(ResponseModel):
    """Body of every answer that is not a success."""

    error: ErrorBody


class EvaluationRun(ResponseModel):
    """A run of an evaluation."""

    name: str
    """Its folder, as `page.evaluations` names the one that it lies in: `eval/results/nq`."""
    questions: int | None = None
    """Questions."""
    suite: str | None = None
    """The suite; none where the summary cannot be read."""
    version: str | None = None
    """The version of whittle that ran it, with the revision of the repository where there was one."""


class EvaluationList(ResponseModel):
    """The evaluations that were found."""

    more: bool
    """Whether there are more than are listed."""
    runs: list[EvaluationRun]
    """The runs, in the order of their names."""


class ExampleCandidate(ResponseModel):
    """An example that was found."""

    bank: str
    """The bank of the example."""
    chosen: bool
    """Whether the example is in the prompt."""
    id: str
    """The id in the bank."""
    similarity: float
    """Cosine between its question and the one that is asked."""


class ExamplePage(ResponseModel):
    """Some of a bank's examples, in the order in which they were stored."""

    examples: list[Example]
    """The examples."""
    next: int | None = None
    """The `from` of the next page; none at the end."""


class ExtractResponse(ResponseModel):
    """Answer of `PUT /v1/extract`."""

    text: str
    """The text: that of the file as it is, or Markdown."""
    title: str | None = None
    """The title that the file itself has."""


class FoldingLine(ResponseModel):
    """The savings of one rule on results of one kind."""

    kind: str
    """Kind of the results: `prose`, `code`, `json`, `log`, `diff`, `table`, `chat`, or `search` for hits of a search."""
    requests: int
    """Requests with such a result."""
    rule: str
    """Name of the rule."""
    saved_tokens: int
    """Tokens that were left out, counted in each request that would have had them."""
    saving_usd: float
    """Dollars that this saved on requests with a price, less its part of the cost of the work."""


class Numbers(ResponseModel):
    """Sums over requests."""

    cache_read_tokens: int
    """Tokens of the input that came from providers' caches."""
    cache_write_tokens: int
    """Tokens of the input that went into providers' caches."""
    compressor_ms: float
    """Milliseconds of work on texts."""
    cost_usd: float
    """Dollars that the requests with a price cost."""
    errors: int
    """The number of requests that were not answered with success, streams that ended in an error included."""
    estimated: int
    """Requests of which the provider did not say what they took: it is estimated from the lengths."""
    input_tokens: int
    """Tokens of the input that providers counted, those from and to their caches included."""
    output_tokens: int
    """Tokens of the output."""
    requests: int
    """Requests."""
    saving_usd: float
    """Dollars that compression saved on them, less its own cost; below 0 where that was more."""
    text_tokens_after: int
    """The number of tokens after compression."""
    text_tokens_before: int
    """Tokens of the texts that were compressed, before."""
    unpriced: int
    """Requests of models without a price, which are in neither sum of dollars."""


class Group(Numbers):
    """Sums of a group. What it is not grouped by is left out."""

    day: str | None = None
    """The day, in UTC."""
    key: str | None = None
    """Id of the key; empty where requests came without one."""
    model: str | None = None
    """The model; empty where requests passed unread."""
    reason: str | None = None
    """The reason why texts went on as they came, as `x-whittle-status` has it: that of a text, or `unchanged` or
    `bypassed`; empty where all were compressed."""
    upstream: str | None = None
    """The upstream."""


class Health(ResponseModel):
    """State of the service."""

    status: str
    """`ok`; of readiness, `ready` or `idle`, where the models load with the first request."""
    version: str
    """Version of whittle."""
    postgres: str | None = None
    """`up` where collections are in PostgreSQL; missing where they are in the data folder."""
    shared: str | None = None
    """`up` or `away`: the state of the server that replicas share; missing where they share none."""


class HoldoutReport(ResponseModel):
    """A comparison of held-out conversations with the others."""

    changed: ArmFigures
    """Conversations whose texts were changed where that saves something."""
    difference: ArmMeans
    """The means of changed conversations less those of held-out ones, with their 95% intervals by resampling."""
    held_out: ArmFigures
    """Conversations that went on as they came."""


class KeyInfo(ResponseModel):
    """A key, all but its secret."""

    admin: bool
    """Whether the key may read metrics and the usage of other keys, and change keys."""
    created: str
    """The time of its creation."""
    id: str
    """The id, which names the key in the ledger."""
    models: list[str]
    """Models that it may call, in whose names `*` stands for any characters; all where there is none."""
    name: str
    """The name that its owner gave it."""
    requests_per_minute: int | None = None
    """Requests a minute, at least 1."""
    revoked: str | None = None
    """The time of its revocation, if any."""
    tokens_per_minute: int | None = None
    """Tokens a minute, input and output together, at least 1."""
    usd_per_day: float | None = None
    """Dollars a day in UTC, above 0."""


class KeyCreated(ResponseModel):
    """Answer of `POST /v1/keys`."""

    key: KeyInfo
    """The key."""
    secret: str
    """The secret that callers send, which is stored nowhere and told this once."""


class KeyList(ResponseModel):
    """All keys."""

    keys: list[KeyInfo]
    """The keys in the order in which they were made, revoked ones included."""


class KeyRequest(RequestModel):
    """Body of `POST /v1/keys`."""

    name: str
    """The name, 1 to 64 characters."""
    admin: bool | None = None
    """Whether the key may read metrics and the usage of other keys, and change keys."""
    models: list[str] = Field(default_factory=list)
    """Models that it may call, in whose names `*` stands for any characters; all where there is none."""
    requests_per_minute: int | None = None
    """Requests a minute, at least 1."""
    tokens_per_minute: int | None = None
    """Tokens a minute, input and output together, at least 1."""
    usd_per_day: float | None = None
    """Dollars a day in UTC, above 0."""


class KeyRequestParams(TypedDict, total=False):
    """The members of `KeyRequest`, as arguments."""

    admin: bool
    """Whether the key may read metrics and the usage of other keys, and change keys."""
    models: Sequence[str]
    """Models that it may call, in whose names `*` stands for any characters; all where there is none."""
    name: Required[str]
    """The name, 1 to 64 characters."""
    requests_per_minute: int | None
    """Requests a minute, at least 1."""
    tokens_per_minute: int | None
    """Tokens a minute, input and output together, at least 1."""
    usd_per_day: float | None
    """Dollars a day in UTC, above 0."""


class TemplateInfo(ResponseModel):
    """A template."""

    name: str
    """The name as requested."""
    version: int | None = None
    """Rises with every change of its text, so that name and version say what a prompt was made with; none of a file of
    the caller's."""


class TokensByPart(ResponseModel):
    """Tokens of a prompt by part."""

    documents: int
    """Documents, with their numbers and titles."""
    examples: int
    """Examples."""
    instruction: int
    """The instruction."""
    question: int
    """The question."""
    template: int
    """The template's own words, and joins."""
    total: int
    """All of it."""


class Ledger(ResponseModel):
    """The record of how a prompt was built."""

    approximate: bool
    """The counts are estimates: the model's own tokenizer is not public."""
    candidates: list[Candidate]
    """Chunks that were found, best first."""
    chosen: int
    """Candidates of which something is in the prompt."""
    examples: list[ExampleCandidate]
    """Examples that were found, the most similar one first."""
    found_tokens: int
    """Tokens of what was found, before it was compressed."""
    method: Method | str
    """Method that compressed."""
    requested_tokens: int
    """Most tokens that were asked for."""
    template: TemplateInfo
    """Template that it was rendered with."""
    tokenizer: str
    """The tokenizer that counted."""
    tokens: TokensByPart
    """Tokens of the prompt by part."""


class Message(ResponseModel):
    """A chat message."""

    content: str
    """The text of the message."""
    role: str
    """`system` or `user`."""


OnBad = Literal["refuse", "skip"]
"""The treatment of a line, or a file, that is no document."""


PromptFormat = Literal["text", "messages"]
"""Form of a prompt."""


SearchMode = Literal["lexical", "dense", "hybrid"]
"""The ranking that a search uses."""


RerankBy = Literal["relevance", "likelihood"]
"""The model that reranks results.

Of the 1,500 questions of `data/nq` relevance raises recall at 1 from 0.899 to 0.907 for 20 results. Likelihood costs
the scorer all their tokens and has not paid so far: of 40 of the questions it puts the right passage first 23 times,
where both relevance and the search itself do 35 times."""


class Weights(RequestModel):
    """The weights of the rankings in a fusion.
    
    Recall of the passage that answers among all 2,600 of `data/nq`, 1,500 questions, at 1, 5 and 10, by rank offset and
    weight of the ranking by words; by vectors alone it is 0.899, 0.989 and 0.993, by words alone 0.760, 0.921, 0.951
    (0.765, 0.927, 0.953 since function words are not looked up, which left the default's row as it is):
    
    | | 0.1 | 0.3 | 0.5 |
    |---|---|---|---|
    | offset 60 | 0.887, 0.991, 0.995 | 0.877, 0.985, 0.995 | 0.869, 0.978, 0.991 |
    | offset 10 | 0.899, 0.989, 0.995 | 0.887, 0.991, 0.995 | 0.877, 0.990, 0.996 |
    | offset 1 | 0.899, 0.990, 0.994 | 0.899, 0.991, 0.995 | 0.894, 0.990, 0.995 |
    
    The sum of the cosine and a tenth of BM25, scaled to 1 for the best, gives 0.901, 0.991 and 0.996.
    
    What else was tried to have more of these passages first: the best sentence's cosine added (0.3 of it: 0.911),
    titles and texts embedded apart (0.903), other spellings of the question (0.904), the likelihood of the question
    after the passage (0.004 more at best, on 500 questions), and a logistic regression over 21 such features, by
    cross-validation (0.907). Of the questions whose passage is not first, a third have an answer in what is."""

    dense: float = 1.0
    """The weight of the vector ranking, at least 0."""
    lexical: float = 0.3
    """The weight of the lexical ranking, at least 0."""


class WeightsParams(TypedDict, total=False):
    """The members of `Weights`, as arguments."""

    dense: float
    """The weight of the vector ranking, at least 0."""
    lexical: float
    """The weight of the lexical ranking, at least 0."""


class SearchRequest(RequestModel):
    """Body of `POST /v1/collections/{name}/search`."""

    diversity: float | None = None
    """0 to 1: how much a result that is like one before it is passed over."""
    filter: dict[str, Any] | None = None
    """The filter on documents by metadata: `{"field": "year", "gte": 1990}`, with `eq`, `in`, `gt`, `gte`, `lt`,
    `lte`, `exists`; `{"and": [...]}`, `{"or": [...]}`, `{"not": {...}}`."""
    min_score: float | None = None
    """Results with a lower `score` are left out."""
    mode: SearchMode | None = None
    """The ranking to search by."""
    query: str | None = None
    """The query. In a prompt's `search` it may be left out."""
    rerank: int | None = None
    """The number of best results to rerank, at most 100. 0, the default, leaves the order alone."""
    rerank_by: RerankBy | None = None
    """The model that reranks."""
    rerank_deadline_ms: int | None = None
    """Milliseconds that this may take; if it takes longer the order stays, and a warning says so. A model that no
    request has needed before is waited for all the same."""
    top_k: int | None = None
    """Most results, 1 to 1,000."""
    weights: Weights | None = None
    """The weights of the rankings in `hybrid`, at least 0."""


class SearchRequestParams(TypedDict, total=False):
    """The members of `SearchRequest`, as arguments."""

    diversity: float
    """0 to 1: how much a result that is like one before it is passed over."""
    filter: dict[str, Any] | None
    """The filter on documents by metadata: `{"field": "year", "gte": 1990}`, with `eq`, `in`, `gt`, `gte`, `lt`,
    `lte`, `exists`; `{"and": [...]}`, `{"or": [...]}`, `{"not": {...}}`."""
    min_score: float | None
    """Results with a lower `score` are left out."""
    mode: SearchMode
    """The ranking to search by."""
    query: str
    """The query. In a prompt's `search` it may be left out."""
    rerank: int
    """The number of best results to rerank, at most 100. 0, the default, leaves the order alone."""
    rerank_by: RerankBy
    """The model that reranks."""
    rerank_deadline_ms: int | None
    """Milliseconds that this may take; if it takes longer the order stays, and a warning says so. A model that no
    request has needed before is waited for all the same."""
    top_k: int
    """Most results, 1 to 1,000."""
    weights: Weights | WeightsParams
    """The weights of the rankings in `hybrid`, at least 0."""


class SelectRequest(RequestModel):
    """Body of `POST /v1/example-banks/{name}/select`."""

    balance: bool | None = None
    """Whether answers are balanced: no answer may be that of more examples than its share, as long as there are
    others among the nearest 256."""
    count: int | None = None
    """The number of examples, 1 to 100."""
    diversity: float | None = None
    """0 takes the nearest; up to 1, the more an example is like one that was chosen already, the less it counts."""
    duplicate: float | None = None
    """Examples as near to the question as this, by the cosine, are the question itself in other words and are left
    out; at least 0, and above 1 leaves out none for its nearness."""
    question: str | None = None
    """The question that the examples are selected for. In a prompt's `selection` it may be left out."""
    shuffle: int | None = None
    """Seed of the order that the choices of each example are put into, their labels staying in theirs; the answer is
    then the label of the same text, and the thought is left out. Without one they stay as they were stored."""


class SelectRequestParams(TypedDict, total=False):
    """The members of `SelectRequest`, as arguments."""

    balance: bool
    """Whether answers are balanced: no answer may be that of more examples than its share, as long as there are
    others among the nearest 256."""
    count: int
    """The number of examples, 1 to 100."""
    diversity: float
    """0 takes the nearest; up to 1, the more an example is like one that was chosen already, the less it counts."""
    duplicate: float
    """Examples as near to the question as this, by the cosine, are the question itself in other words and are left
    out; at least 0, and above 1 leaves out none for its nearness."""
    question: str
    """The question that the examples are selected for. In a prompt's `selection` it may be left out."""
    shuffle: int | None
    """Seed of the order that the choices of each example are put into, their labels staying in theirs; the answer is
    then the label of the same text, and the thought is left out. Without one they stay as they were stored."""


class PromptRequest(RequestModel):
    """Body of `POST /v1/prompt`."""

    question: str
    """The question to answer."""
    target_tokens: int
    """Most tokens of the whole prompt, template and joins included, at least 1. A provider may add a few of its own
    around messages."""
    banks: list[str] = Field(default_factory=list)
    """Banks that solved examples are taken from, at most 16."""
    collections: list[str] = Field(default_factory=list)
    """Collections to answer it from, at most 16; none only where there are banks."""
    examples: int | None = None
    """Examples that are shown at most, of all banks together, 1 to 100; 5 by default. Each is shown whole, the most
    similar one last, and beside documents all of them together fill no more than half of the room. Short for the
    `count` of `selection`, which stands alone."""
    filter: dict[str, Any] | None = None
    """The filter on documents, as in a search."""
    format: PromptFormat | None = None
    """Form of the prompt."""
    instruction: str | None = None
    """The additional instruction to the model."""
    method: Method | None = None
    """The method that compresses the documents found."""
    mode: SearchMode | None = None
    """The ranking to search by. This and the two below are short for the same fields of `search`, which stands alone."""
    model: str | None = None
    """Model that the prompt is for; names its tokenizer where `tokenizer` is not given."""
    search: SearchRequest | None = None
    """The search in each collection, as by the route of a collection; its `query` defaults to the question."""
    selection: SelectRequest | None = None
    """The selection of examples from each bank, as by the route of a bank; its `question` defaults to the request's."""
    template: str | None = None
    """Template, by default `answer`."""
    tokenizer: str | None = None
    """Tokenizer to count with, by default `o200k_base`."""
    top_k: int | None = None
    """Chunks that are taken from each collection at most, 1 to 1,000; 10 by default."""


class PromptRequestParams(TypedDict, total=False):
    """The members of `PromptRequest`, as arguments."""

    banks: Sequence[str]
    """Banks that solved examples are taken from, at most 16."""
    collections: Sequence[str]
    """Collections to answer it from, at most 16; none only where there are banks."""
    examples: int | None
    """Examples that are shown at most, of all banks together, 1 to 100; 5 by default. Each is shown whole, the most
    similar one last, and beside documents all of them together fill no more than half of the room. Short for the
    `count` of `selection`, which stands alone."""
    filter: dict[str, Any] | None
    """The filter on documents, as in a search."""
    format: PromptFormat
    """Form of the prompt."""
    instruction: str | None
    """The additional instruction to the model."""
    method: Method | None
    """The method that compresses the documents found."""
    mode: SearchMode | None
    """The ranking to search by. This and the two below are short for the same fields of `search`, which stands alone."""
    model: str | None
    """Model that the prompt is for; names its tokenizer where `tokenizer` is not given."""
    question: Required[str]
    """The question to answer."""
    search: SearchRequest | SearchRequestParams | None
    """The search in each collection, as by the route of a collection; its `query` defaults to the question."""
    selection: SelectRequest | SelectRequestParams | None
    """The selection of examples from each bank, as by the route of a bank; its `question` defaults to the request's."""
    target_tokens: Required[int]
    """Most tokens of the whole prompt, template and joins included, at least 1. A provider may add a few of its own
    around messages."""
    template: str | None
    """Template, by default `answer`."""
    tokenizer: str | None
    """Tokenizer to count with, by default `o200k_base`."""
    top_k: int | None
    """Chunks that are taken from each collection at most, 1 to 1,000; 10 by default."""


class PromptResponse(ResponseModel):
    """Answer of `POST /v1/prompt`."""

    citations: list[Citation]
    """The citations: the sources of the numbers in the prompt."""
    id: str
    """Unique name of this answer."""
    ledger: Ledger
    """The record of how the prompt was built."""
    timing_ms: Timing
    """Milliseconds by stage: `examples`, `retrieve`, `compress`."""
    warnings: list[Warning]
    """The warnings for the caller."""
    messages: list[Message] | None = None
    """The prompt, where it was asked for as messages."""
    prompt: str | None = None
    """The prompt, where it was asked for as text."""


class QueueStatus(ResponseModel):
    """What waits to be stored, and what was lost since the service began."""

    ledger_lost: int
    """Entries of the ledger that could not be stored."""
    ledger_waiting: int
    """Entries of the ledger that are not committed yet. They are in its journal, so that a kill loses none."""
    originals_bytes: int
    """Bytes of originals that are stored."""
    originals_lost: int
    """Originals that could not be stored."""
    originals_waiting: int
    """Bytes of originals that wait to be."""


class RecoverDocument(RequestModel):
    """A document before compression."""

    kept: list[list[int]]
    """`documents[].kept` of the answer to `/v1/compress`."""
    text: str
    """The original text."""
    id: str | None = None
    """Handed back with what is restored from it; by default the document's place, from 0."""


class RecoverDocumentParams(TypedDict, total=False):
    """The members of `RecoverDocument`, as arguments."""

    id: str | None
    """Handed back with what is restored from it; by default the document's place, from 0."""
    kept: Required[Sequence[Sequence[int]]]
    """`documents[].kept` of the answer to `/v1/compress`."""
    text: Required[str]
    """The original text."""


class RecoverRequest(RequestModel):
    """Body of `POST /v1/recover`."""

    documents: list[RecoverDocument]
    """The documents as they were sent to `/v1/compress`, with what it kept of them."""
    response: str
    """The model's response to the compressed prompt."""


class RecoverRequestParams(TypedDict, total=False):
    """The members of `RecoverRequest`, as arguments."""

    documents: Required[Sequence[RecoverDocument | RecoverDocumentParams]]
    """The documents as they were sent to `/v1/compress`, with what it kept of them."""
    response: Required[str]
    """The model's response to the compressed prompt."""


class RestoredOutput(ResponseModel):
    """A phrase that was restored."""

    document: str
    """Id of the document that it is from."""
    range: list[int]
    """Byte range in the response as it was sent."""
    restored_range: list[int]
    """Byte range in the response as it is given back."""
    source: list[int]
    """Byte range in that document's original text."""


class RecoverResponse(ResponseModel):
    """Answer of `POST /v1/recover`."""

    response: str
    """The response with phrases of the original in place of shortened ones."""
    restored: list[RestoredOutput]
    """The restored passages in order."""


class RemoteModel(ResponseModel):
    """A model on another machine, as it is configured and as it last answered."""

    kind: str
    """The form that its server is asked in."""
    model: str
    """The name that the server has for it."""
    role: str
    """The use of the model: `scorer`, `embedder` or `reranker`."""
    state: str
    """The state: `ready`; `idle` where it was not asked yet, or failed some time ago; `failed` where it failed within the
    last ten seconds."""
    url: str
    """The base URL of the server."""
    fallback: str | None = None
    """The local model that takes its place in rankings, where there is one."""


class RequestLine(Numbers):
    """One request."""

    model: str
    """The model; empty where it passed unread."""
    request_id: str
    """The id of the request."""
    status: int
    """Status of the answer; 499 where the client left before there was one."""
    time: str
    """The time of the request."""
    upstream: str
    """The upstream."""
    key: str | None = None
    """Id of the key that it came with."""
    reason: str | None = None
    """The reason why texts went on as they came, as `x-whittle-status` has it: that of a text, or `unchanged` or
    `bypassed`."""


class RerankText(ResponseModel):
    """A document as an object."""

    text: str
    """The text of the document."""


class RerankTextParams(TypedDict, total=False):
    """The members of `RerankText`, as arguments."""

    text: Required[str]
    """The text of the document."""


RerankDocument = str | RerankText
"""A document to rank."""


class RerankVersion(ResponseModel):
    """Version of Cohere's API that an answer is in the form of."""

    version: str
    """Always `1`."""


class RerankTokens(ResponseModel):
    """Tokens as Cohere's API counts them."""

    input_tokens: int
    """Tokens of the query and the documents."""
    output_tokens: int
    """Always 0."""


class RerankMeta(ResponseModel):
    """The metadata of a response in Cohere's API."""

    api_version: RerankVersion
    """Version of that API."""
    tokens: RerankTokens
    """Token counts."""


class RerankRequest(RequestModel):
    """Body of `POST /v1/rerank`, as clients of Cohere and Jina send it. Fields that are not listed are passed over."""

    documents: list[RerankDocument]
    """Texts, or objects with a `text`."""
    query: str
    """The query that documents are ranked by."""
    model: str | None = None
    """Name of the configured reranker or embedder, with or without `local/` before it. Left out, the reranker ranks where one
    is configured, else the embedder."""
    return_documents: bool | None = None
    """Whether results include the texts, as objects, however they were sent."""
    top_n: int | None = None
    """Most results; by default all."""


class RerankRequestParams(TypedDict, total=False):
    """The members of `RerankRequest`, as arguments."""

    documents: Required[Sequence[RerankDocument]]
    """Texts, or objects with a `text`."""
    model: str | None
    """Name of the configured reranker or embedder, with or without `local/` before it. Left out, the reranker ranks where one
    is configured, else the embedder."""
    query: Required[str]
    """The query that documents are ranked by."""
    return_documents: bool
    """Whether results include the texts, as objects, however they were sent."""
    top_n: int | None
    """Most results; by default all."""


class RerankResult(ResponseModel):
    """A document and its worth."""

    index: int
    """The index in the request, from 0."""
    relevance_score: float
    """0 to 1, the more the better. An order, not a probability; of a reranker, the sigmoid of its score."""
    document: RerankText | None = None
    """The text, where it was requested."""


class RerankResponse(ResponseModel):
    """Answer of `POST /v1/rerank`."""

    id: str
    """Unique name of this answer."""
    meta: RerankMeta
    """Token counts, where Cohere's clients look for them."""
    model: str
    """Model that ranked: the reranker or the embedder."""
    results: list[RerankResult]
    """The documents, the most relevant first."""
    usage: EmbedderUsage
    """Token counts, where Jina's clients look for them."""


class ScoreRequest(RequestModel):
    """Body of `POST /v1/score`."""

    text: str
    """Text to score."""
    prefix: str | None = None
    """Text that conditions the scores."""


class ScoreRequestParams(TypedDict, total=False):
    """The members of `ScoreRequest`, as arguments."""

    prefix: str | None
    """Text that conditions the scores."""
    text: Required[str]
    """Text to score."""


class ScoreResponse(ResponseModel):
    """Answer of `POST /v1/score`."""

    ids: list[int]
    """Token ids of the text."""
    model: str
    """Model that scored."""
    nll: list[float | None]
    """Negative log-likelihood of each token in nats; null for a first token without context."""
    ranges: list[list[int]]
    """Byte range of each token in the text."""
    seconds: float
    """Time of the scoring."""
    tokens: list[str]
    """The tokens' texts; bytes that are not UTF-8 by themselves show as U+FFFD."""
    tokens_per_second: float
    """Scored and conditioning tokens over `seconds`."""
    mean_nll: float | None = None
    """Mean of `nll`; null when nothing was scored."""
    perplexity: float | None = None
    """The perplexity, exp(`mean_nll`)."""


class SearchResult(ResponseModel):
    """A chunk that was found."""

    chunk_id: str
    """The document's id, `#` and its place among the document's chunks, from 0."""
    document_id: str
    """Document that it is a part of."""
    range: list[int]
    """The byte range in the document's text, without the header."""
    score: float
    """The score that results are ranked by: BM25 (`lexical`), the cosine (`dense`), or the sum of weight / (1 + rank)
    (`hybrid`)."""
    scores: dict[str, float]
    """The scores by `lexical` and `dense`, where it was among the best by them, and by `rerank`, 0 to 1, where it was
    put in order anew: by likelihood that is the probability of a token of the query, in the geometric mean."""
    text: str
    """The text of the chunk; where it begins inside a table, the table's header precedes it on a line of its own."""
    header: list[int] | None = None
    """The byte range of the header, if there is one."""
    headings: list[str] = Field(default_factory=list)
    """Headings that it stands under, outermost first."""
    metadata: dict[str, Any] = Field(default_factory=dict)
    """Metadata of the document."""
    title: str | None = None
    """Title of the document."""


class SearchResponse(ResponseModel):
    """Answer of `POST /v1/collections/{name}/search`."""

    results: list[SearchResult]
    """The best chunks, best first."""
    timing_ms: Timing
    """Milliseconds by stage: `embed`, `search`, `rerank`."""
    warnings: list[Warning]
    """The warnings for the caller."""


class SelectedExample(ResponseModel):
    """An example that was chosen."""

    example: Example
    """The example, its choices in the order asked for."""
    similarity: float
    """Cosine between its question and the one that it is chosen for."""


class SelectResponse(ResponseModel):
    """Answer of `POST /v1/example-banks/{name}/select`."""

    examples: list[SelectedExample]
    """The chosen examples, the most similar one last."""
    timing_ms: Timing
    """Milliseconds by stage: `embed`, `select`."""


class SharedStatus(ResponseModel):
    """The server that replicas share."""

    errors: int
    """Calls that failed or could not be made, since the service began."""
    server: str
    """Host and port."""
    up: bool
    """True if it can be used now."""
    reason: str | None = None
    """The reason why it cannot, if so."""


UpstreamState = Literal["unknown", "up", "failing", "unreachable"]
"""The state of an upstream, by the last request that was sent to it."""


class UpstreamHealth(ResponseModel):
    """The answers of an upstream since the service began or last read its configuration. Each attempt counts, also one
    that is made again, but none whose client left before it ended."""

    answers: int
    """Attempts that were answered, whatever the answer."""
    failures: int
    """Attempts that failed: those answered with 408, 429 or from 500 on, and those that were not answered."""
    state: UpstreamState | str
    """The state, by the last attempt."""
    last_ms: int | None = None
    """Milliseconds from the last answered request to the head of its answer."""
    last_status: int | None = None
    """The status of the last answer."""
    last_time: str | None = None
    """The time of the last attempt's end, in UTC."""


class UpstreamStatus(UpstreamHealth):
    """An upstream and how it has answered."""

    dialect: str
    """Its dialect, by the name that the configuration has for it."""
    name: str
    """Its name in the configuration."""


class WorkStatus(ResponseModel):
    """The work on requests."""

    concurrency: int
    """Most that are worked on at once, `limits.concurrency`."""
    queue: int
    """Most that may wait, `limits.queue`."""
    requests: int
    """Requests that are worked on or wait for their turn now."""


class ServiceStatus(ResponseModel):
    """The state of the service."""

    caches: list[CacheStatus]
    """The caches."""
    models: str
    """`ready`; `idle` where the models load with the first request; `failed` where one could not be had."""
    upstreams: list[UpstreamStatus]
    """The upstreams, in the order of the configuration."""
    version: str
    """Version of whittle."""
    work: WorkStatus
    """The work on requests."""
    database: DatabaseStatus | None = None
    """The database that holds collections; missing where they are in the data folder."""
    remote_models: list[RemoteModel] = Field(default_factory=list)
    """The models on other machines; missing where all run in this process."""
    shared: SharedStatus | None = None
    """The server that replicas share; missing where they share none."""
    stores: QueueStatus | None = None
    """What waits to be stored; missing where there is no proxy."""


class ShadowLine(ResponseModel):
    """One comparison."""

    compressed_tokens: int
    """Tokens of the compressed request, as the provider counted them."""
    cost_usd: float
    """Dollars that the answer to the original cost."""
    f1: float
    """Words in common, 0 to 1, as SQuAD counts them."""
    model: str
    """The model."""
    original_tokens: int
    """Tokens of the original request, as the provider counted them."""
    request_id: str
    """The id of the request, as in the ledger."""
    same: bool
    """Whether both answers are equal but for case, punctuation, articles and spaces."""
    time: str
    """The time of the request, in UTC."""
    upstream: str
    """The upstream that answered."""


class ShadowModel(ResponseModel):
    """The comparisons of one model."""

    cost_usd: float
    """Dollars that the answers to the originals cost."""
    f1: float
    """Mean of the words in common, 0 to 1, as SQuAD counts them."""
    model: str
    """The model."""
    requests: int
    """Requests that were compared."""
    same: int
    """Those whose answers are equal but for case, punctuation, articles and spaces."""


class ShadowReport(ResponseModel):
    """The comparisons of shadow requests."""

    comparisons: list[ShadowLine]
    """Single comparisons, the latest first."""
    models: list[ShadowModel]
    """Sums over all comparisons that are stored, by model."""


class SourceDocument(RequestModel):
    """A document to store."""

    text: str
    """The text, which chunks and citations are ranges of."""
    id: str | None = None
    """Unique in its collection, at most 512 bytes; by default a hash of the document."""
    layout: Layout | None = None
    """The layout of the text."""
    metadata: dict[str, Any] = Field(default_factory=dict)
    """Free data, which filters look at."""
    title: str | None = None
    """Searched for as the text is."""


class SourceDocumentParams(TypedDict, total=False):
    """The members of `SourceDocument`, as arguments."""

    id: str | None
    """Unique in its collection, at most 512 bytes; by default a hash of the document."""
    layout: Layout
    """The layout of the text."""
    metadata: dict[str, Any]
    """Free data, which filters look at."""
    text: Required[str]
    """The text, which chunks and citations are ranges of."""
    title: str | None
    """Searched for as the text is."""


class TokenSequence(RequestModel):
    """Tokens to score, by their ids in the scorer's vocabulary."""

    ids: list[int]
    """Token ids to score."""
    prefix: list[int] = Field(default_factory=list)
    """Token ids that condition the scores."""


class TokenSequenceParams(TypedDict, total=False):
    """The members of `TokenSequence`, as arguments."""

    ids: Required[Sequence[int]]
    """Token ids to score."""
    prefix: Sequence[int]
    """Token ids that condition the scores."""


class TokenScoreRequest(RequestModel):
    """Body of `POST /v1/score/tokens`."""

    sequences: list[TokenSequence]
    """The sequences to score, each by itself."""
    model: str | None = None
    """Name of the scorer that is to score, with or without `local/` before it, or left out."""
    whole: bool | None = None
    """True if all of a prefix is read, as a reader would, up to the model's context. By default as much of it is as fits
    half of the scorer's window."""


class TokenScoreRequestParams(TypedDict, total=False):
    """The members of `TokenScoreRequest`, as arguments."""

    model: str | None
    """Name of the scorer that is to score, with or without `local/` before it, or left out."""
    sequences: Required[Sequence[TokenSequence | TokenSequenceParams]]
    """The sequences to score, each by itself."""
    whole: bool
    """True if all of a prefix is read, as a reader would, up to the model's context. By default as much of it is as fits
    half of the scorer's window."""


class TokenScores(ResponseModel):
    """The scores of a sequence of tokens."""

    ids: list[int]
    """The token ids that were scored."""
    nll: list[float | None]
    """Negative log-likelihood of each token in nats; null for a first token without context."""


class TokenScoreResponse(ResponseModel):
    """Answer of `POST /v1/score/tokens`."""

    context: int
    """Most tokens that the model was trained for."""
    identity: str
    """The fingerprint of what scores depend on besides tokens: the model's files and the arithmetic."""
    model: str
    """Model that scored."""
    sequences: list[TokenScores]
    """The scores of each sequence, in the order sent."""
    window: int
    """Most tokens that the scorer looks at together."""


class UpsertRequest(RequestModel):
    """Body of `POST /v1/collections/{name}/documents`."""

    documents: list[SourceDocument]
    """Stored together or not at all; each takes the place of the one with its id, if there is one."""
    score: bool | None = None
    """Are chunks scored too, those of documents that were stored before included? Their likelihoods are kept on disk, so
    that compressing what a search finds takes no model later, where the method has no use for the question."""


class UpsertRequestParams(TypedDict, total=False):
    """The members of `UpsertRequest`, as arguments."""

    documents: Required[Sequence[SourceDocument | SourceDocumentParams]]
    """Stored together or not at all; each takes the place of the one with its id, if there is one."""
    score: bool
    """Are chunks scored too, those of documents that were stored before included? Their likelihoods are kept on disk, so
    that compressing what a search finds takes no model later, where the method has no use for the question."""


class UpsertResponse(ResponseModel):
    """The result of storing documents."""

    added: int
    """Documents that are new."""
    chunks: int
    """Chunks of those that were stored now."""
    ids: list[str]
    """Ids, in the order sent, each once."""
    scored: int
    """Chunks that were asked to be scored and had not been before."""
    timing_ms: Timing
    """Milliseconds by stage: `parse` (of a file), `chunk`, `embed`, `score`, `store`."""
    unchanged: int
    """Documents that were stored already, just as they are."""
    updated: int
    """Documents that took the place of others with their ids."""
    bad: list[BadLine] = Field(default_factory=list)
    """Lines of JSONL that are no documents and were left out."""


class UsageReport(ResponseModel):
    """A report of the ledger."""

    lost: int
    """Requests that are in no ledger, because it could not be written, since the service began."""
    since: str
    """Beginning of what was looked at."""
    until: str
    """End of it, not included."""
    folding: list[FoldingLine] | None = None
    """Savings of folding of tools' results, by rule and kind of result."""
    groups: list[Group] | None = None
    """Sums, one for each group, in the order of their days, models and keys."""
    holdout: HoldoutReport | None = None
    """Held-out conversations compared with the others, where that was asked for."""
    next: str | None = None
    """The `after` that gives the next page, if there is one."""
    requests: list[RequestLine] | None = None
    """Requests, in the order in which they came."""
    total: Numbers | None = None
    """Sum of all groups."""
