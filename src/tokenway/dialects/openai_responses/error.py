"""Errors of the Responses dialect, in both directions.

The body of an error answer has OpenAI's shape with OpenRouter's `error_type` beside it:

    {"error": {"message", "type", "param", "code", "metadata"}, "error_type"}

A stream that has begun ends with `response.failed`, whose response carries `error` `{code, message}`. The SDK gives
it to its caller as an event; Codex reads the code to see whether it may try again.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from tokenway.dialects import complaint
from tokenway.dialects.base import UNREADABLE, Maker, UpstreamError, fault_text
from tokenway.dialects.openai_chat.error import error_object
from tokenway.dialects.openai_responses.response import Shape, failure
from tokenway.model.errors import ErrorType, Problem
from tokenway.wire.sse import one_line

_encode: Final = msgspec.json.encode
_decode: Final = msgspec.json.Decoder().decode

_CODES: Final = {
    ErrorType.INVALID_REQUEST: "invalid_prompt",
    ErrorType.RATE_LIMIT_EXCEEDED: "rate_limit_exceeded",
}
"""Our kinds of failure to `response.error.code`; all others are `server_error`."""

_TYPES: Final = {
    "context_length_exceeded": ErrorType.INVALID_REQUEST,
    "invalid_api_key": ErrorType.PROVIDER_AUTHENTICATION,
    "invalid_prompt": ErrorType.INVALID_REQUEST,
    "model_not_found": ErrorType.NOT_FOUND,
    "rate_limit_exceeded": ErrorType.RATE_LIMIT_EXCEEDED,
    "server_is_overloaded": ErrorType.PROVIDER_OVERLOADED,
    "slow_down": ErrorType.PROVIDER_OVERLOADED,
}
"""Codes of OpenAI's that say more than the status."""

STATUSES: Final = {
    "context_length_exceeded": 400,
    "insufficient_quota": 429,
    "invalid_prompt": 400,
    "rate_limit_exceeded": 429,
    "server_error": 500,
    "server_is_overloaded": 503,
    "slow_down": 503,
}
"""The HTTP status that a code in a stream stands for."""


def error_body(problem: Problem, exchange_id: str) -> bytes:  # noqa: ARG001
    """The body of an error answer; the exchange's id is in its headers."""
    return _encode({"error": error_object(problem), "error_type": problem.type.value})


def error_event(problem: Problem, maker: Maker) -> bytes:
    """The event that ends a stream which had begun."""
    code = problem.code or _CODES.get(problem.type, "server_error")
    response = Shape(maker).make("failed", error=failure(code, problem.message))
    event = {
        "type": "response.failed",
        "response": response,
        "error_type": problem.type.value,
        "sequence_number": maker.sequence,
    }
    return b"event: response.failed\ndata: %b\n\n" % one_line(_encode(event))


def read_error(status: int, body: bytes) -> UpstreamError:
    """What an error answer says. A few servers have a text for `error`, or a `detail` in its place."""
    try:
        decoded = _decode(body)
    except UNREADABLE:
        return UpstreamError()
    if not isinstance(decoded, dict):
        return UpstreamError()
    error = decoded.get("error")
    if not error:
        detail = decoded.get("detail") or decoded.get("message")
        return UpstreamError(fault_text(detail)) if detail else UpstreamError()
    message = fault_text(error)
    code = complaint.code_of(status, message, error_code(error))
    after = complaint.advice(message)
    return UpstreamError(message, code, isinstance(error, dict), _TYPES.get(code), after)


def error_code(error: Any) -> str:
    """The code of an error object, else its type."""
    if not isinstance(error, dict):
        return ""
    return str(error.get("code") or error.get("type") or "")
