"""Which failure may be tried again, where, and after how long.

    FATAL   the caller's own mistake: every endpoint would say the same, so the caller is told at once
    ELSEWHERE  this endpoint is out for this exchange, another one may do
    AGAIN   the failure may pass: other endpoints first, then this one after a pause

The pause is full jitter (a random share of a doubling bound, after Amazon's "Exponential Backoff And
Jitter"); an upstream that names its own pause (`retry-after`) is believed.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from tokenway.model.faults import Fault

BACKOFF_FIRST: Final = 0.25
BACKOFF_MAX: Final = 8.0
"""Bounds of the pause in seconds: the SDKs of OpenAI and Anthropic use 0.5 s doubling to 8 s."""

RETRY_AFTER_MAX: Final = 30.0
"""The longest pause in seconds that is waited through; beyond it the caller is told instead."""


class Verdict(IntEnum):
    """What a failed attempt means for the exchange."""

    FATAL = 0
    ELSEWHERE = 1
    AGAIN = 2
    LARGER = 3


class Scope(IntEnum):
    """Whose failure it was."""

    ENDPOINT = 0
    CREDENTIAL = 1
    REQUEST = 2


_BY_STATUS: Final[dict[int, Verdict]] = {
    401: Verdict.ELSEWHERE,
    402: Verdict.ELSEWHERE,
    403: Verdict.ELSEWHERE,
    404: Verdict.ELSEWHERE,
    405: Verdict.ELSEWHERE,
    408: Verdict.AGAIN,
    409: Verdict.AGAIN,
    425: Verdict.AGAIN,
    429: Verdict.AGAIN,
    501: Verdict.ELSEWHERE,
}

_SPENT_CODES: Final = ("insufficient_quota", "credit_balance_exhausted", "billing_hard_limit_reached")
_SMALL_CODES: Final = ("context_length_exceeded",)
_UNSUITED_CODES: Final = ("unsupported_media", "unsupported_parameter", "unsupported_value")
"""What one endpoint cannot take another one may."""


def verdict(fault: Fault, status: int = 0, code: str = "", *, should_retry: bool | None = None) -> Verdict:
    """What to do about a failure; `code` is the upstream's error code and `should_retry` its own advice."""
    if fault is not Fault.STATUS:
        return Verdict.ELSEWHERE if fault is Fault.TLS else Verdict.AGAIN
    if should_retry is not None:
        return Verdict.AGAIN if should_retry else Verdict.ELSEWHERE if status >= 500 or status == 429 else Verdict.FATAL
    if code in _SMALL_CODES:
        return Verdict.LARGER
    if code in _SPENT_CODES or code in _UNSUITED_CODES:
        return Verdict.ELSEWHERE
    if status >= 500:
        return _BY_STATUS.get(status, Verdict.AGAIN)
    if status >= 400:
        return _BY_STATUS.get(status, Verdict.FATAL)
    return Verdict.ELSEWHERE


def scope(fault: Fault, status: int = 0, code: str = "") -> Scope:
    """Whose failure it was: of the endpoint, of the key it was asked with, or of the request."""
    if fault is not Fault.STATUS:
        return Scope.ENDPOINT
    if status in {401, 402, 403, 429} or code in _SPENT_CODES:
        return Scope.CREDENTIAL
    return Scope.REQUEST if 400 <= status < 500 and status != 408 else Scope.ENDPOINT


def pause(tries: int, dice: float, retry_after: float | None) -> float:
    """Seconds to wait before an endpoint that failed `tries` times is asked again; `dice` is in [0, 1)."""
    if retry_after is not None:
        return max(0.0, retry_after)
    return dice * min(BACKOFF_MAX, BACKOFF_FIRST * 2.0**tries)
