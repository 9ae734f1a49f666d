"""For DSPy: a retriever. Needs `whittle[dspy]`."""

from __future__ import annotations

from typing import Any

import dspy
from dspy.dsp.utils import dotdict

from .client import Client


class WhittleRM(dspy.Retrieve):
    """Finds passages of a collection of the service, by itself or as `dspy.configure(rm=...)`.

    Args:
        collection: The collection.
        client: The client of the service.
        k: The most passages.
        target_tokens: The most tokens of all passages together, which are made smaller for the query to fit.
        search: Other members of `models.SearchRequest`, such as `filter`.
    """

    def __init__(self, collection: str, client: Client | None = None, *, k: int = 3, target_tokens: int | None = None,
                 **search: Any) -> None:
        super().__init__(k=k)
        self.collection, self.client, self.target_tokens, self.search = collection, client or Client(), target_tokens, search

    def forward(self, query: str, k: int | None = None, **search: Any) -> list[Any]:
        """Returns the passages, the best first, each with `long_text`, `document_id` and `score`."""
        response = self.client.collections.search(self.collection, query, top_k=k or self.k, **{**self.search, **search})
        passages = [dotdict(long_text=result.text, document_id=result.document_id, score=result.score)
                    for result in response.results]
        if self.target_tokens is None or not passages:
            return passages
        made = self.client.compress(documents=[{"text": passage.long_text} for passage in passages], question=query,
                                    target_tokens=self.target_tokens)
        return [dotdict({**passage, "long_text": document.text})
                for passage, document in zip(passages, made.documents, strict=True) if document.text.strip()]
