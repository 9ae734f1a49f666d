"""For LlamaIndex: a postprocessor of nodes and a retriever. Needs `whittle[llama-index]`."""

from __future__ import annotations

from typing import Any

from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.bridge.pydantic import Field, PrivateAttr
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle, TextNode

from . import models
from ._texts import Beside
from .client import Client


class WhittlePostprocessor(BaseNodePostprocessor):
    """Makes the texts of nodes smaller for the query, to `target_tokens` or `rate` of all of them together.

    Nodes of which nothing is worth its tokens are left out. The score is the service's.
    """

    target_tokens: int | None = Field(default=None, description="The most tokens of all nodes and the query.")
    rate: float | None = Field(default=None, description="The share of the tokens that is kept; 0.5 by default.")
    method: models.Method | None = Field(default=None, description="The method.")
    compress_options: dict[str, Any] | None = Field(default=None, description="What must be kept, and how.")
    _client: Client = PrivateAttr()
    _beside: Beside = PrivateAttr()

    def __init__(self, client: Client | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        self._client = client or Client()
        self._beside = Beside(self._client)

    @classmethod
    def class_name(cls) -> str:
        return "WhittlePostprocessor"

    def _postprocess_nodes(self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None) -> list[NodeWithScore]:
        request = self._request(nodes, query_bundle)
        return [] if request is None else _compressed(nodes, self._client.compress(**request))

    async def _apostprocess_nodes(self, nodes: list[NodeWithScore],
                                  query_bundle: QueryBundle | None = None) -> list[NodeWithScore]:
        request = self._request(nodes, query_bundle)
        return [] if request is None else _compressed(nodes, await self._beside.get().compress(**request))

    def _request(self, nodes: list[NodeWithScore], query: QueryBundle | None) -> dict[str, Any] | None:
        texts = [node.node.get_content(metadata_mode=MetadataMode.NONE) for node in nodes]
        if not any(text.strip() for text in texts):
            return None
        request: dict[str, Any] = {"documents": [{"text": text} for text in texts]}
        request |= {"question": query.query_str} if query is not None and query.query_str.strip() else {}
        request |= {"target_tokens": self.target_tokens} if self.target_tokens is not None else {"rate": self.rate or 0.5}
        request |= {"method": self.method} if self.method is not None else {}
        return request | ({"options": self.compress_options} if self.compress_options is not None else {})


def _compressed(nodes: list[NodeWithScore], response: models.CompressResponse) -> list[NodeWithScore]:
    made = []
    for node, document in zip(nodes, response.documents, strict=True):
        if document.text.strip():
            other = node.node.model_copy()
            # The nodes are the index's own: they stay as they are.
            other.set_content(document.text)
            made.append(NodeWithScore(node=other, score=node.score if document.score is None else document.score))
    return made


class WhittleRetriever(BaseRetriever):
    """Finds chunks of a collection of the service.

    Args:
        collection: The collection.
        client: The client of the service.
        top_k: The most chunks.
        search: Other members of `models.SearchRequest`, such as `filter`.
        settings: Arguments of `BaseRetriever`.
    """

    def __init__(self, collection: str, client: Client | None = None, *, top_k: int = 5,
                 search: dict[str, Any] | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        self._collection, self._client, self._top_k, self._search = collection, client or Client(), top_k, search or {}
        self._beside = Beside(self._client)

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return _found(self._client.collections.search(self._collection, query_bundle.query_str, top_k=self._top_k, **self._search))

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        return _found(await self._beside.get().collections.search(
            self._collection, query_bundle.query_str, top_k=self._top_k, **self._search))


def _found(response: models.SearchResponse) -> list[NodeWithScore]:
    return [NodeWithScore(score=result.score, node=TextNode(id_=result.chunk_id, text=result.text, metadata={
        **result.metadata, "document_id": result.document_id, "title": result.title})) for result in response.results]
