"""Two callers: OpenAI's own client, and one of another dialect by hand. What they see of a call, as one record."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import httpx2
import openai

from tests.e2e.callers import ANTHROPIC, ask, hear, problem_of, text_of

HI: Final[Any] = [{"role": "user", "content": "hi"}]


@dataclass
class Seen:
    """One call as its caller saw it. `finish` is the reason to stop, empty where none came."""

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    text: str = ""
    finish: str = ""
    error: str = ""
    seconds: float = 0.0

    @property
    def exchange(self) -> str:
        """The exchange's id."""
        return self.headers["x-request-id"]

    @property
    def attempts(self) -> int:
        """How many tries were made until the answer began or the call was given up."""
        return int(self.headers["x-tokenway-attempts"])


async def call_chat(client: openai.AsyncOpenAI, model: str, *, stream: bool) -> Seen:
    """A chat by OpenAI's client, which raises for errors, and for a stream that breaks as it should not."""
    seen = Seen()
    began = time.monotonic()
    try:
        raw = await client.chat.completions.with_raw_response.create(model=model, messages=HI, stream=stream)
    except openai.APIStatusError as refused:
        seen.status, seen.headers = refused.status_code, refused.response.headers
        error = refused.response.json()["error"]
        assert error["message"], error
        seen.error = error["message"]
    else:
        seen.status, seen.headers = raw.status_code, raw.headers
        answer: Any = raw.parse()
        if stream:
            await _read(answer, seen)
        else:
            seen.text, seen.finish = answer.choices[0].message.content, answer.choices[0].finish_reason
    seen.seconds = time.monotonic() - began
    return seen


async def _read(chunks: openai.AsyncStream[Any], seen: Seen) -> None:
    """A stream to its end. Only an error event may break it: any other exception is the test's."""
    try:
        async for chunk in chunks:
            for choice in chunk.choices:
                assert not seen.finish, "something comes behind the reason to stop"
                seen.text += choice.delta.content or ""
                seen.finish = choice.finish_reason or ""
    except openai.APIConnectionError:
        raise
    except openai.APIError as broken:
        seen.error = broken.message
    else:
        assert seen.finish, f"a truncated answer looks whole: {seen.text[-60:]}"


async def call_messages(http: httpx2.AsyncClient, model: str, *, stream: bool) -> Seen:
    """The same by a caller of Anthropic's dialect, for whom everything is converted."""
    seen = Seen()
    began = time.monotonic()
    request = ask(ANTHROPIC, model, stream=stream)
    answer = await http.post(request.path, json=request.body)
    seen.status, seen.headers = answer.status_code, answer.headers
    if seen.status != 200:
        seen.error = problem_of(ANTHROPIC, answer.json()).message
        assert seen.error
    elif stream:
        heard = hear(ANTHROPIC, answer.content)
        seen.text, seen.finish, seen.error = heard.text, "end" * heard.is_whole, heard.error
        assert heard.is_whole or heard.error, f"a truncated answer looks whole: {heard.text[-60:]}"
    else:
        seen.text, seen.finish = text_of(ANTHROPIC, answer.json()), answer.json()["stop_reason"]
    seen.seconds = time.monotonic() - began
    return seen
