"""What a caller is told of a limit: why its call is refused, and in headers what remains."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from tokenway.model.errors import ErrorType, Problem
from tokenway.model.limits import Limit, Measure, Scope, Term, counted
from tokenway.model.money import format_usd

if TYPE_CHECKING:
    from tokenway.edge.claims import Call, Claim
    from tokenway.edge.stocks import Stock

AWAY_SECONDS: Final = 1.0
"""When to try again what nobody could decide."""
FULL_SECONDS: Final = 1.0
"""When to try again where nobody knows when there is room."""
_TERMS: Final = {
    Term.MINUTE: " a minute",
    Term.DAY: " a day",
    Term.WEEK: " a week",
    Term.MONTH: " a month",
    Term.TOTAL: " in all",
}
_BUDGETS: Final = {
    Term.MINUTE: "budget of a minute",
    Term.DAY: "daily budget",
    Term.WEEK: "weekly budget",
    Term.MONTH: "monthly budget",
    Term.TOTAL: "budget",
}
_UNITS: Final = {
    Measure.REQUESTS: "requests",
    Measure.INPUT_TOKENS: "input tokens",
    Measure.OUTPUT_TOKENS: "output tokens",
    Measure.TOKENS: "tokens",
    Measure.CONCURRENCY: "calls at once",
}
_RUN_UNITS: Final = {Measure.REQUESTS: "calls", Measure.DEPTH: "levels of agents", Measure.LOOPS: "equal requests"}
_KINDS: Final = {Measure.REQUESTS: "calls", Measure.USD: "usd"}
"""What of a run is used up, where its name is another one than the measure's."""


def used_up(stock: Stock, needed: int, call: Call, now: float) -> Problem:
    """A lease does not hold a call, and nobody has more: 402 for money, 429 for all else. `now` is Unix time."""
    limit, left = stock.limit, _left(stock)
    if limit.per_run:
        return _run_ended(limit, left, needed, call.run)
    if limit.measure is Measure.USD:
        shown, most = format_usd(left), format_usd(needed)
        what = "The credits" if limit.is_credits else f"The {_BUDGETS[limit.term]}"
        hold = "do not hold" if limit.is_credits else "does not hold"
        message = f"{what} of {_whose(limit)} {hold} this call: {shown} USD are left and it can cost up to {most} USD."
        return Problem(
            402,
            ErrorType.PAYMENT_REQUIRED,
            f"{message} {_way_out(limit, left)}",
            code="insufficient_quota",
            should_retry=False,
            details={"limit_remaining": shown, "worst_case": most, "limit": _told(limit)},
        )
    if limit.is_fleeting and needed > limit.amount:
        return _never(limit, needed)
    wait = _wait(stock, now)
    bound = counted(limit.amount, _UNITS[limit.measure]) + (_TERMS[limit.term] if limit.measure in _RATED else "")
    return Problem(
        429,
        ErrorType.RATE_LIMIT_EXCEEDED,
        f"The limit of {_whose(limit)} is reached: {bound}; {left} are left and this call can take {needed}.",
        code="rate_limit_exceeded",
        retry_after=wait,
        should_retry=limit.is_fleeting,
        details={"limit_remaining": left, "worst_case": needed, "limit": _told(limit)},
    )


def _way_out(limit: Limit, left: int) -> str:
    """What would let the next call in."""
    if left:
        return "A smaller 'max_tokens' lowers that bound."
    if limit.is_credits:
        return "More have to be added to the project, or a code redeemed for it."
    if limit.term is Term.TOTAL or limit.rolling:
        return "Somebody has to raise it." if limit.term is Term.TOTAL else "It frees itself as time goes by."
    return f"It starts anew with the next {limit.term}, in UTC."


_RATED: Final = frozenset(_UNITS) - {Measure.CONCURRENCY}


def _never(limit: Limit, needed: int) -> Problem:
    bound = f"{counted(limit.amount, _UNITS[limit.measure])}{_TERMS[limit.term]}"
    return Problem(
        429,
        ErrorType.RATE_LIMIT_EXCEEDED,
        f"This call can take {needed} {_UNITS[limit.measure]}, which is more than the whole limit of {_whose(limit)}: "
        f"{bound}. A shorter request, or a smaller 'max_tokens', lowers that bound.",
        code="rate_limit_exceeded",
        should_retry=False,
        details={"worst_case": needed, "limit": _told(limit)},
    )


