"""Replies as Converse answers, after the Amazon Bedrock Runtime API reference (Converse, ConverseStream).

A stream is binary: every event is a message of AWS's event-stream encoding, padded by a member `p`. Counts come in the
last one only.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.fake_provider.aws import message
from tests.fake_provider.dialects.base import Ask, Failure, Frame, Streamed, Voice, Whole, compact, whole
from tests.fake_provider.reply import Called, Counts, Drawn, Finish, Part, Reply, Thought

STREAM_TYPE = "application/vnd.amazon.eventstream"
_FINISH = {
    Finish.STOP: "end_turn",
    Finish.LENGTH: "max_tokens",
    Finish.STOP_SEQUENCE: "stop_sequence",
    Finish.TOOLS: "tool_use",
    Finish.REFUSED: "content_filtered",
}
_EXCEPTIONS = {
    400: "ValidationException",
    401: "UnrecognizedClientException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    503: "ServiceUnavailableException",
}
_PADDING = "abcdefghijklmnopqrstuvwxyz"


def answer(reply: Reply, ask: Ask) -> Whole | Streamed:
    """The reply, whole or in events."""
    if ask.stream:
        return Streamed(_events(reply), reply.tokens, STREAM_TYPE)
    body: dict[str, Any] = {
        "metrics": {"latencyMs": 189},
        "output": {"message": {"content": [_block(part) for part in reply.parts], "role": "assistant"}},
        "stopReason": _FINISH[reply.finish],
    }
    return whole(body if reply.counts is None else body | {"usage": usage(reply.counts)}, headers=_HEADERS)


def usage(counts: Counts) -> dict[str, Any]:
    """Cached tokens are counted beside the input's; the total has them. Reasoning is part of the output's."""
    built: dict[str, Any] = {
        "inputTokens": counts.uncached,
        "outputTokens": counts.output,
        "totalTokens": counts.input + counts.output,
        "cacheReadInputTokens": counts.cache_read,
        "cacheWriteInputTokens": counts.cache_write + counts.cache_write_1h,
    }
    if counts.cache_write_1h:
        built["cacheDetails"] = [
            {"ttl": "1h", "inputTokens": counts.cache_write_1h},
            {"ttl": "5m", "inputTokens": counts.cache_write},
        ]
    return built


def error(failure: Failure) -> Whole:
    """An exception: its name in a header, its words in the body."""
    name = _EXCEPTIONS.get(failure.status, "InternalServerException")
    headers = _HEADERS | {"x-amzn-errortype": f"{name}:http://internal.amazon.com/coral/com.amazon.bedrock/"}
    if failure.retry_after:
        headers["retry-after"] = failure.retry_after
    return whole({"message": failure.message}, status=failure.status, headers=headers)


def broken(failure: Failure, ask: Ask, sent: int) -> bytes:
    """A message of the type `exception`."""
    name = _EXCEPTIONS.get(failure.status, "InternalServerException")
    headers = {
        ":exception-type": name[0].lower() + name[1:],
        ":content-type": "application/json",
        ":message-type": "exception",
    }
    return message(headers, compact({"message": failure.message}).encode())


_HEADERS = {"x-amzn-requestid": "00000000-0000-0000-0000-00000fa4e001"}


def _block(part: Part) -> dict[str, Any]:
    """A content block, complete."""
    match part:
        case Thought() if part.sealed:
            return {"reasoningContent": {"redactedContent": part.sealed}}
        case Thought():
            signed = {"signature": part.signature} if part.signature else {}
            return {"reasoningContent": {"reasoningText": {"text": part.text, **signed}}}
        case Called():
            return {"toolUse": {"toolUseId": part.id, "name": part.name, "input": part.arguments}}
        case Drawn():
            return {"image": {"format": _format(part), "source": {"bytes": part.data}}}
        case _:
            return {"text": part.text}


def _format(part: Drawn) -> str:
    return part.media_type.rpartition("/")[2]


def _events(reply: Reply) -> Iterator[Frame]:
    yield _frame("messageStart", {"role": "assistant"})
    for index, part in enumerate(reply.parts):
        where = {"contentBlockIndex": index}
        start = _start(part)
        if start:
            yield _frame("contentBlockStart", where | {"start": start})
        for delta, tokens in _deltas(part):
            yield _frame("contentBlockDelta", where | {"delta": delta}, tokens, reasoning=isinstance(part, Thought))
        yield _frame("contentBlockStop", where)
    yield _frame("messageStop", {"stopReason": _FINISH[reply.finish]})
    last: dict[str, Any] = {"metrics": {"latencyMs": 223}}
    yield _frame("metadata", last if reply.counts is None else last | {"usage": usage(reply.counts)})


def _start(part: Part) -> dict[str, Any]:
    """What a block's start says; only tools and images have one."""
    if isinstance(part, Called):
        return {"toolUse": {"toolUseId": part.id, "name": part.name}}
    if isinstance(part, Drawn):
        return {"image": {"format": _format(part)}}
    return {}


def _deltas(part: Part) -> Iterator[tuple[dict[str, Any], int]]:
    """What comes between a block's start and stop; 1 for what delivers a token."""
    match part:
        case Thought() if part.sealed:
            yield {"reasoningContent": {"redactedContent": part.sealed}}, 0
        case Thought():
            yield from (({"reasoningContent": {"text": piece}}, 1) for piece in part.pieces)
            if part.signature:
                yield {"reasoningContent": {"signature": part.signature}}, 0
        case Called():
            yield from (({"toolUse": {"input": piece}}, 1) for piece in part.pieces)
        case Drawn():
            yield {"image": {"source": {"bytes": part.data}}}, 0
        case _:
            yield from (({"text": piece}, 1) for piece in part.pieces)


def _frame(kind: str, data: dict[str, Any], tokens: int = 0, *, reasoning: bool = False) -> Frame:
    """An event, padded as Bedrock pads it, so that its length does not tell the text's."""
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    padded = data | {"p": _PADDING[: 1 + len(compact(data)) % len(_PADDING)]}
    return Frame(message(headers, compact(padded).encode()), tokens, reasoning)


VOICE = Voice(answer, error, broken)
