"""What follows when a deadline has passed: a table by deadline.

TOTAL            the caller is told, whatever is under way
CONNECT          attempts of that lane that are not connected fail
FIRST_TOKEN      the attempt fails, if it has no text yet
BETWEEN_TOKENS   moves with the stream; when that has stood still for so long, the attempt fails
ATTEMPT          the attempt fails
PATIENCE         the attempt fails, if another endpoint can be asked
RETRY            the next attempt is made
HEDGE            another endpoint is asked as well, if the first has no text yet and the budget allows it
SLOW             the speed lately is held against the floor; below it the answer is continued elsewhere
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from tokenway.exchange import commands as c
from tokenway.exchange import events as e
from tokenway.exchange import rescue
from tokenway.exchange.attempts import OPENING, RELEASED, Attempt
from tokenway.exchange.deadlines import Deadline
from tokenway.exchange.phases import CLOSED, FLOWING, RESCUING
from tokenway.model.errors import ErrorType, Problem
from tokenway.model.faults import Fault
from tokenway.model.preferences import Rescue

if TYPE_CHECKING:
    from tokenway.exchange.machine import Exchange

TOTAL, RETRY, HEDGE, SLOW, CONNECT, FIRST_TOKEN, BETWEEN_TOKENS, ATTEMPT, PATIENCE = Deadline
WINDOW_SHARE: Final = 0.5
"""The share of the grace period over which a stream's speed is measured: with the look that follows and the time until
another endpoint goes on, a reader waits no longer than the whole."""
LOOK_SHARE: Final = 0.125
"""How often it is looked at, as a share of the grace period."""

Out = list[c.Command]


def passed(exchange: Exchange, event: e.DeadlinePassed, out: Out) -> None:
    """Goes through the deadlines that have passed, the weightiest first, until one ends the exchange."""
    for which, lane in exchange.deadlines.passed(event.at):
        if exchange.phase is CLOSED:
            return
        # An earlier one of them may have ended what this one was about.
        if exchange.deadlines.time_of(which, lane) <= event.at:
            STEPS[which](exchange, lane, event, out)
    exchange.deadlines.rearm()


def watch_speed(exchange: Exchange, now: float) -> None:
    """An answer has begun: looks at its speed from now on, so that its first burst is soon left behind."""
    order = exchange.order
    if order.rescue is Rescue.ON and order.min_tps > 0.0:
        exchange.deadlines.set(SLOW, now + order.grace * LOOK_SHARE)


def _total(exchange: Exchange, _lane: int, event: e.DeadlinePassed, out: Out) -> None:
    if not exchange.made:
        problem = Problem(
            504, ErrorType.TIMEOUT, "The request was not admitted in time.", code="total_deadline", should_retry=True
        )
        exchange.close(out, RELEASED, problem.status, problem.type)
        out.append(c.SendError(problem, in_band=False))
        return
    for attempt in exchange.live:
        attempt.fault = Fault.TOTAL_DEADLINE
        exchange.take_count(attempt, event.looks)
    last = exchange.made[-1]
    exchange.give_up(last, _failure(last, Fault.TOTAL_DEADLINE, event), out)


def _connect(exchange: Exchange, lane: int, event: e.DeadlinePassed, out: Out) -> None:
    exchange.deadlines.clear(CONNECT, lane)
    attempt = _in_lane(exchange, lane)
    if attempt is not None and attempt.phase is OPENING:
        _time_out(exchange, attempt, Fault.CONNECT_DEADLINE, event, out)


def _first_token(exchange: Exchange, lane: int, event: e.DeadlinePassed, out: Out) -> None:
    exchange.deadlines.clear(FIRST_TOKEN, lane)
    attempt = _in_lane(exchange, lane)
    if attempt is not None and attempt.phase is not OPENING and not look_at(attempt, event).has_text:
        _time_out(exchange, attempt, Fault.FIRST_TOKEN_DEADLINE, event, out)


def _between_tokens(exchange: Exchange, lane: int, event: e.DeadlinePassed, out: Out) -> None:
    """Moves with the stream: the shell says when it last moved, so no chunk has to touch a timer."""
    attempt = _in_lane(exchange, lane)
    if attempt is None or attempt is exchange.frozen:
        exchange.deadlines.clear(BETWEEN_TOKENS, lane)
        return
    look, limit = look_at(attempt, event), attempt.limits.between_tokens
    waits_for_text = not look.has_text and exchange.deadlines.time_of(FIRST_TOKEN, lane) > event.at
    moved_at = event.at if waits_for_text else look.last_activity
    if moved_at + limit > event.at:
        exchange.deadlines.set(BETWEEN_TOKENS, moved_at + limit, lane)
    else:
        _time_out(exchange, attempt, Fault.BETWEEN_TOKENS_DEADLINE, event, out)


def _attempt(exchange: Exchange, lane: int, event: e.DeadlinePassed, out: Out) -> None:
    exchange.deadlines.clear(ATTEMPT, lane)
    attempt = _in_lane(exchange, lane)
    if attempt is not None:
        _time_out(exchange, attempt, Fault.TOTAL_DEADLINE, event, out)


def _patience(exchange: Exchange, lane: int, event: e.DeadlinePassed, out: Out) -> None:
    exchange.deadlines.clear(PATIENCE, lane)
    attempt = _in_lane(exchange, lane)
    if attempt is not None and event.may_retry and exchange.can_turn_from(attempt, event.at):
        # A caller in a hurry says nothing of an endpoint; the usual limits do.
        is_usual = exchange.order.caps is None
        _time_out(exchange, attempt, Fault.FIRST_TOKEN_DEADLINE if is_usual else Fault.TOTAL_DEADLINE, event, out)


def _retry(exchange: Exchange, _lane: int, event: e.DeadlinePassed, out: Out) -> None:
    exchange.deadlines.clear(RETRY)
    exchange.open(exchange.retry_slot, event.at, out, resumes=exchange.phase is RESCUING)


def _hedge(exchange: Exchange, _lane: int, event: e.DeadlinePassed, out: Out) -> None:
    exchange.deadlines.clear(HEDGE)
    (first, *more) = exchange.live or (None,)
    if first is not None and not more and not look_at(first, event).has_text:
        _race(exchange, first, event, out)


def _slow(exchange: Exchange, _lane: int, event: e.DeadlinePassed, out: Out) -> None:
    order = exchange.order
    again = event.at + order.grace * LOOK_SHARE
    exchange.deadlines.set(SLOW, again)
    live = exchange.live
    if len(live) != 1 or look_at(live[0], event).tps >= order.min_tps:
        return
    if exchange.phase is FLOWING:
        soonest = rescue.when_slow(exchange, live[0], event, out)
        if soonest > event.at:  # all that matters is how fast it is by then
            exchange.deadlines.set(SLOW, max(again, soonest - order.grace * (WINDOW_SHARE + LOOK_SHARE)))
    elif _race(exchange, live[0], event, out):
        exchange.to_the_end = True
        exchange.deadlines.clear(SLOW)


def _race(exchange: Exchange, first: Attempt, event: e.DeadlinePassed, out: Out) -> bool:
    """Asks another endpoint as well; whether there is one, and the budget for it."""
    choice = exchange.field.next_beside(first.slot, event.at) if event.may_hedge else None
    if choice is None:
        return False
    exchange.open(choice.slot, event.at, out, hedge=True)
    return True


def _in_lane(exchange: Exchange, lane: int) -> Attempt | None:
    return next((attempt for attempt in exchange.live if attempt.lane == lane), None)


def look_at(attempt: Attempt, event: e.DeadlinePassed) -> e.Look:
    """How an attempt stands."""
    return event.looks[attempt.number - 1] if attempt.number <= len(event.looks) else e.UNSEEN


def _time_out(exchange: Exchange, attempt: Attempt, fault: Fault, event: e.DeadlinePassed, out: Out) -> None:
    exchange.cancel(attempt, out)
    exchange.fail(attempt, _failure(attempt, fault, event), out)


def _failure(attempt: Attempt, fault: Fault, event: e.DeadlinePassed) -> e.UpstreamFailed:
    look = look_at(attempt, event)
    return e.UpstreamFailed(
        event.at,
        attempt.number,
        fault,
        usage=look.usage,
        dice=event.dice,
        absurd=look.absurd,
        shown=look.shown,
        may_retry=event.may_retry,
    )


STEPS: Final[dict[Deadline, Callable[[Exchange, int, e.DeadlinePassed, Out], None]]] = {
    TOTAL: _total,
    CONNECT: _connect,
    FIRST_TOKEN: _first_token,
    BETWEEN_TOKENS: _between_tokens,
    ATTEMPT: _attempt,
    PATIENCE: _patience,
    RETRY: _retry,
    HEDGE: _hedge,
    SLOW: _slow,
}
