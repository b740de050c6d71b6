"""OpenAI's SDK, responses."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import openai

from tests.fake_provider.reply import Finish
from tests.sdks.seen import MAX_TOKENS, PROMPT, SYSTEM, TOOLS, Failed, Seen, Totals, arguments

REQUEST: Final[dict[str, Any]] = {
    "instructions": SYSTEM,
    "input": PROMPT,
    "tools": [
        {"type": "function", "name": name, "parameters": schema, "strict": False} for name, schema in TOOLS.items()
    ],
    "max_output_tokens": MAX_TOKENS,
    "include": ["reasoning.encrypted_content"],
}


class OpenAIResponses:
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
        raw = await self._client.responses.with_raw_response.create(model=model, **REQUEST)
        return seen(raw.parse(), raw.headers)

    async def _stream(self, model: str) -> Seen:
        before = ""
        async with self._client.responses.stream(model=model, **REQUEST) as stream:
            headers = stream._response.headers  # the helper shows them nowhere else
            last: Any = None
            try:
                async for event in stream:
                    if event.type == "response.output_text.delta":
                        before += event.delta
                    if event.type in {"error", "response.failed"}:
                        error = event.response.error if event.type == "response.failed" else event
                        raise Failed(200, str(getattr(error, "message", "")), before)
                    if event.type in {"response.completed", "response.incomplete"}:
                        last = event.response
            except openai.APIError as error:
                raise Failed(200, error.message, before) from error
        assert last is not None, "the stream had no end"
        return seen(last, headers)


def seen(answer: Any, headers: Mapping[str, str]) -> Seen:
    """A response, whole or put together by the SDK."""
    text = reasoning = refusal = ""
    calls = []
    for item in answer.output:
        match item.type:
            case "message":
                text += "".join(part.text for part in item.content if part.type == "output_text")
                refusal += "".join(part.refusal for part in item.content if part.type == "refusal")
            case "reasoning":
                reasoning += "".join(part.text for part in (*item.summary, *(item.content or ())))
            case "function_call":
                assert item.call_id
                calls.append((item.name, arguments(item.arguments)))
    return Seen(
        text=text + refusal,
        reasoning=reasoning,
        calls=tuple(calls),
        finish=_finish(answer, has_calls=bool(calls), is_refused=bool(refusal)),
        totals=None if answer.usage is None else totals(answer.usage),
        headers=headers,
    )


def _finish(answer: Any, *, has_calls: bool, is_refused: bool) -> Finish:
    if answer.status == "incomplete":
        reasons = {"max_output_tokens": Finish.LENGTH, "content_filter": Finish.REFUSED}
        return reasons[answer.incomplete_details.reason]
    assert answer.status == "completed"
    return Finish.REFUSED if is_refused else Finish.TOOLS if has_calls else Finish.STOP


def totals(usage: Any) -> Totals:
    """The usage of a response; its total is the sum."""
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens
    return Totals(
        input=usage.input_tokens,
        output=usage.output_tokens,
        cached=usage.input_tokens_details.cached_tokens,
        written=usage.input_tokens_details.cache_write_tokens,
        reasoning=usage.output_tokens_details.reasoning_tokens,
    )
