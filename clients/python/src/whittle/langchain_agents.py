"""For agents of LangChain: a middleware that makes long results of tools smaller. Needs `whittle[langchain-agents]`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from langchain.agents.middleware import AgentMiddleware, ModelRequest, ModelResponse
from langchain_core.messages import AnyMessage, BaseMessage

from ._texts import TextCompressor
from .client import AsyncClient, Client


class WhittleMiddleware(AgentMiddleware[Any, Any]):
    """Makes long texts of messages smaller before each call of the model. The agent's state keeps the originals.

    A text is made smaller once, for the question that the user had asked last. It is the same in later calls, so that
    the model's prompt cache holds.

    Args:
        client: The client of the service.
        async_client: The client for `ainvoke`; by default one of the same address.
        types: The types of messages, as `BaseMessage.type` has them: `tool`, `human`, `ai`.
        settings: Arguments of `TextCompressor`: `min_characters`, and those of `Client.compress`, such as `rate`.
    """

    def __init__(self, client: Client | None = None, async_client: AsyncClient | None = None, *,
                 types: Sequence[str] = ("tool",), **settings: Any) -> None:
        super().__init__()
        self.types, self.texts = frozenset(types), TextCompressor(client, async_client, **settings)

    def wrap_model_call(self, request: ModelRequest[Any],
                        handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]) -> ModelResponse[Any]:
        messages: list[AnyMessage] = []
        for place, message in enumerate(request.messages):
            content = message.content
            if isinstance(content, str) and self._meant(request.messages, place):
                message = _with(message, content, self.texts.compress(content, _question(request.messages[:place])))
            messages.append(message)
        return handler(request.override(messages=messages))

    async def awrap_model_call(self, request: ModelRequest[Any],
                               handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]) -> ModelResponse[Any]:
        messages: list[AnyMessage] = []
        for place, message in enumerate(request.messages):
            content = message.content
            if isinstance(content, str) and self._meant(request.messages, place):
                message = _with(message, content, await self.texts.acompress(content, _question(request.messages[:place])))
            messages.append(message)
        return await handler(request.override(messages=messages))

    def _meant(self, messages: Sequence[BaseMessage], place: int) -> bool:
        """Whether a message is one to make smaller. The last of the user is the question, which stays."""
        message = messages[place]
        asks = message.type == "human" and not any(later.type == "human" for later in messages[place + 1:])
        return message.type in self.types and not asks


def _question(messages: Sequence[BaseMessage]) -> str | None:
    return next((message.text for message in reversed(messages) if message.type == "human"), None)


def _with(message: AnyMessage, before: str, after: str) -> AnyMessage:
    return message if after == before else message.model_copy(update={"content": after})
