"""The bodies of the fake provider's answers, in OpenAI's shapes."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

from tests.fake_provider.scripts import Bill, Script, UsageMode

CREATED = 1_760_000_000
"""The time in every answer, so that answers are the same in every run."""
DIMENSIONS = 8
_ABSURD = 10**12


def tokens(script: Script) -> list[str]:
    """The answer's tokens: the text's characters, or words that count themselves."""
    if script.text:
        return list(script.text)
    return [f"w{number} " for number in range(script.chunks)]


def prompt_tokens(script: Script, request: dict[str, Any]) -> int:
    """What the prompt counts: the words in its texts, at least one."""
    if script.prompt:
        return script.prompt
    given = request.get("messages") or request.get("prompt") or request.get("input") or ""
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


def chunk(script: Script, request: dict[str, Any], number: int, bill: Bill) -> dict[str, Any]:
    """The event of token `number`; `bill` is the running total, for engines that repeat it."""
    word = tokens(script)[number]
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


def frame(script: Script, data: dict[str, Any] | str) -> bytes:
    """One server-sent event, with a comment before it where the script says so."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    comment = b": keep-alive" + script.eol * 2 if script.comments else b""
    return comment + b"data: " + text.encode() + script.eol * 2


def error(script: Script) -> dict[str, Any]:
    """OpenAI's error object for the script's status."""
    message = script.error or f"The fake provider was told to answer {script.status}."
    kind = "invalid_request_error" if 400 <= script.status < 500 else "server_error"
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}


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
