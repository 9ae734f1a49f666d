"""Makes the long texts of conversations smaller, each once, so that the turns of a conversation stay as they were sent."""

from __future__ import annotations

import asyncio
import collections
import logging
import threading
import weakref
from collections.abc import Sequence
from typing import Any

from .client import AsyncClient, Client
from .errors import WhittleError

log = logging.getLogger("whittle")


class TextCompressor:
    """Compresses texts above a length, and remembers what came of them.

    Where the service cannot be reached or refuses, the text stays as it is and a warning is logged: a conversation must
    not end because a text could not be made smaller.

    Args:
        client: The client for programs that wait; by default one of the default address.
        async_client: The client for `async` programs; by default one of the same address for
            each event loop.
        min_characters: Shorter texts are left alone.
        remembered: The number of texts whose result is kept.
        compress: Arguments of `Client.compress`; by default `rate=0.5`.
    """

    def __init__(self, client: Client | None = None, async_client: AsyncClient | None = None, *,
                 min_characters: int = 4000, remembered: int = 1000, **compress: Any) -> None:
        self.client, self.async_client = client or Client(), async_client
        self._beside = Beside(self.client)
        self.min_characters, self.remembered = min_characters, remembered
        self.arguments = compress if "rate" in compress or "target_tokens" in compress else {"rate": 0.5, **compress}
        self._results: collections.OrderedDict[str, str] = collections.OrderedDict()
        self._lock = threading.Lock()

    def compress(self, text: str, question: str | None) -> str:
        """Returns a text made smaller for a question, or as it was made before."""
        known = self._known(text)
        if known is not None:
            return known
        try:
            return self._remember(text, self.client.compress(**self._request(text, question)).documents[0].text)
        except WhittleError as error:
            return _unchanged(text, error)

    async def acompress(self, text: str, question: str | None) -> str:
        """Returns what `compress` returns, for `async` programs."""
        known = self._known(text)
        if known is not None:
            return known
        try:
            client = self.async_client or self._beside.get()
            response = await client.compress(**self._request(text, question))
            return self._remember(text, response.documents[0].text)
        except WhittleError as error:
            return _unchanged(text, error)

    def _request(self, text: str, question: str | None) -> dict[str, Any]:
        # A text as a document, so that the question counts for the choice and stands in the prompt alone.
        asked = {"question": question} if question and question.strip() else {}
        return {"documents": [{"text": text}], **asked, **self.arguments}

    def _known(self, text: str) -> str | None:
        if len(text) < self.min_characters:
            return text
        with self._lock:
            if text in self._results:
                self._results.move_to_end(text)
            return self._results.get(text)

    def _remember(self, text: str, result: str) -> str:
        with self._lock:
            # What was sent first is what stays, where two calls met.
            result = self._results.setdefault(text, result)
            # A result that comes back as an input is not made smaller again.
            self._results.setdefault(result, result)
            while len(self._results) > 2 * self.remembered:
                self._results.popitem(last=False)
        return result


def _unchanged(text: str, error: WhittleError) -> str:
    log.warning("a text of %d characters goes on as it is: %s", len(text), error)
    return text


class Beside:
    """Clients for `async` programs with the settings of another client.

    There is one for each event loop: connections belong to the loop that they were opened on, and programs that call
    `asyncio.run` several times have several.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncClient] = weakref.WeakKeyDictionary()

    def get(self) -> AsyncClient:
        """Returns the client of the running loop."""
        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            other = AsyncClient(self._client.base_url, timeout=self._client.timeout, retries=self._client.retries)
            other.headers = dict(self._client.headers)
            self._clients[loop] = other
        return self._clients[loop]


def last_question(messages: Sequence[dict[str, Any]]) -> str | None:
    """Returns the text of the last message of the user, of messages as OpenAI has them."""
    for message in reversed(messages):
        if message.get("role") == "user":
            content = message.get("content")
            if isinstance(content, str):
                return content
            parts = [part.get("text", "") for part in content or [] if isinstance(part, dict) and part.get("type") == "text"]
            return "\n".join(parts) or None
    return None
