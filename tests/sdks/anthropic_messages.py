"""Anthropic's SDK, messages."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import anthropic

from tests.fake_provider.reply import Finish
from tests.sdks.seen import MAX_TOKENS, PROMPT, STOPS, SYSTEM, TOOLS, Failed, Seen, Totals, arguments

FINISH: Final = {
    "end_turn": Finish.STOP,
    "max_tokens": Finish.LENGTH,
    "stop_sequence": Finish.STOP_SEQUENCE,
    "tool_use": Finish.TOOLS,
    "refusal": Finish.REFUSED,
}
REQUEST: Final[dict[str, Any]] = {
    "system": SYSTEM,
    "messages": [{"role": "user", "content": PROMPT}],
    "tools": [{"name": name, "input_schema": schema} for name, schema in TOOLS.items()],
    "max_tokens": MAX_TOKENS,
    "stop_sequences": STOPS,
}


class Anthropic:
    """See `tests.sdks.seen.Client`."""

    def __init__(self, origin: str, key: str, authority: Path) -> None:
        self._client = anthropic.AsyncAnthropic(base_url=origin, api_key=key, auth_token=None, max_retries=0)

    async def ask(self, model: str, *, stream: bool) -> Seen:
        """One request."""
        try:
            return await (self._stream(model) if stream else self._whole(model))
        except anthropic.APIStatusError as error:
            raise Failed(error.status_code, error.message) from error

    async def close(self) -> None:
        """Frees its connections."""
        await self._client.close()

    async def _whole(self, model: str) -> Seen:
        raw = await self._client.messages.with_raw_response.create(model=model, **REQUEST)
        return seen(await raw.parse(), raw.headers)

    async def _stream(self, model: str) -> Seen:
        before = ""
        async with self._client.messages.stream(model=model, **REQUEST) as stream:
            try:
                async for text in stream.text_stream:
                    before += text
                return seen(await stream.get_final_message(), stream.response.headers)
            except anthropic.APIError as error:
                raise Failed(200, error.message, before) from error


def seen(answer: Any, headers: Mapping[str, str]) -> Seen:
    """A message, whole or put together by the SDK."""
    blocks = answer.content
    return Seen(
        text="".join(block.text for block in blocks if block.type == "text"),
        reasoning="".join(block.thinking for block in blocks if block.type == "thinking"),
        calls=tuple((block.name, arguments(block.input)) for block in blocks if block.type == "tool_use" and block.id),
        finish=FINISH[answer.stop_reason],
        totals=totals(answer.usage),
        headers=headers,
    )


def totals(usage: Any) -> Totals:
    """The usage of a message: what was cached is counted beside the input."""
    cached, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
    return Totals(usage.input_tokens + cached + written, usage.output_tokens, cached, written)
