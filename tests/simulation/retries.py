"""Which attempt follows which: the rules of retrying, of keys, of races and of rescue, worked out by hand.

An order names each endpoint once for each key: a seat. What a key was refused for (401, 402, 403, 429, spent money)
concerns its seat, all else the endpoint with all its keys. A new seat is asked at once and in the order of the plan; of
those that were asked before, the one whose pause ends first. An answer of which its caller has text goes on where that
can be done, one of which it has nothing anywhere, and nothing else goes on at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from typing import Final

from tests.simulation.clock import START
from tests.simulation.facts import Facts, Opened
from tests.simulation.provider import NEVER, Call
from tests.simulation.voices.base import TEXT
from tokenway.edge.state import SWEEP_SECONDS
from tokenway.exchange import commands as c
from tokenway.exchange import events as e
from tokenway.exchange.events import Order
from tokenway.metering.ledger import Line
from tokenway.model.catalog import Endpoint
from tokenway.model.faults import Fault
from tokenway.model.preferences import Rescue

EPSILON: Final = 1e-6
LATE: Final = SWEEP_SECONDS + EPSILON
BACKOFF_FIRST: Final = 0.25
BACKOFF_LONGEST: Final = 8.0
PAUSE_LONGEST: Final = 30.0

_ELSEWHERE: Final = {401, 402, 403, 404, 405, 501}
_AGAIN: Final = {408, 409, 424, 425, 429}
_KEYS_OWN: Final = {401, 402, 403, 429}
_SPENT: Final = "insufficient_quota"
_TOO_LONG: Final = "context_length_exceeded"


def code_of(call: Call | None) -> str:
    """The code of an error answer, as far as it can be read."""
    return "" if call is None or call.script.name == "status, large" else call.script.code


def meaning(line: Line, call: Call | None) -> str:
    """What a failed attempt means by the rules of retrying: `fatal`, `elsewhere`, `larger` or `again`."""
    if line.fault == Fault.TLS:
        return "elsewhere"
    if line.fault != Fault.STATUS:
        return "again"
    status, advice = 503, None
    if call is not None:
        status, advice = call.script.status, call.script.should_retry
        if code_of(call) == _SPENT:
            return "elsewhere"
        if code_of(call) == _TOO_LONG:
            return "larger"
    if advice is True:
        return "again"
    if status in _ELSEWHERE:
        return "elsewhere"
    if status < 500 and status not in _AGAIN:
        # Who goes on with an answer is asked by the gateway: what is wrong with that is not the caller's mistake.
        return "elsewhere" if call is not None and call.resumes else "fatal"
    return "again" if advice is None else "elsewhere"


def concerns_key(line: Line, call: Call | None) -> bool:
    """Whether a failure is held against the key alone."""
    if line.fault != Fault.STATUS or call is None:
        return False
    code = code_of(call)
    return code == _SPENT or (code != _TOO_LONG and call.script.status in _KEYS_OWN)


class Seats:
    """What is known of the seats of an order at a time."""

    def __init__(self, order: Order) -> None:
        self.endpoints = order.endpoints
        self.waiting = frozenset(range(order.takers, len(order.endpoints)))
        """Those that took no call when it began: they race nobody, and nobody is left for them."""
        self.tries: dict[int, int] = {}
        self.asked: set[int] = set()
        """Those that were asked, and the other keys of endpoints that failed."""
        self.out: set[int] = set()
        self.ready: dict[int, tuple[float, float]] = {}
        """From when on a seat that failed may be asked again: no earlier than the first, no later than the second."""

    def of(self, endpoint: Endpoint) -> set[int]:
        """The seats of an endpoint."""
        return {seat for seat, each in enumerate(self.endpoints) if each.id == endpoint.id}

    def ask(self, seat: int) -> None:
        """A seat is asked."""
        self.asked.add(seat)
        self.tries[seat] = self.tries.get(seat, 0) + 1

    def forget(self, seat: int) -> None:
        """It was outrun, for no fault of its own."""
        self.asked.discard(seat)
        self.tries.pop(seat, None)

    def fail(self, seat: int, at: float, line: Line, call: Call | None) -> None:
        """It failed."""
        endpoint = self.endpoints[seat]
        seats = {seat} if concerns_key(line, call) else self.of(endpoint)
        what = meaning(line, call)
        if what == "again":
            advice = call.script.retry_after if call is not None and line.fault == Fault.STATUS else None
            longest = min(BACKOFF_LONGEST, BACKOFF_FIRST * 2.0 ** self.tries.get(seat, 0))
            window = (at, at + longest) if advice is None else (at + advice, at + advice)
            self.ready |= dict.fromkeys(seats, window)
            self.asked |= seats
            return
        self.out |= seats
        context = endpoint.capabilities.context
        if what == "larger" and context is not None:
            sizes = enumerate(each.capabilities.context for each in self.endpoints)
            self.out |= {other for other, size in sizes if size is not None and size <= context}

    def able(self, *, prefill: bool) -> list[int]:
        """Those that may be asked, in order."""
        return [
            seat
            for seat, each in enumerate(self.endpoints)
            if seat not in self.out and (each.capabilities.prefill or not prefill)
        ]


_WINS: Final = (e.UpstreamBytes, e.UpstreamText, e.UpstreamEnd)


def check_retries(facts: Facts) -> Iterator[str]:
    """Each attempt after the first is allowed, in time, and at the right place; and none is left out."""
    history, order, settled = facts.history, facts.history.order, facts.settled
    if order is None or settled is None or len(settled.lines) != len(history.calls):
        return
    seats = Seats(order)
    last: tuple[int, float] | None = None
    """The attempt that failed last, and when."""
    opened = {each.number: each for each in facts.opened}
    frozen = {each.attempt for each in facts.frozen if not each.thaws}
    for place, (at, event, commands) in enumerate(history.steps):
        for command in commands:
            match command:
                case c.Cancel() if isinstance(event, _WINS) and command.attempt not in frozen:
                    seats.forget(opened[command.attempt].slot)
                case c.Open():
                    made = opened[command.attempt]
                    yield from _check_open(facts, seats, made, last, commands)
                    seats.ask(made.slot)
                case c.Note():
                    last = (command.attempt, at)
                    line = settled.lines[command.attempt - 1]
                    if line.fault != Fault.TOTAL_DEADLINE or at - history.steps[0][1].at < facts.plan.total:
                        seats.fail(opened[command.attempt].slot, at, line, facts.call_of(command.attempt))
                case c.SendError() if last is not None:
                    yield from _check_end(facts, seats, last, place, in_band=command.in_band)
    yield from check_hedge_came(facts)


def _check_open(
    facts: Facts, seats: Seats, made: Opened, last: tuple[int, float] | None, commands: list[c.Command]
) -> Iterator[str]:
    number = made.number
    if number == 1:
        if made.slot:
            yield f"the first attempt is at place {made.slot}"
        return
    frozen = next((each.attempt for each in commands if isinstance(each, c.Freeze)), 0)
    if made.hedges:
        yield from _check_hedge(facts, seats, made)
        return
    since = made.at if frozen or last is None else last[1]
    yield from _check_allowed(facts, number, since, 0 if frozen or last is None else last[0])
    shown = facts.shown(made.place) if made.resumes else "nothing"
    if shown == "unsure":
        return
    able = seats.able(prefill=shown == TEXT)
    if frozen:
        besides = seats.of(seats.endpoints[facts.opened[frozen - 1].slot])
        besides |= seats.waiting | facts.history.order.slow  # type: ignore[union-attr]
        able = [seat for seat in able if seat not in besides]
    if made.slot not in able:
        yield f"attempt {number} went to place {made.slot}, of which {able} are left"
        return
    yield from _check_place(seats, made, able, since)


def _check_allowed(facts: Facts, number: int, since: float, failed: int) -> Iterator[str]:
    """There are retries left, of the exchange and of the worker, and what `failed` can be helped."""
    retries = sum(not each.hedges and each.number > 1 for each in facts.opened[: number - 1])
    if retries >= facts.plan.max_retries:
        yield f"attempt {number} is one more than {facts.plan.max_retries} retries"
    if facts.retries_left(since, number) < 1.0 - EPSILON:
        yield f"attempt {number} is more than the worker's budget"
    line = facts.settled.lines[failed - 1] if failed and facts.settled is not None else None
    if line is not None and meaning(line, facts.call_of(failed)) == "fatal":
        yield f"attempt {failed} could not be helped, and another was made"


def _check_place(seats: Seats, made: Opened, able: list[int], since: float) -> Iterator[str]:
    """A seat that is new comes first and at once, else the one whose pause ends first."""
    number = made.number
    new = [seat for seat in able if seat not in seats.asked]
    if new:
        if made.slot != new[0]:
            yield f"attempt {number} went to place {made.slot}, and {new[0]} was untried"
        if made.at - since > EPSILON:
            yield f"attempt {number} waited for a new endpoint"
        return
    least, _ = seats.ready.get(made.slot, (0.0, 0.0))
    soonest = min(most for _, most in (seats.ready.get(seat, (0.0, 0.0)) for seat in able))
    if made.at < least - EPSILON:
        yield f"attempt {number} came {least - made.at:.3f} s before its pause was over"
    if made.at > max(since, soonest) + LATE or made.at > since + PAUSE_LONGEST + LATE:
        yield f"attempt {number} came after {made.at - since:.3f} s"


def _check_hedge(facts: Facts, seats: Seats, made: Opened) -> Iterator[str]:
    """A race begins: of the one attempt that lives, at another endpoint that is new, late enough, in the budget."""
    number, order = made.number, facts.history.order
    if order is None:
        return
    live = sorted(facts.beside[number])
    if len(live) != 1:
        yield f"attempt {number} races {live}"
        return
    raced = seats.endpoints[facts.opened[live[0] - 1].slot]
    besides = seats.asked | seats.of(raced) | seats.waiting
    new = [seat for seat in seats.able(prefill=False) if seat not in besides]
    if not new or made.slot != new[0]:
        yield f"attempt {number} races at place {made.slot}, of which {new} are new"
    if facts.hedges_left(made.at) < 1.0 - EPSILON:
        yield f"attempt {number} is a race more than the budget"
    if facts.history.written[made.place]:
        yield f"attempt {number} races an answer that has begun"
    call = facts.call_of(live[0])
    if call is None or call.opened_at == NEVER:
        yield f"attempt {number} races one that has no connection"
        return
    is_slow = facts.plan.gathers and facts.plan.fleet.rescue is Rescue.ON and call.first_text_at != NEVER
    if is_slow and made.at >= call.first_text_at + facts.plan.fleet.routing.grace * 0.5 - EPSILON:
        return
    first = facts.call_of(1)
    if first is None or first.opened_at == NEVER or made.at < first.opened_at + order.hedge_after - EPSILON:
        yield f"attempt {number} races before {order.hedge_after:.3f} s"
    if call.first_text_at != NEVER and call.first_text_at < made.at - EPSILON:
        yield f"attempt {number} races one that has begun"


def check_hedge_came(facts: Facts) -> Iterator[str]:
    """A first token that is late has a second attempt started, where that may be."""
    order, first = facts.history.order, facts.call_of(1) if facts.history.calls else None
    if order is None or first is None or order.hedge_after == inf or first.opened_at == NEVER:
        return
    due = first.opened_at + order.hedge_after
    latest = due + LATE
    if first.first_text_at != NEVER and first.first_text_at <= latest:
        return
    if first.is_over_by(latest + EPSILON) or facts.began_by(latest) or not _is_open(facts, latest):
        return
    if len([each for each in facts.opened if not each.hedges and each.at <= latest]) > 1:
        return
    others = {each.id for each in order.endpoints[: order.takers]} - {first.endpoint.id}
    if (
        others
        and facts.hedges_left(START) >= 1.0
        and not any(each.hedges and each.at <= latest for each in facts.opened)
    ):
        yield f"no race began, though the first token was late at {due - START:.3f}"


def _is_open(facts: Facts, at: float) -> bool:
    finished = facts.history.client.finished_at
    return finished is None or finished > at


def _check_end(facts: Facts, seats: Seats, last: tuple[int, float], place: int, *, in_band: bool) -> Iterator[str]:
    """An error is no answer as long as there is another way."""
    history, plan, settled = facts.history, facts.plan, facts.settled
    number, failed_at = last
    if settled is None:
        return
    line, now = settled.lines[number - 1], history.steps[place][0]
    retries = sum(not each.hedges and each.number > 1 for each in facts.opened)
    if (
        retries >= plan.max_retries
        or facts.retries_left(failed_at, 99) < 1.0 + EPSILON
        or now - history.steps[0][1].at >= plan.total
    ):
        return
    if meaning(line, facts.call_of(number)) == "fatal":
        return
    if now > failed_at + EPSILON or history.client.left_at is not None:
        return  # the total deadline, in a pause
    shown = facts.shown(place) if in_band else "nothing"
    if shown in {"other", "unsure"}:
        return
    for seat in seats.able(prefill=shown == TEXT):
        name = seats.endpoints[seat].id
        if seat not in seats.asked:
            yield f"it gave up after {len(history.calls)} attempts, and {name} was untried (the caller had {shown})"
            return
        ready = seats.ready.get(seat, (now, now))[1]
        if ready - now <= PAUSE_LONGEST - EPSILON and ready - history.steps[0][1].at < plan.total - EPSILON:
            yield f"it gave up after {len(history.calls)} attempts, and {name} could be asked again ({shown})"
            return


def check_promises(facts: Facts) -> Iterator[str]:
    """A retry that was announced is made when it was announced, unless the exchange is over by then."""
    history = facts.history
    end = history.client.finished_at
    for place, (at, _, commands) in enumerate(history.steps):
        for command in commands:
            if not isinstance(command, c.Note) or command.retry_in is None:
                continue
            due = at + command.retry_in + LATE
            opened = next((each.at for each in facts.opened if each.place >= place and not each.hedges), None)
            if (opened is None or opened > due) and (end is None or end > due):
                yield f"a retry was announced in {command.retry_in:.3f} s and came not"


def check_order(facts: Facts) -> Iterator[str]:
    """The order has every endpoint that may be asked, with each of its keys, and what settings and caller say."""
    order, plan = facts.history.order, facts.plan
    if order is None or plan.is_fan:
        return
    fleet = plan.fleet
    seats = [(each.id, key) for each, key in zip(order.endpoints, order.credentials or (0,), strict=False)]
    wanted = fleet.slots(tuple(each for each in plan.endpoints if each.provider != plan.absent))
    wanted = {(name, key) for name, key in wanted if name not in fleet.too_slow}
    wanted |= {(each.id, 0) for each in plan.endpoints if each.provider == plan.absent} & set(seats)
    if len(set(seats)) != len(seats) or len(seats) != len(order.endpoints):
        yield f"seats {seats} for {len(order.endpoints)} endpoints"
    if fleet.wishes.get("allow_fallbacks") is False and not fleet.wishes.get("order"):
        if len({name for name, _ in seats}) != 1 or not set(seats) <= wanted:
            yield f"seats {seats}, of {wanted}, and one endpoint alone is wanted"
    elif set(seats) != wanted:
        yield f"seats {seats}, and {wanted} are wanted"
    named = fleet.wishes.get("order")
    if named and not fleet.limited and not fleet.broken:
        ranks = [named.index(each.provider) if each.provider in named else len(named) for each in order.endpoints]
        if ranks != sorted(ranks):
            yield f"the caller wants {named} first, and gets {[each.id for each in order.endpoints]}"
    blocked = {*fleet.broken, *fleet.limited}
    waits = [each.id in blocked for each in order.endpoints]
    is_told = waits == sorted(waits) and (len(waits) == 1 or order.takers == waits.count(False))
    if not is_told and facts.history.steps[0][0] == START:
        ids = [each.id for each in order.endpoints]
        yield f"{ids}, {order.takers}: those that take no call, {sorted(blocked)}, come last"
    rescue = fleet.rescue if plan.streams_up else Rescue.OFF
    if (order.rescue, order.min_tps, order.grace) != (rescue, fleet.floor, fleet.routing.grace):
        yield f"{order.rescue}, {order.min_tps}, {order.grace} are not {rescue}, {fleet.floor}, {fleet.routing.grace}"
    if order.stream is not plan.streams_up:
        yield f"upstreams are asked for streams: {order.stream}"
    yield from _check_races(facts, order)


def _check_races(facts: Facts, order: Order) -> Iterator[str]:
    """When a race begins, and how many there may be."""
    share = facts.plan.fleet.hedge_share
    races = bool(share) and facts.plan.streams_up and len({each.id for each in order.endpoints}) > 1
    if (order.hedge_after < inf) is not races or order.hedge_after < SWEEP_SECONDS:
        yield f"a race begins after {order.hedge_after} s, and the share is {share}"
    if order.hedge_share != facts.raced_share:
        yield f"of such calls {order.hedge_share} may be raced, not {facts.raced_share}"
