"""For Haystack: components that make documents smaller and that retrieve. Needs `whittle[haystack]`."""

from __future__ import annotations

import dataclasses
from typing import Any

from haystack import Document, component, default_from_dict, default_to_dict
from haystack.utils import Secret, deserialize_secrets_inplace

from . import models
from ._texts import Beside
from .client import DEFAULT_URL, Client


class _Component:
    """What the components share: where the service is, and how they are written into a pipeline's file."""

    def __init__(self, base_url: str, api_key: Secret | None, settings: dict[str, Any]) -> None:
        self.base_url, self.api_key, self._settings = base_url, api_key, settings
        self.client = Client(base_url, api_key=api_key.resolve_value() if api_key else None)
        self._beside = Beside(self.client)

    def to_dict(self) -> dict[str, Any]:
        """Returns the component as a dictionary, for the file of a pipeline."""
        key = self.api_key.to_dict() if self.api_key else None
        return default_to_dict(self, base_url=self.base_url, api_key=key, **self._settings)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Any:
        """Makes the component of a dictionary."""
        deserialize_secrets_inplace(data["init_parameters"], keys=["api_key"])
        return default_from_dict(cls, data)


@component
class WhittleCompressor(_Component):
    """Makes documents smaller for the query, to `target_tokens` or `rate` of all of them together.

    Documents of which nothing is worth its tokens are left out. The score is the service's.

    Args:
        target_tokens: The most tokens of all documents and the query.
        rate: The share of the tokens that is kept; 0.5 where `target_tokens` is not given either.
        method: The method.
        options: What must be kept, and how.
        base_url: The address of the service.
        api_key: A key of whittle.
    """

    def __init__(self, target_tokens: int | None = None, rate: float | None = None, method: models.Method | None = None,
                 options: dict[str, Any] | None = None, base_url: str = DEFAULT_URL, api_key: Secret | None = None) -> None:
        settings = {"target_tokens": target_tokens, "rate": rate, "method": method, "options": options}
        # `component` makes the class anew, so that `super()` would not find it.
        _Component.__init__(self, base_url, api_key, settings)

    @component.output_types(documents=list[Document])
    def run(self, documents: list[Document], query: str) -> dict[str, Any]:
        """Returns the documents made smaller."""
        request = self._request(documents, query)
        return {"documents": [] if request is None else _compressed(documents, self.client.compress(**request))}

    @component.output_types(documents=list[Document])
    async def run_async(self, documents: list[Document], query: str) -> dict[str, Any]:
        """Returns what `run` returns, in an `AsyncPipeline`."""
        request = self._request(documents, query)
        if request is None:
            return {"documents": []}
        return {"documents": _compressed(documents, await self._beside.get().compress(**request))}

    def _request(self, documents: list[Document], query: str) -> dict[str, Any] | None:
        if not any((document.content or "").strip() for document in documents):
            return None
        request: dict[str, Any] = {"documents": [{"text": document.content or ""} for document in documents]}
        request |= {"question": query} if query.strip() else {}
        given = {name: value for name, value in self._settings.items() if value is not None}
        return request | ({} if "target_tokens" in given else {"rate": 0.5}) | given


def _compressed(documents: list[Document], response: models.CompressResponse) -> list[Document]:
    return [dataclasses.replace(document, content=made.text, score=document.score if made.score is None else made.score)
            for document, made in zip(documents, response.documents, strict=True) if made.text.strip()]


@component
class WhittleRetriever(_Component):
    """Finds chunks of a collection of the service.

    Args:
        collection: The collection.
        top_k: The most chunks.
        search: Other members of `models.SearchRequest`, such as `filter`.
        base_url: The address of the service.
        api_key: A key of whittle.
    """

    def __init__(self, collection: str, top_k: int = 5, search: dict[str, Any] | None = None,
                 base_url: str = DEFAULT_URL, api_key: Secret | None = None) -> None:
        # `component` makes the class anew, so that `super()` would not find it.
        _Component.__init__(self, base_url, api_key, {"collection": collection, "top_k": top_k, "search": search})
        self.collection, self.top_k, self.search = collection, top_k, search or {}

    @component.output_types(documents=list[Document])
    def run(self, query: str, top_k: int | None = None) -> dict[str, Any]:
        """Returns the chunks, the best first."""
        found = self.client.collections.search(self.collection, query, top_k=top_k or self.top_k, **self.search)
        return {"documents": _found(found)}

    @component.output_types(documents=list[Document])
    async def run_async(self, query: str, top_k: int | None = None) -> dict[str, Any]:
        """Returns what `run` returns, in an `AsyncPipeline`."""
        own = self._beside.get().collections
        return {"documents": _found(await own.search(self.collection, query, top_k=top_k or self.top_k, **self.search))}


def _found(response: models.SearchResponse) -> list[Document]:
    return [Document(id=result.chunk_id, content=result.text, score=result.score, meta={
        **result.metadata, "document_id": result.document_id, "title": result.title}) for result in response.results]
