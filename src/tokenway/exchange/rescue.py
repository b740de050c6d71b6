"""How an answer that has begun is continued at another endpoint.

    what the caller has seen      what can go on
    nothing, at most a beginning  any endpoint, from the start
    plain text                    an endpoint with prefill, from the exact text so far
    anything else                 nobody: a call, reasoning or an end is never spliced

When the winner breaks, it is over, and without a continuation the caller is told in the stream. When it is only slow,
nothing is lost yet: it is frozen, not cancelled, until the continuation has its first bytes, and thaws if that fails.
Each continuation is an attempt like any other and counts against the exchange's retries.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from tokenway.exchange import commands as c
from tokenway.exchange import events as e
from tokenway.exchange.attempts import Attempt, Choice
from tokenway.exchange.deadlines import Deadline
from tokenway.exchange.phases import FLOWING, RESCUING
from tokenway.model.preferences import Rescue
from tokenway.routing.retry import Verdict

if TYPE_CHECKING:
    from tokenway.exchange.machine import Exchange

Out = list[c.Command]


def after_failure(exchange: Exchange, attempt: Attempt, event: e.UpstreamFailed, verdict: Verdict, out: Out) -> None:
    """The winner broke, or a continuation did before it had anything to add."""
    if exchange.phase is FLOWING:
        exchange.shown = event.shown
    elif attempt is exchange.frozen:
        exchange.frozen = None  # it cannot thaw any more, and the continuation is under way
        out.append(exchange.note(attempt, event, None))
        return
    elif exchange.frozen is not None:
        out.append(exchange.note(attempt, event, None))
        _thaw(exchange, exchange.frozen, event.at, out)
        return
    choice = None
    if exchange.order.rescue is not Rescue.OFF and exchange.may_go_on(event, verdict):
        choice = _next(exchange, exchange.shown, event.at)
    if choice is None or not exchange.can_wait(choice.at, event.at):
        exchange.give_up(attempt, event, out)
        return
    exchange.phase = RESCUING
    exchange.deadlines.clear(Deadline.SLOW)
    out.append(exchange.note(attempt, event, choice.at - event.at))
    exchange.go_to(choice, event.at, out)


def when_slow(exchange: Exchange, winner: Attempt, event: e.DeadlinePassed, out: Out) -> float:
    """The winner has been slower than the floor for too long: freezes it and has another endpoint go on, if one can.

    Gives when one can, as far as that is known: `inf` for never.
    """
    if not event.may_retry:
        return event.at  # as soon as the budget allows it, which says nothing of when that is
    look = event.looks[winner.number - 1]
    field = exchange.field
    besides = field.slots_of(winner.slot) | field.takes_none() | exchange.order.slow
    choice = _next(exchange, look.shown, event.at, besides) if exchange.retries_left > 0 else None
    if choice is None or choice.at > event.at:
        return inf if choice is None else choice.at
    exchange.take_count(winner, event.looks)
    exchange.frozen = winner
    exchange.shown = look.shown
    exchange.phase = RESCUING
    exchange.deadlines.clear(Deadline.SLOW)
    out.append(c.Freeze(winner.number))
    exchange.go_to(choice, event.at, out)
    return event.at


def _next(exchange: Exchange, shown: e.Shown, now: float, besides: frozenset[int] = frozenset()) -> Choice | None:
    if shown is e.Shown.OTHER:
        return None
    return exchange.field.next_to_resume(now, prefill=shown is e.Shown.TEXT, besides=besides)


def _thaw(exchange: Exchange, frozen: Attempt, now: float, out: Out) -> None:
    """A slow answer is better than none."""
    exchange.frozen = None
    exchange.phase = FLOWING
    exchange.deadlines.set(Deadline.BETWEEN_TOKENS, now + frozen.limits.between_tokens, frozen.lane)
    out.append(c.Thaw(frozen.number))
