"""Replies as Gemini's content, after Google's API reference (generateContent, streamGenerateContent, embedContent).

Every chunk of a stream is a whole response with running counts. With `alt=sse` it is an event, else an element of one
JSON array. A signature of reasoning stands at the text behind it: in a stream, as an empty text of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from tests.fake_provider.dialects.base import (
    EVENT_STREAM,
    Ask,
    Failure,
    Frame,
    Streamed,
    Voice,
    Whole,
    compact,
    event,
    whole,
    words,
)
from tests.fake_provider.reply import Called, Counts, Drawn, Finish, Part, Reply, Said, Thought

JSON = "application/json; charset=UTF-8"
_FINISH = {
    Finish.STOP: "STOP",
    Finish.LENGTH: "MAX_TOKENS",
    Finish.STOP_SEQUENCE: "STOP",
    Finish.TOOLS: "STOP",
    Finish.REFUSED: "SAFETY",
}
_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
DIMENSIONS = 8


def answer(reply: Reply, ask: Ask) -> Whole | Streamed:
    """The reply, whole or in chunks; a count of the prompt; or vectors."""
    match ask.kind:
        case "countTokens":
            asked = ask.body.get("generateContentRequest", ask.body)
            count = words([asked.get(name) for name in ("systemInstruction", "contents", "tools")])
            details = [{"modality": "TEXT", "tokenCount": count}]
            return whole({"totalTokens": count, "promptTokensDetails": details}, media_type=JSON)
        case "embedContent":
            return whole({"embedding": _vector(ask.body)}, media_type=JSON)
        case "batchEmbedContents":
            return whole({"embeddings": [_vector(each) for each in ask.body["requests"]]}, media_type=JSON)
        case _:
            pass
    if not ask.stream:
        body = _response(reply, ask, [part for given in reply.parts for part in _whole_part(given)])
        signed = _with_signature(body["candidates"][0]["content"], reply)
        body["candidates"][0] = {"content": signed} | _end(reply) | {"index": 0}
        return whole(body | _usage(reply.counts, reply.counts), media_type=JSON)
    chunks = _chunks(reply, ask)
    if ask.query.get("alt") == "sse":
        frames = (Frame(event(data), tokens, reasoning) for data, tokens, reasoning in chunks)
        return Streamed(frames, reply.tokens, EVENT_STREAM)
    return Streamed(_array(chunks), reply.tokens, JSON)


def error(failure: Failure) -> Whole:
    """Google's error object, with the pause in its details."""
    return whole(_error(failure), status=failure.status, media_type=JSON)


def broken(failure: Failure, ask: Ask, sent: int) -> bytes:
    """An error object in the place of a chunk."""
    if ask.query.get("alt") == "sse":
        return event(_error(failure))
    return f"{',' if sent else '['}\n{compact(_error(failure))}\n]".encode()


def _error(failure: Failure) -> dict[str, Any]:
    status = _STATUSES.get(failure.status, "INTERNAL")
    built: dict[str, Any] = {"code": failure.status, "message": failure.message, "status": status}
    if failure.retry_after:
        kind = "type.googleapis.com/google.rpc.RetryInfo"
        built["details"] = [{"@type": kind, "retryDelay": f"{failure.retry_after}s"}]
    return {"error": built}


def _response(reply: Reply, ask: Ask, parts: list[dict[str, Any]]) -> dict[str, Any]:
    """A response with these parts, without its end and usage."""
    content: dict[str, Any] = {"parts": parts, "role": "model"} if parts else {}
    return {
        "candidates": [{"content": content, "index": 0}],
        "modelVersion": ask.model,
        "responseId": "fake-response-1",
    }


def _end(reply: Reply) -> dict[str, Any]:
    if reply.finish is Finish.TOOLS:
        return {"finishReason": "STOP", "finishMessage": "Model generated function call(s)."}
    return {"finishReason": _FINISH[reply.finish]}


