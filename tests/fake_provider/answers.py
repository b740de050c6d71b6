"""The bare words of scripts without a reply, as chat completions and completions; embeddings, and the list of models.

It is what most tests and every measurement run on: one small event for each token, as engines send them, running
totals where the script wants them, and lies where it tells them.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import struct
from collections.abc import Iterator
from typing import Any

from tests.fake_provider.dialects.base import CREATED, Ask, Failure, Frame, Streamed, Whole
from tests.fake_provider.reply import Counts, Reply, Said, Thought
from tests.fake_provider.scripts import Bill, Script, UsageMode

DIMENSIONS = 8
_ABSURD = 10**12
_PROMPTS = ("messages", "prompt", "input", "contents")
"""Where the dialects keep what is asked."""


def tokens(script: Script) -> list[str]:
    """The answer's tokens: the text's characters, or words that count themselves."""
    if script.text:
        return list(script.text)
    return [f"w{number} " for number in range(script.chunks)]


def prompt_tokens(script: Script, request: dict[str, Any]) -> int:
    """What the prompt counts: the words in its texts, at least one."""
    if script.prompt:
        return script.prompt
    given = next((request[name] for name in _PROMPTS if request.get(name)), "")
    return max(1, len(json.dumps(given).split()))


def usage(script: Script, bill: Bill) -> dict[str, Any]:
    """The usage object for a bill, or a lie about it where the script says so."""
    completion = {UsageMode.ABSURD: _ABSURD, UsageMode.NEGATIVE: -bill.completion - 1}.get(
        script.usage, bill.completion
    )
    return {
        "prompt_tokens": bill.prompt,
        "completion_tokens": completion,
        "total_tokens": bill.prompt + completion,
        "prompt_tokens_details": {"cached_tokens": bill.cached},
        "completion_tokens_details": {"reasoning_tokens": bill.reasoning},
    }


def reply(script: Script, request: dict[str, Any]) -> Reply:
    """The made-up words of a script as a reply, for the dialects that have no other."""
    words = tokens(script)
    step = 1 if script.text else 0
    thought, said = "".join(words[: script.reasoning]), "".join(words[script.reasoning :])
    parts = (Thought(thought), Said(said, step)) if thought else (Said(said, step),)
    prompt = prompt_tokens(script, request)
    counts = Counts(
        uncached=prompt - script.cached,
        cache_read=script.cached,
        text=len(words) - script.reasoning,
        reasoning=script.reasoning,
    )
    return Reply(parts, counts=counts)


def told(script: Script, truth: Reply) -> Reply:
    """The reply with the usage that the script wants told: none, or a lie."""
    if truth.counts is None or script.usage is UsageMode.NONE:
        return dataclasses.replace(truth, counts=None)
    lie = {UsageMode.ABSURD: _ABSURD, UsageMode.NEGATIVE: -truth.counts.output - 1}.get(script.usage)
    if lie is None:
        return truth
    return dataclasses.replace(truth, counts=dataclasses.replace(truth.counts, text=lie, reasoning=0))


def answer(script: Script, ask: Ask) -> Whole | Streamed:
    """The bare words, whole or in chunks."""
    request = ask.body
    if ask.kind == "models":
        return Whole(json.dumps(models()).encode())
    bill = Bill(prompt_tokens(script, request), script.cached)
    words = tokens(script)
    if ask.stream:
        return Streamed(_frames(script, request, bill, words), len(words), end=event("[DONE]"))
    if ask.kind != "embeddings":
        bill = _after(script, bill, len(words))
    body = whole(script, ask.kind, request, bill)
    return Whole(json.dumps(body, ensure_ascii=False).encode())


def _after(script: Script, bill: Bill, words: int) -> Bill:
    """The bill when so many tokens were sent."""
    return dataclasses.replace(bill, completion=words, reasoning=min(words, script.reasoning))


def _frames(script: Script, request: dict[str, Any], bill: Bill, words: list[str]) -> Iterator[Frame]:
    if script.empty_first:
        yield Frame(event(first(request)))
    for number, word in enumerate(words):
        running = _after(script, bill, number + 1)
        data = chunk(script, request, number, word, running)
        yield Frame(event(data), 1, number < script.reasoning)
        if number == 0 and script.usage is UsageMode.EARLY:
            yield Frame(event(usage_chunk(script, request, dataclasses.replace(running, completion=len(words)))))
    yield Frame(event(stop(request)))
    if _tells_usage(script, request):
        yield Frame(event(usage_chunk(script, request, _after(script, bill, len(words)))))


def _tells_usage(script: Script, request: dict[str, Any]) -> bool:
    options = request.get("stream_options") or {}
    if script.usage is UsageMode.ASKED:
        return bool(options.get("include_usage"))
    return script.usage in {UsageMode.ALWAYS, UsageMode.ABSURD, UsageMode.NEGATIVE}


def event(data: dict[str, Any] | str) -> bytes:
    """One server-sent event."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return b"data: " + text.encode() + b"\n\n"


