"""The routes of the service: how each call becomes a request, and its response a result. Sends nothing itself."""

from __future__ import annotations

import json
from collections.abc import AsyncIterable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import pydantic
from typing_extensions import Unpack

from . import models
from .errors import InvalidRequestError

T = TypeVar("T")
M = TypeVar("M", bound=pydantic.BaseModel)
Content = bytes | Iterable[bytes] | AsyncIterable[bytes]

JSON, NDJSON, BYTES = "application/json", "application/x-ndjson", "application/octet-stream"
# The `Content-Type` of a file by the end of its name, where another than `text/plain` says more.
FILE_TYPES = {
    ".csv": "text/csv", ".tsv": "text/tab-separated-values", ".md": "text/markdown", ".html": "text/html",
    ".htm": "text/html", ".xhtml": "text/html", ".pdf": "application/pdf", ".epub": "application/epub+zip",
    ".eml": "message/rfc822", ".ods": "application/vnd.oasis.opendocument.spreadsheet",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    **dict.fromkeys((".rs", ".py", ".js", ".ts", ".go", ".c", ".h", ".java", ".yaml", ".yml", ".toml", ".sh"),
                    "text/x-source"),
}


class Model(pydantic.BaseModel):
    """A model that the service offers."""

    model_config = pydantic.ConfigDict(extra="allow")

    id: str
    """The name to call it by."""
    object: str = "model"
    """Always `model`."""
    created: int = 0
    """The time of its making, in seconds since 1970."""
    owned_by: str = ""
    """The upstream, or `local`."""


class ModelList(pydantic.BaseModel):
    """The models that the service offers."""

    model_config = pydantic.ConfigDict(extra="allow")

    data: list[Model]
    """The models."""


@dataclass(frozen=True)
class Call(Generic[T]):
    """A request, and the type of what answers it."""

    method: str
    path: str
    result: type[T] | None
    params: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: Content | None = None

    @property
    def repeatable(self) -> bool:
        """Whether the body can be sent again."""
        return self.content is None or isinstance(self.content, bytes)


def body(kind: type[pydantic.BaseModel], members: Mapping[str, Any]) -> bytes:
    """Returns the JSON of a request. Raises `InvalidRequestError` where it has unknown members or wrong types."""
    try:
        return kind.model_validate(dict(members)).model_dump_json(by_alias=True, exclude_unset=True).encode()
    except ValueError as error:
        raise InvalidRequestError(str(error)) from error


def call(method: str, path: str, result: type[T], *, deadline_ms: int | None = None, content: Content | None = None,
         content_type: str = JSON, params: Mapping[str, Any] | None = None) -> Call[T]:
    """Returns a call without the parameters that are `None`."""
    headers = {} if content is None else {"content-type": content_type}
    if deadline_ms is not None:
        headers["x-whittle-deadline-ms"] = str(deadline_ms)
    query = {key: value for key, value in (params or {}).items() if value is not None}
    return Call(method, path, result, query, headers, content)


def segment(name: str) -> str:
    """Returns a name as one segment of a path. Raises `InvalidRequestError` where it cannot be one."""
    if name in ("", ".", ".."):
        raise InvalidRequestError(f"{name!r} cannot be a part of a path")
    try:
        return quote(name, safe="")
    except UnicodeEncodeError as error:
        raise InvalidRequestError(f"{name!r} cannot be a part of a path") from error


def compress(context: str | None = None, /, *, deadline_ms: int | None = None,
             **request: Unpack[models.CompressRequestParams]) -> Call[models.CompressResponse]:
    """Makes a text, documents, sections, JSON or messages smaller, to `rate` or `target_tokens`.

    Args:
        context: The text. Give this or one of `documents`, `sections`, `json_` and `messages`.
        deadline_ms: The milliseconds after which the service gives up.
        request: The members of `models.CompressRequest`.
    """
    if context is not None:
        request["context"] = context
    content = body(models.CompressRequest, request)
    return call("POST", "/v1/compress", models.CompressResponse, deadline_ms=deadline_ms, content=content)


def recover(*, deadline_ms: int | None = None,
            **request: Unpack[models.RecoverRequestParams]) -> Call[models.RecoverResponse]:
    """Restores the names and numbers of the originals in an answer to a compressed prompt."""
    content = body(models.RecoverRequest, request)
    return call("POST", "/v1/recover", models.RecoverResponse, deadline_ms=deadline_ms, content=content)


def score(text: str, *, prefix: str | None = None, deadline_ms: int | None = None) -> Call[models.ScoreResponse]:
    """Returns the negative log-likelihood of each token of a text, after `prefix` if there is one."""
    members = {"text": text} if prefix is None else {"text": text, "prefix": prefix}
    content = body(models.ScoreRequest, members)
    return call("POST", "/v1/score", models.ScoreResponse, deadline_ms=deadline_ms, content=content)