def _run_ended(limit: Limit, left: int, needed: int, run: str) -> Problem:
    """A run has come to one of its limits: whoever is behind it has to be told, and not to try again."""
    measure = limit.measure
    reached = _KINDS.get(measure, measure.value)
    details: dict[str, object] = {"run": run, "reached": reached, "limit": _told(limit)}
    if measure is Measure.USD:
        shown, most = format_usd(left), format_usd(needed)
        message = f"it may cost {format_usd(limit.amount)} USD, of which {shown} are left, and this call up to {most}"
        details |= {"limit_remaining": shown, "worst_case": most}
    else:
        message = f"it may have {counted(limit.amount, _RUN_UNITS.get(measure) or _UNITS[measure])}"
        if measure in _UNITS:
            message += f", of which {left} are left, and this call can take {needed}"
            details |= {"limit_remaining": left, "worst_case": needed}
    is_money = measure is Measure.USD
    return Problem(
        402 if is_money else 429,
        ErrorType.PAYMENT_REQUIRED if is_money else ErrorType.RATE_LIMIT_EXCEEDED,
        f"The run '{run[:64]}' has reached a limit of {_whose(limit)}: {message}.",
        code="run_limit_exceeded",
        should_retry=False,
        details=details,
    )


def away() -> Problem:
    """503: nobody can say whether a limit holds the call."""
    return Problem(
        503,
        ErrorType.SERVER,
        "The gateway cannot find out at the moment what is left of a limit that counts for this call.",
        code="limits_unavailable",
        retry_after=AWAY_SECONDS,
        should_retry=True,
    )


def crowded() -> Problem:
    """429: too many calls wait for limits."""
    return Problem(
        429,
        ErrorType.RATE_LIMIT_EXCEEDED,
        "Too many calls wait for their limits.",
        code="rate_limit_exceeded",
        retry_after=FULL_SECONDS,
        should_retry=True,
    )


def rate_lines(claim: Claim, now: float) -> bytes:
    """The header lines that say what remains of the tightest rate of requests, and of tokens."""
    tightest: dict[bytes, Stock] = {}
    for stock, _ in claim.needs:
        limit = stock.limit
        if not limit.is_fleeting or limit.per_run:
            continue
        kind = b"requests" if limit.measure is Measure.REQUESTS else b"tokens"
        if limit.measure not in _RATED:
            continue
        other = tightest.get(kind)
        if other is None or _left(stock) < _left(other):
            tightest[kind] = stock
    return b"".join(
        [
            b"x-ratelimit-limit-%b: %d\r\nx-ratelimit-remaining-%b: %d\r\nx-ratelimit-reset-%b: %b\r\n"
            % (kind, stock.limit.amount, kind, _left(stock), kind, _span(_until_reset(stock, now)))
            for kind, stock in tightest.items()
        ]
    )


def _until_reset(stock: Stock, now: float) -> float:
    """Seconds until the window ends; a lease without one is of the minute that runs."""
    return stock.ends - now if now < stock.ends < math.inf else 60.0 - now % 60.0


def _span(seconds: float) -> bytes:
    """A duration as OpenAI writes it: `120ms`, `8.5s`, `1m0s`."""
    if seconds < 1.0:
        return b"%dms" % math.ceil(seconds * 1000)
    minutes, rest = divmod(round(seconds, 1), 60.0)
    text = f"{rest:g}s" if not minutes else f"{minutes:.0f}m{rest:g}s"
    return text.encode()


def _left(stock: Stock) -> int:
    """What is left of a limit as far as this worker knows: of its lease, and of what nobody held lately."""
    return max(0, min(stock.limit.amount, stock.left + stock.remains))


def _wait(stock: Stock, now: float) -> float:
    """After how many seconds there may be more."""
    if stock.wait:
        return stock.wait
    if now < stock.ends < math.inf:
        return stock.ends - now
    return FULL_SECONDS


def _whose(limit: Limit) -> str:
    if limit.scope is Scope.KEY:
        return "this key"
    if limit.scope is Scope.USER:
        return "this key's user"
    return f"the {limit.scope.value} '{limit.subject[:64]}'"


def _told(limit: Limit) -> dict[str, object]:
    """A limit, as a caller is told of it."""
    is_money = limit.measure is Measure.USD
    told: dict[str, object] = {
        "scope": limit.scope.value,
        "subject": limit.subject,
        "measure": limit.measure.value,
        "amount": format_usd(limit.amount) if is_money else limit.amount,
        "term": limit.term.value,
    }
    if limit.rolling:
        told["rolling"] = True
    if limit.per_run:
        told["per_run"] = True
    return told
