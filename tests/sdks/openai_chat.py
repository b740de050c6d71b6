"""OpenAI's SDK, chat completions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import openai
from openai.lib.streaming.chat import ChatCompletionStreamState

from tests.fake_provider.reply import Finish
from tests.sdks.seen import MAX_TOKENS, PROMPT, STOPS, SYSTEM, TOOLS, Failed, Seen, Totals, arguments

FINISH: Final = {
    "stop": Finish.STOP,
    "length": Finish.LENGTH,
    "tool_calls": Finish.TOOLS,
    "content_filter": Finish.REFUSED,
}
REQUEST: Final[dict[str, Any]] = {
    "messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": PROMPT}],
    "tools": [{"type": "function", "function": {"name": name, "parameters": schema}} for name, schema in TOOLS.items()],
    "max_completion_tokens": MAX_TOKENS,
    "stop": STOPS,
}


class OpenAIChat:
    """See `tests.sdks.seen.Client`."""

    def __init__(self, origin: str, key: str, authority: Path) -> None:
        self._client = openai.AsyncOpenAI(base_url=f"{origin}/v1", api_key=key, max_retries=0)

    async def ask(self, model: str, *, stream: bool) -> Seen:
        """One request."""
        try:
            return await (self._stream(model) if stream else self._whole(model))
        except openai.APIStatusError as error:
            raise Failed(error.status_code, error.message) from error

    async def close(self) -> None:
        """Frees its connections."""
        await self._client.close()

    async def _whole(self, model: str) -> Seen:
        raw = await self._client.chat.completions.with_raw_response.create(model=model, **REQUEST)
        return seen(raw.parse(), raw.headers)

    async def _stream(self, model: str) -> Seen:
        options: Any = {"include_usage": True}
        stream = await self._client.chat.completions.create(model=model, stream=True, stream_options=options, **REQUEST)
        state = ChatCompletionStreamState()
        before = ""
        try:
            async for chunk in stream:
                before += "".join(choice.delta.content or "" for choice in chunk.choices)
                state.handle_chunk(chunk)
        except openai.APIError as error:
            raise Failed(200, error.message, before) from error
        return seen(state.current_completion_snapshot, stream.response.headers)


def seen(answer: Any, headers: Mapping[str, str]) -> Seen:
    """A completion, whole or put together by the SDK."""
    choice = answer.choices[0]
    message = choice.message
    more = message.model_extra or {}
    refusal = message.refusal or ""
    return Seen(
        text=(message.content or "") + refusal,
        reasoning=more.get("reasoning_content") or more.get("reasoning") or "",
        calls=tuple(
            (call.function.name, arguments(call.function.arguments))
            for call in message.tool_calls or ()
            if call.type == "function" and call.id
        ),
        finish=Finish.REFUSED if refusal else FINISH[choice.finish_reason],
        totals=None if answer.usage is None else totals(answer.usage),
        headers=headers,
    )


def totals(usage: Any) -> Totals:
    """The usage of a completion; its total is the sum."""
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    given, made = usage.prompt_tokens_details, usage.completion_tokens_details
    written = getattr(given, "cache_write_tokens", None)
    return Totals(
        input=usage.prompt_tokens,
        output=usage.completion_tokens,
        cached=(given.cached_tokens if given else 0) or 0,
        written=written or 0,
        reasoning=(made.reasoning_tokens if made else 0) or 0,
    )