def embeddings(**request: Unpack[models.EmbeddingsRequestParams]) -> Call[models.EmbeddingsResponse]:
    """Returns the vectors of texts."""
    return call("POST", "/v1/embeddings", models.EmbeddingsResponse, content=body(models.EmbeddingsRequest, request))


def rerank(**request: Unpack[models.RerankRequestParams]) -> Call[models.RerankResponse]:
    """Orders documents by how well they answer a query."""
    return call("POST", "/v1/rerank", models.RerankResponse, content=body(models.RerankRequest, request))


def prompt(*, deadline_ms: int | None = None,
           **request: Unpack[models.PromptRequestParams]) -> Call[models.PromptResponse]:
    """Makes a prompt of a question, what collections hold about it, and similar solved examples of banks."""
    content = body(models.PromptRequest, request)
    return call("POST", "/v1/prompt", models.PromptResponse, deadline_ms=deadline_ms, content=content)


def list_models() -> Call[ModelList]:
    """Returns the models of the service and of its upstreams."""
    return call("GET", "/v1/models", ModelList)


def usage(*, since: str | None = None, until: str | None = None, key: str | None = None, model: str | None = None,
          group_by: str | None = None, limit: int | None = None, after: str | None = None,
          holdout: bool | None = None) -> Call[models.UsageReport]:
    """Returns tokens, cost and savings of the requests that went through the proxy.

    Args:
        since: A day in UTC or a time; by default 30 days ago.
        until: The end, not included; by default now.
        key: The id of the only key that counts.
        model: The only model that counts.
        group_by: `day`, `model`, `key`, several of them with commas between, or `request`.
        limit: The requests of a page, 1 to 1,000.
        after: The `next` of the page before.
        holdout: Whether to compare held-out conversations with the others.
    """
    return call("GET", "/v1/usage", models.UsageReport, params={
        "since": since, "until": until, "key": key, "model": model, "group_by": group_by, "limit": limit, "after": after,
        "holdout": holdout})


def ready() -> Call[models.Health]:
    """Returns the state of the service once it can work, and raises `ServiceUnavailableError` before."""
    return call("GET", "/readyz", models.Health)


def request(method: str, path: str, *, json_body: Any = None, headers: Mapping[str, str] | None = None,
            params: Mapping[str, Any] | None = None) -> Call[Any]:
    """Calls any path of the service and returns the parsed JSON, for what has no method here."""
    content = None if json_body is None else json.dumps(json_body).encode()
    more = {} if content is None else {"content-type": JSON}
    return Call(method, path, None, dict(params or {}), {**more, **(headers or {})}, content)


# Collections


def list_collections() -> Call[models.CollectionList]:
    """Returns all collections."""
    return call("GET", "/v1/collections", models.CollectionList)


def create_collection(name: str, **request: Unpack[models.CreateRequestParams]) -> Call[models.CollectionInfo]:
    """Makes a collection, unless there is one of this name with the same settings."""
    content = body(models.CreateRequest, request)
    return call("PUT", f"/v1/collections/{segment(name)}", models.CollectionInfo, content=content)


def describe_collection(name: str) -> Call[models.CollectionInfo]:
    """Returns what a collection holds."""
    return call("GET", f"/v1/collections/{segment(name)}", models.CollectionInfo)


def delete_collection(name: str) -> Call[None]:
    """Removes a collection with all its documents."""
    return call("DELETE", f"/v1/collections/{segment(name)}", type(None))


def search(name: str, query: str, /, **request: Unpack[models.SearchRequestParams]) -> Call[models.SearchResponse]:
    """Finds the chunks of a collection that answer a query best."""
    content = body(models.SearchRequest, {**request, "query": query})
    return call("POST", f"/v1/collections/{segment(name)}/search", models.SearchResponse, content=content)


def upsert(name: str, documents: Iterable[models.SourceDocument | models.SourceDocumentParams], *,
           score: bool | None = None) -> Call[models.UpsertResponse]:
    """Stores documents, all or none. One whose id is there already takes its place.

    Args:
        name: The collection.
        documents: The documents.
        score: Whether to score the chunks too, so that `llmlingua` runs no model over what is found later.
    """
    members = {"documents": list(documents)} | ({} if score is None else {"score": score})
    content = body(models.UpsertRequest, members)
    return call("POST", f"/v1/collections/{segment(name)}/documents", models.UpsertResponse, content=content)


def upsert_lines(name: str, lines: Content, *, on_bad: models.OnBad | None = None,
                 score: bool | None = None) -> Call[models.UpsertResponse]:
    """Stores JSONL, a document a line, as bytes or as an iterator of bytes, which is sent as it comes.

    Args:
        name: The collection.
        lines: The lines.
        on_bad: `skip` leaves out lines that are no documents and names them in `bad`; `refuse` stores nothing.
        score: Whether to score the chunks too.
    """
    return call("POST", f"/v1/collections/{segment(name)}/documents", models.UpsertResponse, content=lines,
                content_type=NDJSON, params={"on_bad": on_bad, "score": score})


