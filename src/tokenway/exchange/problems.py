"""What a caller is told when no attempt gave an answer."""

from __future__ import annotations

from typing import Final

from tokenway.exchange.events import UpstreamFailed
from tokenway.model.catalog import Endpoint
from tokenway.model.errors import ErrorType, Problem
from tokenway.model.faults import DEADLINES, Fault
from tokenway.routing.retry import SPENT_CODES

CLIENT_GONE: Final = 499
"""nginx's status for a caller that closed its connection first; only records ever hold it."""

_STATUS_TYPES: Final[dict[int, tuple[int, ErrorType]]] = {
    401: (401, ErrorType.PROVIDER_AUTHENTICATION),
    402: (502, ErrorType.PROVIDER_UNAVAILABLE),
    403: (403, ErrorType.PROVIDER_AUTHENTICATION),
    408: (504, ErrorType.TIMEOUT),
    429: (429, ErrorType.RATE_LIMIT_EXCEEDED),
    503: (503, ErrorType.PROVIDER_OVERLOADED),
    504: (504, ErrorType.TIMEOUT),
    529: (503, ErrorType.PROVIDER_OVERLOADED),
}

_SENTENCES: Final[dict[Fault, str]] = {
    Fault.CONNECT: "could not be reached",
    Fault.TLS: "did not prove its identity",
    Fault.RESET: "closed the connection before the answer was complete",
    Fault.FRAMING: "sent an answer that breaks HTTP",
    Fault.TOO_LARGE: "sent an answer that is too large",
    Fault.NOT_DIALECT: "sent something that is not an answer",
    Fault.IN_BAND: "reported an error instead of an answer",
    Fault.CUT: "ended the stream before the answer was complete",
    Fault.CONNECT_DEADLINE: "could not be reached in time",
    Fault.FIRST_TOKEN_DEADLINE: "did not begin to answer in time",
    Fault.BETWEEN_TOKENS_DEADLINE: "stopped in the middle of its answer",
    Fault.TOTAL_DEADLINE: "did not finish in time",
    Fault.SLOW: "was too slow",
    Fault.OUTRUN: "was slower than another one",
}


def no_endpoint() -> Problem:
    """The plan was empty."""
    return Problem(
        503,
        ErrorType.PROVIDER_UNAVAILABLE,
        "No endpoint can serve this request.",
        code="no_endpoints",
        should_retry=False,
    )


def problem_of(failure: UpstreamFailed, endpoint: Endpoint, attempts: int) -> Problem:
    """The last failure as the caller's problem; `attempts` is how many were made."""
    fault = failure.fault
    status, kind = _classify(failure)
    what = f"answered with status {failure.status}" if fault is Fault.STATUS else _SENTENCES[fault]
    detail = f": {failure.detail.rstrip('.')}" if failure.detail else ""
    if failure.status == 401:
        # What a provider says about a key can repeat the key, and the key is not the caller's.
        detail = " and so refused the gateway's own key"
    tried = f" ({attempts} attempts)" if attempts > 1 else ""
    return Problem(
        status,
        kind,
        f"The endpoint {endpoint.id} {what}{detail}{tried}.",
        code=failure.code or fault.value,
        retry_after=failure.retry_after,
        should_retry=_is_worth_a_retry(failure, status),
        details={"provider": endpoint.provider, "fault": fault.value, "attempts": attempts},
    )


def _is_worth_a_retry(failure: UpstreamFailed, status: int) -> bool:
    """Whether the caller should try again: as the upstream says, where it does and its own answer passes."""
    if failure.should_retry is not None and passes_unchanged(failure):
        return failure.should_retry
    return status in {429, 502, 503, 504} and failure.code not in SPENT_CODES


def passes_unchanged(failure: UpstreamFailed) -> bool:
    """Whether the caller gets the upstream's own error: not where it speaks of the gateway's credentials."""
    if failure.fault is Fault.IN_BAND:
        return bool(failure.body)
    return bool(failure.body) and failure.status >= 400 and failure.status not in {401, 402, 403}


def _classify(failure: UpstreamFailed) -> tuple[int, ErrorType]:
    if failure.fault in DEADLINES:
        return 504, ErrorType.TIMEOUT
    if failure.fault is not Fault.STATUS:
        return 502, ErrorType.PROVIDER_UNAVAILABLE
    if failure.status in _STATUS_TYPES:
        status, kind = _STATUS_TYPES[failure.status]
    elif 400 <= failure.status < 500:
        status, kind = failure.status, ErrorType.INVALID_REQUEST
    else:
        status, kind = 502, ErrorType.PROVIDER_UNAVAILABLE
    return (failure.status if passes_unchanged(failure) else status), kind
