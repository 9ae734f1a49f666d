"""For LangChain: a compressor of documents, a retriever and a selector of examples. Needs `whittle[langchain]`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun, Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.example_selectors import BaseExampleSelector
from langchain_core.retrievers import BaseRetriever
from pydantic import ConfigDict, Field, PrivateAttr

from . import models
from ._texts import Beside
from .client import Client


class WhittleCompressor(BaseDocumentCompressor):
    """Makes retrieved documents smaller for the query, to `target_tokens` or `rate` of all of them together.

    Documents of which nothing is worth its tokens are left out. `metadata` gets `relevance_score`.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    client: Client = Field(default_factory=Client)
    """The client of the service."""
    target_tokens: int | None = None
    """The most tokens of all documents and the query."""
    rate: float | None = None
    """The share of the tokens that is kept; 0.5 where `target_tokens` is not given either."""
    method: models.Method | None = None
    """The method."""
    options: models.CompressOptions | None = None
    """What must be kept, and how."""
    _beside: Beside = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        """Prepares the client for `async` programs."""
        self._beside = Beside(self.client)

    def compress_documents(self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None) -> list[Document]:
        if not any(document.page_content.strip() for document in documents):
            return []
        return _compressed(documents, self.client.compress(**self._request(documents, query)))

    async def acompress_documents(self, documents: Sequence[Document], query: str,
                                  callbacks: Callbacks | None = None) -> list[Document]:
        if not any(document.page_content.strip() for document in documents):
            return []
        return _compressed(documents, await self._beside.get().compress(**self._request(documents, query)))

    def _request(self, documents: Sequence[Document], query: str) -> dict[str, Any]:
        request: dict[str, Any] = {"documents": [{"text": document.page_content} for document in documents]}
        request |= {"question": query} if query.strip() else {}
        request |= {"target_tokens": self.target_tokens} if self.target_tokens is not None else {"rate": self.rate or 0.5}
        request |= {"method": self.method} if self.method is not None else {}
        return request | ({"options": self.options} if self.options is not None else {})


def _compressed(documents: Sequence[Document], response: models.CompressResponse) -> list[Document]:
    return [Document(page_content=made.text, id=document.id,
                     metadata={**document.metadata, **({} if made.score is None else {"relevance_score": made.score})})
            for document, made in zip(documents, response.documents, strict=True) if made.text.strip()]


class WhittleRetriever(BaseRetriever):
    """Finds chunks of a collection of the service."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    client: Client = Field(default_factory=Client)
    """The client of the service."""
    collection: str
    """The collection."""
    top_k: int = 5
    """The most chunks."""
    search: dict[str, Any] = Field(default_factory=dict)
    """Other members of `models.SearchRequest`, such as `filter`."""
    _beside: Beside = PrivateAttr()

    def model_post_init(self, context: Any, /) -> None:
        """Prepares the client for `async` programs."""
        self._beside = Beside(self.client)

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        return _found(self.client.collections.search(self.collection, query, top_k=self.top_k, **self.search))

    async def _aget_relevant_documents(self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun) -> list[Document]:
        return _found(await self._beside.get().collections.search(self.collection, query, top_k=self.top_k, **self.search))


def _found(response: models.SearchResponse) -> list[Document]:
    return [Document(id=result.chunk_id, page_content=result.text, metadata={
        **result.metadata, "document_id": result.document_id, "title": result.title, "relevance_score": result.score})
        for result in response.results]


class WhittleExampleSelector(BaseExampleSelector):
    """Selects the examples of a bank that are most like the input.

    Args:
        bank: The bank of examples.
        client: The client of the service.
        count: The most examples.
        question_key: The member of inputs and examples that is the question.
        answer_key: The member of examples that is the answer.
        select: Other members of `models.SelectRequest`, such as `diversity`.
    """

    def __init__(self, bank: str, client: Client | None = None, *, count: int = 5, question_key: str = "question",
                 answer_key: str = "answer", **select: Any) -> None:
        self.bank, self.client, self.count, self.select = bank, client or Client(), count, select
        self.question_key, self.answer_key = question_key, answer_key

    def add_example(self, example: dict[str, str]) -> str:
        """Stores an example and returns its id. Members besides question and answer come back with it."""
        more = {key: value for key, value in example.items() if key not in (self.question_key, self.answer_key)}
        stored = self.client.example_banks.add(self.bank, [models.Example(
            question=example[self.question_key], answer=example[self.answer_key], metadata=more)])
        return stored.ids[0]

    def select_examples(self, input_variables: dict[str, str]) -> list[dict[str, Any]]:
        """Returns the examples, the most similar one last."""
        question = input_variables[self.question_key]
        response = self.client.example_banks.select(self.bank, question, count=self.count, **self.select)
        return [{**chosen.example.metadata, self.question_key: chosen.example.question, self.answer_key: chosen.example.answer}
                for chosen in response.examples]