def put_file(name: str, id: str, content: Content, *, content_type: str | None = None, filename: str | None = None,
             title: str | None = None, metadata: Mapping[str, Any] | None = None, score: bool | None = None,
             whole: bool | None = None) -> Call[models.UpsertResponse]:
    """Stores a file as a document.

    Args:
        name: The collection.
        id: The id of the document.
        content: The bytes of the file.
        content_type: The type; by default by the end of `filename`, or of `id`, else `text/plain`.
        filename: The name to tell the type by.
        title: The title; by default the file's own.
        metadata: What filters of searches see.
        score: Whether to score the chunks too.
        whole: Whether to keep the navigation and footers of HTML.
    """
    kind = content_type or FILE_TYPES.get(PurePath(filename or id).suffix.lower(), "text/plain")
    params = {"title": title, "metadata": None if metadata is None else json.dumps(metadata), "score": score, "whole": whole}
    return call("PUT", f"/v1/collections/{segment(name)}/documents/{segment(id)}", models.UpsertResponse, content=content,
                content_type=kind, params=params)


def documents(name: str, *, from_: int = 0, limit: int | None = None) -> Call[models.DocumentPage]:
    """Returns a page of documents. `from_` is the `next` of the page before."""
    return call("GET", f"/v1/collections/{segment(name)}/documents", models.DocumentPage,
                params={"from": from_, "limit": limit})


def document(name: str, id: str) -> Call[models.DocumentInfo]:
    """Returns a document."""
    return call("GET", f"/v1/collections/{segment(name)}/documents/{segment(id)}", models.DocumentInfo)


def delete_document(name: str, id: str) -> Call[models.DeleteResponse]:
    """Removes a document."""
    return call("DELETE", f"/v1/collections/{segment(name)}/documents/{segment(id)}", models.DeleteResponse)


def delete_documents(name: str, **request: Unpack[models.DeleteRequestParams]) -> Call[models.DeleteResponse]:
    """Removes documents by `ids` or by a `filter` on metadata."""
    content = body(models.DeleteRequest, request)
    return call("POST", f"/v1/collections/{segment(name)}/delete", models.DeleteResponse, content=content)


def export(name: str) -> Call[None]:
    """The documents of a collection as JSONL, as a stream."""
    return call("GET", f"/v1/collections/{segment(name)}/export", type(None))


def snapshot(name: str) -> Call[None]:
    """A collection at one moment, vectors included, as a stream."""
    return call("POST", f"/v1/collections/{segment(name)}/snapshot", type(None))


def restore(name: str, content: Content) -> Call[models.CollectionInfo]:
    """Makes a new collection of a snapshot, all or nothing."""
    return call("POST", f"/v1/collections/{segment(name)}/restore", models.CollectionInfo, content=content,
                content_type=BYTES)


# Banks of examples


def list_banks() -> Call[models.BankList]:
    """Returns all banks of examples."""
    return call("GET", "/v1/example-banks", models.BankList)


def describe_bank(name: str) -> Call[models.BankInfo]:
    """Returns what a bank holds."""
    return call("GET", f"/v1/example-banks/{segment(name)}", models.BankInfo)


def delete_bank(name: str) -> Call[None]:
    """Removes a bank with all its examples."""
    return call("DELETE", f"/v1/example-banks/{segment(name)}", type(None))


def add_examples(name: str, examples: Iterable[models.Example | models.ExampleParams]) -> Call[models.AddResponse]:
    """Stores solved examples, and makes the bank if there is none."""
    content = body(models.AddRequest, {"examples": list(examples)})
    return call("POST", f"/v1/example-banks/{segment(name)}/examples", models.AddResponse, content=content)


def examples(name: str, *, from_: int = 0, limit: int | None = None) -> Call[models.ExamplePage]:
    """Returns a page of examples. `from_` is the `next` of the page before."""
    return call("GET", f"/v1/example-banks/{segment(name)}/examples", models.ExamplePage,
                params={"from": from_, "limit": limit})


def example(name: str, id: str) -> Call[models.Example]:
    """Returns an example."""
    return call("GET", f"/v1/example-banks/{segment(name)}/examples/{segment(id)}", models.Example)


def delete_example(name: str, id: str) -> Call[models.DeleteResponse]:
    """Removes an example."""
    return call("DELETE", f"/v1/example-banks/{segment(name)}/examples/{segment(id)}", models.DeleteResponse)


def select_examples(name: str, question: str, /,
                    **request: Unpack[models.SelectRequestParams]) -> Call[models.SelectResponse]:
    """Selects the examples to show before a question; the most similar one comes last."""
    content = body(models.SelectRequest, {**request, "question": question})
    return call("POST", f"/v1/example-banks/{segment(name)}/select", models.SelectResponse, content=content)
