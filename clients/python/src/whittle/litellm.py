"""For LiteLLM: a callback that makes long texts of messages smaller before a call. Needs `whittle[litellm]`.

In a program, `litellm.callbacks = [WhittleHandler()]` serves `acompletion` and `Router`. For LiteLLM's proxy, put an instance into a
module and name it under `litellm_settings: callbacks:`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from litellm.integrations.custom_logger import CustomLogger

from ._texts import TextCompressor, last_question
from .client import AsyncClient, Client

# Calls whose data has messages.
_CALLS = frozenset({"completion", "acompletion", "anthropic_messages", "aanthropic_messages"})


class WhittleHandler(CustomLogger):
    """Makes long texts of messages smaller, each once, for the question that the user had asked last.

    Args:
        client: The client of the service.
        async_client: The client that makes the calls; by default one of the same address.
        roles: The roles whose texts become smaller. The last message of the user stays.
        settings: Arguments of `TextCompressor`: `min_characters`, and those of `Client.compress`, such as `rate`.
    """

    def __init__(self, client: Client | None = None, async_client: AsyncClient | None = None, *,
                 roles: Sequence[str] = ("tool", "user"), **settings: Any) -> None:
        super().__init__()
        self.roles, self.texts = frozenset(roles), TextCompressor(client, async_client, **settings)

    async def async_pre_call_hook(self, user_api_key_dict: Any, cache: Any, data: dict[str, Any], call_type: Any) -> dict[str, Any]:
        """The hook of LiteLLM's proxy."""
        return await self._changed(data, call_type)

    async def async_pre_call_deployment_hook(self, kwargs: dict[str, Any], call_type: Any) -> dict[str, Any]:
        """The hook of calls in a program."""
        return await self._changed(kwargs, getattr(call_type, "value", call_type))

    async def _changed(self, data: dict[str, Any], call_type: Any) -> dict[str, Any]:
        messages = data.get("messages")
        if call_type not in _CALLS or not isinstance(messages, list):
            return data
        last = max((place for place, message in enumerate(messages) if message.get("role") == "user"), default=-1)
        made = []
        for place, message in enumerate(messages):
            content = message.get("content")
            if isinstance(content, str) and message.get("role") in self.roles and place != last:
                text = await self.texts.acompress(content, last_question(messages[:place]) or last_question(messages))
                message = message if text == content else {**message, "content": text}
            made.append(message)
        return {**data, "messages": made}
