"""Errors in OpenAI's shape, made from our own problems (`model.errors`).

    {"error": {"message", "type", "param", "code", "metadata": {"error_type", …}}}

The four first keys are what OpenAI's SDKs read; `metadata` is OpenRouter's addition. After a stream has
begun, an error travels as a chunk whose top level has `error`: OpenAI's SDKs raise on it, and a client that
only looks at choices sees the finish reason `error`.

`read_error` reads what others send with a status: OpenAI's shape, OpenRouter's, and the looser ones of servers that
only nearly speak the dialect (Mistral's `message`, FastAPI's `detail`, Cloudflare's `errors`).
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from tokenway.dialects import complaint
from tokenway.dialects.base import FAULT_TEXT, UNREADABLE, Maker, UpstreamError, fault_text
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


_KINDS: Final[dict[str, tuple[int, ErrorType]]] = {
    "context_length_exceeded": (400, ErrorType.INVALID_REQUEST),
    "invalid_request_error": (400, ErrorType.INVALID_REQUEST),
    "invalid_api_key": (401, ErrorType.PROVIDER_AUTHENTICATION),
    "authentication": (401, ErrorType.PROVIDER_AUTHENTICATION),
    "authentication_error": (401, ErrorType.PROVIDER_AUTHENTICATION),
    "payment_required": (402, ErrorType.PROVIDER_UNAVAILABLE),
    "insufficient_quota": (429, ErrorType.PROVIDER_UNAVAILABLE),
    "credit_balance_exhausted": (429, ErrorType.PROVIDER_UNAVAILABLE),
    "permission_denied": (403, ErrorType.PROVIDER_AUTHENTICATION),
    "model_not_found": (404, ErrorType.NOT_FOUND),
    "rate_limit_exceeded": (429, ErrorType.RATE_LIMIT_EXCEEDED),
    "rate_limit_error": (429, ErrorType.RATE_LIMIT_EXCEEDED),
    "server_error": (500, ErrorType.PROVIDER_UNAVAILABLE),
    "provider_unavailable": (502, ErrorType.PROVIDER_UNAVAILABLE),
    "provider_overloaded": (503, ErrorType.PROVIDER_OVERLOADED),
    "server_is_overloaded": (503, ErrorType.PROVIDER_OVERLOADED),
    "service_unavailable_error": (503, ErrorType.PROVIDER_OVERLOADED),
    "overloaded_error": (529, ErrorType.PROVIDER_OVERLOADED),
    "slow_down": (503, ErrorType.PROVIDER_OVERLOADED),
    "timeout": (504, ErrorType.TIMEOUT),
}
"""The codes and types of OpenAI's and OpenRouter's errors that say more than a status, or come without one."""

_STATUSES: Final = range(400, 600)
_STATUS_TEXTS: Final = frozenset(map(str, _STATUSES))


def error_object(problem: Problem) -> dict[str, object]:
    """The value of the top-level `error`."""
    return {
        "message": problem.message,
        "type": TYPES[problem.type],
        "param": problem.param,
        "code": problem.code,
        "metadata": {"error_type": problem.type.value, **problem.details},
    }


def error_body(problem: Problem, _exchange: str = "") -> bytes:
    """The body of an error answer; the exchange's id travels in a header."""
    return _encode({"error": error_object(problem)})


def error_event(problem: Problem, maker: Maker) -> bytes:
    """The event that ends a stream which had begun."""
    error = error_object(problem)
    error["code"] = problem.code or problem.status
    return make_event(
        _encode(
            {
                "id": maker.answer or maker.exchange,
                "object": "chat.completion.chunk",
                "created": maker.created,
                "model": maker.model,
                "error": error,
                "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}],
            }
        )
    )


def status_of(error: Any) -> int:
    """The HTTP status that an error in a stream stands for; 0 where it does not tell."""
    if not isinstance(error, dict):
        return 0
    for value in (error.get("code"), error.get("status")):
        status = int(value) if isinstance(value, str) and value in _STATUS_TEXTS else value
        if isinstance(status, int) and status in _STATUSES:
            return status
    found = _kind(error)
    return 0 if found is None else found[0]


def read_error(status: int, body: bytes) -> UpstreamError:
    """What the body of an error answer says; it is one of this dialect where `error` is an object."""
    try:
        decoded = msgspec.json.decode(body)
    except UNREADABLE:
        return UpstreamError()
    if not isinstance(decoded, dict):
        return UpstreamError()
    error = decoded.get("error")
    if not error:
        message, code = _loose(decoded)
        return UpstreamError(message, complaint.code_of(status, message, code))
    message = fault_text(error)
    if not isinstance(error, dict):
        return UpstreamError(message, complaint.code_of(status, message))
    found = _kind(error)
    return UpstreamError(
        message,
        complaint.code_of(status, message, _code(error)),
        is_ours=True,
        type=None if found is None else found[1],
        retry_after=_advice(error, message),
    )


def _code(error: dict[str, Any]) -> str:
    """The code; OpenRouter's is the status, and what it means stands in `metadata`."""
    code, metadata = error.get("code"), error.get("metadata")
    if isinstance(code, str) or not isinstance(metadata, dict):
        return code if isinstance(code, str) else ""
    told = metadata.get("error_type")
    if isinstance(told, str):
        return told
    return "content_policy_violation" if isinstance(metadata.get("reasons"), list) else ""


def _kind(error: dict[str, Any]) -> tuple[int, ErrorType] | None:
    """What the words of an error say, the most telling first."""
    metadata = error.get("metadata")
    words = (error.get("code"), metadata.get("error_type") if isinstance(metadata, dict) else None, error.get("type"))
    return next((_KINDS[word] for word in words if isinstance(word, str) and word in _KINDS), None)


def _loose(decoded: dict[str, Any]) -> tuple[str, str]:
    """Message and code of an error that stands at the top, in a list, or under another name."""
    errors = decoded.get("errors")
    if isinstance(errors, list) and errors and isinstance(errors[0], dict):
        decoded = errors[0]
    message = decoded.get("message") or decoded.get("detail") or ""
    code = decoded.get("code") or decoded.get("error_code")
    text = message if isinstance(message, str) else _encode(message).decode()
    return text[:FAULT_TEXT], code if isinstance(code, str) else ""


def _advice(error: dict[str, Any], message: str) -> float | None:
    """Seconds to wait, as OpenRouter's `availability` or OpenAI's sentence says."""
    availability = error.get("availability")
    after = availability.get("retry_after") if isinstance(availability, dict) else None
    if isinstance(after, int | float) and not isinstance(after, bool) and 0 <= after < 1e6:
        return float(after)
    return complaint.advice(message)