def failure(script: Script) -> Failure:
    """What the script says went wrong."""
    message = script.error or f"The fake provider was told to answer {script.status}."
    status = 500 if script.error_after >= 0 and script.status == 200 else script.status
    return Failure(status, message, script.retry_after)


def whole(script: Script, kind: str, request: dict[str, Any], bill: Bill) -> dict[str, Any]:
    """An answer that does not stream; `kind` is the last part of the path."""
    words = tokens(script)
    answer: dict[str, Any] = {"id": "fake-1", "created": CREATED, "model": request.get("model", "")}
    if kind == "embeddings":
        answer |= {"object": "list", "data": embeddings(request)}
        answer["usage"] = {"prompt_tokens": bill.prompt, "total_tokens": bill.prompt}
    elif request.get("messages") is None:
        answer |= {
            "object": "text_completion",
            "choices": [{"index": 0, "text": "".join(words), "logprobs": None, "finish_reason": "stop"}],
            "usage": usage(script, bill),
        }
    else:
        message: dict[str, Any] = {"role": "assistant", "content": "".join(words[script.reasoning :])}
        if script.reasoning:
            message["reasoning_content"] = "".join(words[: script.reasoning])
        answer |= {
            "object": "chat.completion",
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
            "usage": usage(script, bill),
        }
    if script.usage is UsageMode.NONE:
        del answer["usage"]
    return answer


def chunk(script: Script, request: dict[str, Any], number: int, word: str, bill: Bill) -> dict[str, Any]:
    """The event of token `number`, which is `word`; `bill` is the running total, for engines that repeat it."""
    answer = _event(request)
    if request.get("messages") is None:
        answer["choices"] = [{"index": 0, "text": word, "logprobs": None, "finish_reason": None}]
    else:
        field = "reasoning_content" if number < script.reasoning else "content"
        delta = {"role": "assistant", field: word} if number == 0 else {field: word}
        answer["choices"] = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}]
    if script.usage is UsageMode.EVERY:
        answer["usage"] = usage(script, bill)
    return answer


def first(request: dict[str, Any]) -> dict[str, Any]:
    """A chunk without choices, before the first token."""
    return _event(request) | {"choices": [], "prompt_filter_results": []}


def stop(request: dict[str, Any]) -> dict[str, Any]:
    """The chunk that says why the answer ended."""
    if request.get("messages") is None:
        return _event(request) | {"choices": [{"index": 0, "text": "", "logprobs": None, "finish_reason": "stop"}]}
    return _event(request) | {"choices": [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}]}


def usage_chunk(script: Script, request: dict[str, Any], bill: Bill) -> dict[str, Any]:
    """The chunk that carries only the usage."""
    return _event(request) | {"choices": [], "usage": usage(script, bill)}


def models() -> dict[str, Any]:
    """The list of models."""
    return {"object": "list", "data": [{"id": "fake", "object": "model", "created": CREATED, "owned_by": "tests"}]}


def embeddings(request: dict[str, Any]) -> list[dict[str, Any]]:
    """A vector per input, made of the input's bytes, as floats or in base64."""
    given = request.get("input", "")
    texts = given if isinstance(given, list) else [given]
    data: list[dict[str, Any]] = []
    for index, text in enumerate(texts):
        raw = str(text).encode().ljust(DIMENSIONS, b"\0")
        vector = [byte / 256 for byte in raw[:DIMENSIONS]]
        packed = base64.b64encode(struct.pack(f"<{DIMENSIONS}f", *vector)).decode()
        wanted = packed if request.get("encoding_format") == "base64" else vector
        data.append({"object": "embedding", "index": index, "embedding": wanted})
    return data


def _event(request: dict[str, Any]) -> dict[str, Any]:
    kind = "text_completion" if request.get("messages") is None else "chat.completion.chunk"
    return {"id": "fake-1", "object": kind, "created": CREATED, "model": request.get("model", "")}
