"""Errors in Anthropic's shape, made from our own problems (`model.errors`), and Anthropic's errors read.

    {"type": "error", "error": {"type", "message", "error_type", …}, "request_id"}

`type` and `message` are what Anthropic's SDKs read; `error_type` is where OpenRouter puts its kind of failure, and the
details stand beside it. After a stream has begun, the same object travels as an event named `error`.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from tokenway.dialects import complaint
from tokenway.dialects.base import UNREADABLE, Maker, UpstreamError, fault_text
from tokenway.model.errors import ErrorType, Problem

_encode: Final = msgspec.json.encode
_decode: Final = msgspec.json.Decoder().decode

TYPES: Final[dict[ErrorType, str]] = {
    ErrorType.INVALID_REQUEST: "invalid_request_error",
    ErrorType.AUTHENTICATION: "authentication_error",
    ErrorType.PAYMENT_REQUIRED: "billing_error",
    ErrorType.PERMISSION_DENIED: "permission_error",
    ErrorType.NOT_FOUND: "not_found_error",
    ErrorType.PAYLOAD_TOO_LARGE: "request_too_large",
    ErrorType.RATE_LIMIT_EXCEEDED: "rate_limit_error",
    ErrorType.SERVER: "api_error",
    ErrorType.PROVIDER_AUTHENTICATION: "authentication_error",
    ErrorType.PROVIDER_UNAVAILABLE: "api_error",
    ErrorType.PROVIDER_OVERLOADED: "overloaded_error",
    ErrorType.TIMEOUT: "timeout_error",
}
"""Our kinds of failure to the `type` strings that Anthropic's API uses."""

STATUSES: Final[dict[ErrorType, int]] = {ErrorType.PROVIDER_OVERLOADED: 529}
"""The status of a failure where Anthropic's is not the usual one."""

KINDS: Final[dict[str, ErrorType]] = {
    "invalid_request_error": ErrorType.INVALID_REQUEST,
    "authentication_error": ErrorType.PROVIDER_AUTHENTICATION,
    "billing_error": ErrorType.PAYMENT_REQUIRED,
    "permission_error": ErrorType.PROVIDER_AUTHENTICATION,
    "not_found_error": ErrorType.NOT_FOUND,
    "request_too_large": ErrorType.PAYLOAD_TOO_LARGE,
    "rate_limit_error": ErrorType.RATE_LIMIT_EXCEEDED,
    "api_error": ErrorType.PROVIDER_UNAVAILABLE,
    "overloaded_error": ErrorType.PROVIDER_OVERLOADED,
    "timeout_error": ErrorType.TIMEOUT,
}
"""An upstream's `type` strings to our kinds: its quarrel with a credential is about the gateway's."""

_CODES: Final[dict[str, int]] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}

SPENT: Final = ("enforced_spend_limit_reached", "contract_spend_limit_reached", complaint.NO_CREDIT)
"""Codes of a 429, and of a 400, that no waiting mends: the account has no money left."""


def status_of(kind: str) -> int:
    """The HTTP status that a type of Anthropic's stands for; 0 where it is not known."""
    return _CODES.get(kind, 0)


def error_object(problem: Problem, exchange: str) -> dict[str, object]:
    """The whole error as it is sent."""
    kind = TYPES[problem.type]
    if problem.type is ErrorType.PROVIDER_AUTHENTICATION and problem.status == 403:
        kind = "permission_error"
    error: dict[str, object] = {"type": kind, "message": problem.message, "error_type": problem.type.value}
    if problem.param is not None:
        error["param"] = problem.param
    if problem.code is not None:
        error["code"] = problem.code
    return {"type": "error", "error": {**problem.details, **error}, "request_id": exchange}


def error_body(problem: Problem, exchange: str) -> bytes:
    """The body of an error answer."""
    return _encode(error_object(problem, exchange))


def error_event(problem: Problem, maker: Maker) -> bytes:
    """The event that ends a stream which had begun."""
    return b"event: error\ndata: %b\n\n" % error_body(problem, maker.exchange)


def read_error(status: int, body: bytes) -> UpstreamError:
    """What an upstream's error answer says: by its details, by its sentence where only that tells, else by its type."""
    try:
        value: Any = _decode(body)
    except UNREADABLE:
        return UpstreamError()
    error = value.get("error") if isinstance(value, dict) else None
    if not isinstance(error, dict) or not isinstance(error.get("type"), str):
        return UpstreamError(fault_text(error)) if error else UpstreamError()
    details = error.get("details")
    code = details.get("error_code") if isinstance(details, dict) else None
    message = fault_text(error)
    if not isinstance(code, str):
        code = complaint.code_of(status, message, error["type"])
    kind = ErrorType.PAYMENT_REQUIRED if code in SPENT else KINDS.get(error["type"])
    return UpstreamError(message, code, is_ours=value.get("type") == "error", type=kind)