def _usage(counts: Counts | None, so_far: Counts | None) -> dict[str, Any]:
    """Cached tokens are part of the prompt's, reasoning is counted beside the answer's."""
    if counts is None or so_far is None:
        return {}
    built: dict[str, Any] = {"promptTokenCount": counts.input}
    if so_far.text:
        built["candidatesTokenCount"] = so_far.text
    built["totalTokenCount"] = counts.input + so_far.output
    if counts.cache_read:
        built["cachedContentTokenCount"] = counts.cache_read
        built["cacheTokensDetails"] = [{"modality": "TEXT", "tokenCount": counts.cache_read}]
    built["promptTokensDetails"] = [{"modality": "TEXT", "tokenCount": counts.input}]
    if so_far.reasoning:
        built["thoughtsTokenCount"] = so_far.reasoning
    return {"usageMetadata": built}


def _whole_part(part: Part) -> list[dict[str, Any]]:
    match part:
        case Thought():
            return [{"text": part.text, "thought": True}] if part.text else []
        case Called():
            call = {"functionCall": {"id": part.id, "name": part.name, "args": part.arguments}}
            return [call | ({"thoughtSignature": part.signature} if part.signature else {})]
        case Drawn():
            return [{"inlineData": {"mimeType": part.media_type, "data": part.data}}]
        case _:
            return [{"text": part.text}]


def _signature(reply: Reply) -> str:
    """The signature of the reasoning, where a text follows it."""
    signed = [part.signature or part.sealed for part in reply.parts if isinstance(part, Thought)]
    return "".join(signed[:1]) if any(isinstance(part, Said) for part in reply.parts) else ""


def _with_signature(content: dict[str, Any], reply: Reply) -> dict[str, Any]:
    signature = _signature(reply)
    if signature:
        last = next(part for part in reversed(content["parts"]) if "text" in part and "thought" not in part)
        last["thoughtSignature"] = signature
    return content


def _chunks(reply: Reply, ask: Ask) -> Iterator[tuple[dict[str, Any], int, bool]]:
    """Each chunk, whether it delivers a token, and whether of reasoning. A call is one chunk with all its tokens."""
    text = reasoning = 0
    for part in reply.parts:
        is_thought = isinstance(part, Thought)
        for made, tokens in _streamed_part(part):
            reasoning += tokens if is_thought else 0
            text += 0 if is_thought else tokens
            chunk = _response(reply, ask, made) | _usage(reply.counts, Counts(text=text, reasoning=reasoning))
            yield chunk, tokens, is_thought
    signature = _signature(reply)
    last = [{"text": "", "thoughtSignature": signature}] if signature else [{"text": ""}]
    end = _response(reply, ask, last)
    end["candidates"][0] |= _end(reply)
    yield end | _usage(reply.counts, reply.counts), 0, False


def _streamed_part(part: Part) -> Iterator[tuple[list[dict[str, Any]], int]]:
    match part:
        case Thought():
            yield from (([{"text": piece, "thought": True}], 1) for piece in part.pieces)
        case Called():
            yield _whole_part(part), len(part.pieces)
        case Drawn():
            yield _whole_part(part), 0
        case _:
            yield from (([{"text": piece}], 1) for piece in part.pieces)


def _array(chunks: Iterable[tuple[dict[str, Any], int, bool]]) -> Iterator[Frame]:
    """One JSON array, an element in each frame."""
    mark = "["
    for data, tokens, reasoning in chunks:
        yield Frame(f"{mark}{compact(data)}\r\n".encode(), tokens, reasoning)
        mark = ","
    yield Frame(b"]")


def _vector(request: dict[str, Any]) -> dict[str, list[float]]:
    """A vector made of the text's bytes."""
    text = "".join(part.get("text", "") for part in request["content"]["parts"])
    size = request.get("outputDimensionality", DIMENSIONS)
    return {"values": [byte / 256 for byte in text.encode().ljust(size, b"\0")[:size]]}


VOICE = Voice(answer, error, broken)
