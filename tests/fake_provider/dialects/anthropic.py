"""Replies as messages, after Anthropic's API reference (Messages, Streaming messages, Errors, Token counting).

Events come as they do from Anthropic: named, with spaces before the last brace, and a ping behind the first block's
start. There is no image in an answer of this dialect, so that one is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.fake_provider.dialects.base import (
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
from tests.fake_provider.reply import Called, Counts, Drawn, Finish, Part, Reply, Thought

_FINISH = {
    Finish.STOP: "end_turn",
    Finish.LENGTH: "max_tokens",
    Finish.STOP_SEQUENCE: "stop_sequence",
    Finish.TOOLS: "tool_use",
    Finish.REFUSED: "refusal",
}
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_STATUSES = {503: 529}
"""Anthropic has a status of its own for an overload."""
REQUEST_ID = "req_fake_1"


def answer(reply: Reply, ask: Ask) -> Whole | Streamed:
    """The reply, whole or in events, or a count of the prompt."""
    if ask.kind == "count_tokens":
        return whole({"input_tokens": words([ask.body.get(name) for name in ("system", "messages", "tools")])})
    if ask.stream:
        return Streamed(_events(reply, ask), reply.tokens)
    end = _end(reply)
    body = _message(ask) | {"content": [_block(part) for part in _parts(reply)], **end}
    return whole(body if reply.counts is None else body | {"usage": usage(reply.counts)}, headers=_HEADERS)


def usage(counts: Counts) -> dict[str, Any]:
    """Cached tokens are counted beside the input's, reasoning is part of the output's."""
    return _input_usage(counts) | {
        "output_tokens": counts.output,
        "output_tokens_details": {"thinking_tokens": counts.reasoning},
        "service_tier": "standard",
    }


def error(failure: Failure) -> Whole:
    """Anthropic's error object."""
    headers = _HEADERS | ({"retry-after": failure.retry_after} if failure.retry_after else {})
    body = _error(failure) | {"request_id": REQUEST_ID}
    return whole(body, status=_STATUSES.get(failure.status, failure.status), headers=headers)


def broken(failure: Failure, ask: Ask, sent: int) -> bytes:
    """The event `error`."""
    return event(_error(failure), "error")


_HEADERS = {"request-id": REQUEST_ID}


def _error(failure: Failure) -> dict[str, Any]:
    kind = _TYPES.get(failure.status, "api_error")
    return {"type": "error", "error": {"type": kind, "message": failure.message}}


def _input_usage(counts: Counts) -> dict[str, Any]:
    return {
        "input_tokens": counts.uncached,
        "cache_creation_input_tokens": counts.cache_write + counts.cache_write_1h,
        "cache_read_input_tokens": counts.cache_read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": counts.cache_write,
            "ephemeral_1h_input_tokens": counts.cache_write_1h,
        },
    }


def _parts(reply: Reply) -> list[Part]:
    return [part for part in reply.parts if not isinstance(part, Drawn)]


def _message(ask: Ask) -> dict[str, Any]:
    return {
        "model": ask.model,
        "id": "msg_fake_1",
        "type": "message",
        "role": "assistant",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "stop_details": None,
    }


def _end(reply: Reply) -> dict[str, Any]:
    is_refused = reply.finish is Finish.REFUSED
    return {
        "stop_reason": _FINISH[reply.finish],
        "stop_sequence": reply.stop or None,
        "stop_details": {"type": "refusal", "category": None, "explanation": None} if is_refused else None,
    }


def _block(part: Part) -> dict[str, Any]:
    """A content block, complete."""
    match part:
        case Thought() if part.sealed:
            return {"type": "redacted_thinking", "data": part.sealed}
        case Thought():
            return {"type": "thinking", "thinking": part.text, "signature": part.signature}
        case Called():
            return {"type": "tool_use", "id": part.id, "name": part.name, "input": part.arguments}
        case Drawn():
            raise ValueError("no image in an answer of this dialect")
        case _:
            return {"type": "text", "text": part.text}


def _begun(part: Part) -> dict[str, Any]:
    """A content block as it starts."""
    block = _block(part)
    empty = {"thinking": "", "signature": "", "text": "", "input": {}}
    return {name: empty.get(name, value) for name, value in block.items()}


def _events(reply: Reply, ask: Ask) -> Iterator[Frame]:
    message = _message(ask)
    if reply.counts is not None:
        message["usage"] = _input_usage(reply.counts) | {"output_tokens": 1, "service_tier": "standard"}
    yield _frame({"type": "message_start", "message": message})
    for index, part in enumerate(_parts(reply)):
        yield _frame({"type": "content_block_start", "index": index, "content_block": _begun(part)})
        if index == 0:
            yield Frame(event({"type": "ping"}, "ping"))
        for delta, tokens in _deltas(part):
            data = {"type": "content_block_delta", "index": index, "delta": delta}
            yield _frame(data, tokens, reasoning=isinstance(part, Thought))
        yield _frame({"type": "content_block_stop", "index": index})
    last: dict[str, Any] = {"type": "message_delta", "delta": _end(reply)}
    if reply.counts is not None:
        told = usage(reply.counts)
        del told["cache_creation"], told["service_tier"]
        last["usage"] = told
    yield _frame(last)
    yield _frame({"type": "message_stop"})


def _deltas(part: Part) -> Iterator[tuple[dict[str, Any], int]]:
    """What comes between a block's start and stop; 1 for what delivers a token."""
    match part:
        case Thought():
            yield from (({"type": "thinking_delta", "thinking": piece}, 1) for piece in part.pieces)
            if part.signature:
                yield {"type": "signature_delta", "signature": part.signature}, 0
        case Called():
            yield {"type": "input_json_delta", "partial_json": ""}, 0
            yield from (({"type": "input_json_delta", "partial_json": piece}, 1) for piece in part.pieces)
        case Drawn():
            return
        case _:
            yield from (({"type": "text_delta", "text": piece}, 1) for piece in part.pieces)


def _frame(data: dict[str, Any], tokens: int = 0, *, reasoning: bool = False) -> Frame:
    """An event with spaces before its last brace, as many as its length says."""
    text = compact(data)
    padded = f"{text[:-1]}{' ' * (len(text) % 5)}}}"
    return Frame(f"event: {data['type']}\ndata: {padded}\n\n".encode(), tokens, reasoning)


VOICE = Voice(answer, error, broken)
