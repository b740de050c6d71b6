"""Errors in Google's shape, made from our own problems and read from an upstream.

    {"error": {"code", "message", "status", "details": [{"@type": …}, …]}}

`code` is the HTTP status, `status` its name among Google's codes (google.rpc.Code). `details` are messages of
google.rpc: `ErrorInfo` has our kind of failure, and what excluded each endpoint; `RetryInfo` when to come again;
`RequestInfo` the exchange.

Source: Google API Improvement Proposal 193, Errors; google.rpc.error_details.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from tokenway.dialects import complaint
from tokenway.dialects.base import UNREADABLE, Maker, UpstreamError, fault_text
from tokenway.dialects.gemini.frames import last_element
from tokenway.model.errors import ErrorType, Problem
from tokenway.wire.sse import make_event

_encode: Final = msgspec.json.encode
_decode: Final = msgspec.json.Decoder().decode
_SECONDS: Final = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)s")

STATUSES: Final[dict[ErrorType, str]] = {
    ErrorType.INVALID_REQUEST: "INVALID_ARGUMENT",
    ErrorType.AUTHENTICATION: "UNAUTHENTICATED",
    ErrorType.PAYMENT_REQUIRED: "RESOURCE_EXHAUSTED",
    ErrorType.PERMISSION_DENIED: "PERMISSION_DENIED",
    ErrorType.NOT_FOUND: "NOT_FOUND",
    ErrorType.PAYLOAD_TOO_LARGE: "INVALID_ARGUMENT",
    ErrorType.RATE_LIMIT_EXCEEDED: "RESOURCE_EXHAUSTED",
    ErrorType.SERVER: "INTERNAL",
    ErrorType.PROVIDER_AUTHENTICATION: "UNAUTHENTICATED",
    ErrorType.PROVIDER_UNAVAILABLE: "UNAVAILABLE",
    ErrorType.PROVIDER_OVERLOADED: "UNAVAILABLE",
    ErrorType.TIMEOUT: "DEADLINE_EXCEEDED",
}
"""Our kinds of failure to Google's."""

TYPES: Final[dict[str, ErrorType]] = {
    "INVALID_ARGUMENT": ErrorType.INVALID_REQUEST,
    "FAILED_PRECONDITION": ErrorType.INVALID_REQUEST,
    "OUT_OF_RANGE": ErrorType.INVALID_REQUEST,
    "UNAUTHENTICATED": ErrorType.PROVIDER_AUTHENTICATION,
    "PERMISSION_DENIED": ErrorType.PROVIDER_AUTHENTICATION,
    "NOT_FOUND": ErrorType.NOT_FOUND,
    "RESOURCE_EXHAUSTED": ErrorType.RATE_LIMIT_EXCEEDED,
    "INTERNAL": ErrorType.SERVER,
    "UNKNOWN": ErrorType.SERVER,
    "UNAVAILABLE": ErrorType.PROVIDER_OVERLOADED,
    "DEADLINE_EXCEEDED": ErrorType.TIMEOUT,
}
"""Google's kinds of failure to ours, as an upstream's."""
_KEY_REASONS: Final = frozenset(
    {"API_KEY_INVALID", "API_KEY_EXPIRED", "API_KEY_SERVICE_BLOCKED", "ACCESS_TOKEN_EXPIRED"}
)
"""Reasons that say a credential is refused: Google gives status 400 for a key that does not exist."""

_RPC: Final = "type.googleapis.com/google.rpc."
DOMAIN: Final = "tokenway"


def error_object(problem: Problem, exchange: str) -> dict[str, object]:
    """The value of the top-level `error`."""
    metadata = {"error_type": problem.type.value}
    if problem.param is not None:
        metadata["param"] = problem.param
    for name, value in problem.details.items():
        metadata[name] = value if isinstance(value, str) else _encode(value).decode()
    reason = (problem.code or problem.type.value).upper()
    details: list[dict[str, object]] = [
        {"@type": f"{_RPC}ErrorInfo", "reason": reason, "domain": DOMAIN, "metadata": metadata}
    ]
    if problem.retry_after is not None:
        details.append({"@type": f"{_RPC}RetryInfo", "retryDelay": f"{problem.retry_after:.9g}s"})
    if exchange:
        details.append({"@type": f"{_RPC}RequestInfo", "requestId": exchange})
    return {
        "code": problem.status,
        "message": problem.message,
        "status": "PERMISSION_DENIED" if problem.status == 403 else STATUSES[problem.type],
        "details": details,
    }


def error_body(problem: Problem, exchange: str) -> bytes:
    """The body of an error answer."""
    return _encode({"error": error_object(problem, exchange)})


def error_event(problem: Problem, maker: Maker) -> bytes:
    """The end of a stream that had begun: python-genai raises on a chunk that begins with `error`."""
    data = error_body(problem, maker.exchange)
    element = last_element(data, maker.request)
    return make_event(data) if element is None else element


def read_error(status: int, body: bytes) -> UpstreamError:
    """What an upstream's error says; where a stream was asked for, the error may be the one element of an array."""
    try:
        decoded: Any = _decode(body)
    except UNREADABLE:
        return UpstreamError()
    if isinstance(decoded, list) and decoded:
        decoded = decoded[0]
    error = decoded.get("error") if isinstance(decoded, dict) else None
    if not error:
        return UpstreamError()
    if not isinstance(error, dict):
        return UpstreamError(fault_text(error))
    name = error.get("status")
    name = name if isinstance(name, str) else ""
    details = error.get("details")
    entries = [each for each in details if isinstance(each, dict)] if isinstance(details, list) else []
    reason = next((each["reason"] for each in entries if isinstance(each.get("reason"), str)), "")
    kind = TYPES.get(name)
    if reason in _KEY_REASONS or status == 401:
        kind = ErrorType.PROVIDER_AUTHENTICATION
    message = fault_text(error)
    code = complaint.SPENT if _is_of_a_day(entries) else complaint.code_of(status, message, reason or name)
    after = _delay(entries)
    return UpstreamError(message, code, True, kind, complaint.advice(message) if after is None else after)


def _is_of_a_day(details: list[dict[str, Any]]) -> bool:
    """Whether a `QuotaFailure` names a quota of a day, which the minute of its `RetryInfo` does not bring back."""
    for each in details:
        violations = each.get("violations")
        for violation in violations if isinstance(violations, list) else ():
            name = violation.get("quotaId") if isinstance(violation, dict) else None
            if isinstance(name, str) and "PerDay" in name:
                return True
    return False


def _delay(details: list[dict[str, Any]]) -> float | None:
    """The seconds of a `RetryInfo`."""
    for each in details:
        delay = each.get("retryDelay")
        found = _SECONDS.fullmatch(delay) if isinstance(delay, str) else None
        if found:
            return float(found[1])
    return None
