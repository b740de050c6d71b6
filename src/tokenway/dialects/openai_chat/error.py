"""Errors in OpenAI's shape, made from our own problems (`model.errors`).

    {"error": {"message", "type", "param", "code", "metadata": {"error_type", …}}}

The four first keys are what OpenAI's SDKs read; `metadata` is OpenRouter's addition. After a stream has
begun, an error travels as a chunk whose top level has `error`: OpenAI's SDKs raise on it, and a client that
only looks at choices sees the finish reason `error`.
"""

from __future__ import annotations

from typing import Final

import msgspec

from tokenway.model.errors import ErrorType, Problem
from tokenway.wire.sse import make_event

_encode: Final = msgspec.json.encode

TYPES: Final[dict[ErrorType, str]] = {
    ErrorType.INVALID_REQUEST: "invalid_request_error",
    ErrorType.AUTHENTICATION: "authentication_error",
    ErrorType.PAYMENT_REQUIRED: "insufficient_quota",
    ErrorType.PERMISSION_DENIED: "permission_error",
    ErrorType.NOT_FOUND: "invalid_request_error",
    ErrorType.PAYLOAD_TOO_LARGE: "invalid_request_error",
    ErrorType.RATE_LIMIT_EXCEEDED: "rate_limit_error",
    ErrorType.SERVER: "server_error",
    ErrorType.PROVIDER_AUTHENTICATION: "authentication_error",
    ErrorType.PROVIDER_UNAVAILABLE: "server_error",
    ErrorType.PROVIDER_OVERLOADED: "server_error",
    ErrorType.TIMEOUT: "timeout_error",
}
"""Our kinds of failure to the `type` strings that OpenAI's API uses."""


def error_object(problem: Problem) -> dict[str, object]:
    """The value of the top-level `error`."""
    return {
        "message": problem.message,
        "type": TYPES[problem.type],
        "param": problem.param,
        "code": problem.code,
        "metadata": {"error_type": problem.type.value, **problem.details},
    }


def error_body(problem: Problem) -> bytes:
    """The body of an error answer."""
    return _encode({"error": error_object(problem)})


def error_event(problem: Problem, exchange: str, model: str, created: int) -> bytes:
    """The event that ends a stream which had begun."""
    error = error_object(problem)
    error["code"] = problem.code or problem.status
    return make_event(
        _encode(
            {
                "id": exchange,
                "object": "chat.completion.chunk",
                "created": created,
                "model": model,
                "error": error,
                "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}],
            }
        )
    )
