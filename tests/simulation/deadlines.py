"""Every deadline is met within the granularity of the sweep, by each attempt's own limits, and none is called early."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from math import inf
from typing import Final

from tests.simulation.clock import START
from tests.simulation.facts import Facts, Frozen
from tests.simulation.fleet import PER_TOKEN
from tests.simulation.provider import NEVER, Call, Sign
from tests.simulation.retries import EPSILON, LATE
from tests.simulation.voices.base import TEXT
from tokenway.edge.state import SWEEP_SECONDS
from tokenway.model.faults import Fault
from tokenway.model.preferences import Rescue

OK: Final = 200
WINDOW: Final = 0.5
"""Over which share of the grace period a speed is measured."""
LOOK: Final = 0.125
"""After which share of it it is looked at again."""


def check_deadlines(facts: Facts) -> Iterator[str]:
    """Nobody waits longer than a deadline says, but for the sweep."""
    history, plan = facts.history, facts.plan
    client = history.client
    end = client.finished_at if client.left_at is None else client.left_at
    begun = START if history.order is None or not history.steps else history.steps[0][1].at
    if end is not None and end - begun > plan.total + LATE:
        yield f"the exchange took {end - begun:.3f} s"
    for number, call in enumerate(history.calls, start=1):
        if call is None:
            continue
        limits = plan.limits_of(call.endpoint)
        name = f"attempt {number} ({call.script.name})"
        opening = (call.opened_at if call.opened_at != NEVER else call.over_at) - call.started_at
        if opening > limits.connect + LATE:
            yield f"{name} took {opening:.3f} s to connect"
        if call.over_at - call.started_at > limits.total + LATE and not (history.held and call.how == "end"):
            yield f"{name} took {call.over_at - call.started_at:.3f} s"
        if call.opened_at == NEVER:
            continue
        silence = max(_silences(facts, number, call), default=0.0)
        if _begun(facts, number, call) != NEVER and silence > limits.between_tokens + LATE:
            yield f"{name} was silent for {silence:.3f} s"
        if not plan.streams_up:
            turn = _turn(facts, number, call)
            if (
                call.over_at > turn + LATE
                and _could_turn(facts, number, turn)
                and not (history.held and call.how == "end")
            ):
                yield f"{name} was waited for until {call.over_at:.3f}, with another endpoint to ask at {turn:.3f}"
            continue
        first_text = facts.first_text(number)
        waited = (first_text if first_text != NEVER else call.over_at) - call.opened_at
        if waited > _patience(facts, number) + LATE:
            yield f"{name} took {waited:.3f} s to its first text"


def _patience(facts: Facts, number: int) -> float:
    """How long an attempt may take to its first text; where a frozen one waits, no longer than the grace period."""
    call = facts.call_of(number)
    if call is None:
        return inf
    limit = facts.plan.limits_of(call.endpoint).first_token
    waits = any(each.begin <= call.started_at and call.opened_at <= each.end for each in _freezes(facts, number))
    return min(limit, facts.plan.fleet.routing.grace) if waits else limit


def _begun(facts: Facts, number: int, call: Call) -> float:
    """From when on an answer may not stand still: its first text, or anything of one that comes whole."""
    if facts.plan.streams_up:
        return facts.first_text(number, for_sure=True)
    return call.begun_at if call.script.status == OK else NEVER


def _turn(facts: Facts, number: int, call: Call) -> float:
    """Until when a whole answer is waited for, while another endpoint could be asked."""
    order = facts.history.order
    begun = START if not facts.history.steps else facts.history.steps[0][1].at
    wait = (begun + facts.plan.total - call.opened_at) / 2.0
    if number == 1 and order is not None:
        wait = min(wait, order.patience)
    return call.opened_at + wait


def _could_turn(facts: Facts, number: int, at: float) -> bool:
    """Whether an endpoint was left at a time whom nobody had asked."""
    order = facts.history.order
    if order is None or number > facts.plan.max_retries or facts.retries_left(facts.began, 99) < 1.0 + EPSILON:
        return False
    asked = {each.id for each in facts.history.attempt_endpoints[:number]}
    end = facts.history.client.left_at
    is_there = end is None or end > at + LATE
    takers = order.endpoints[: order.takers]
    return is_there and any(each.id not in asked and not each.capabilities.context for each in takers)


def _freezes(facts: Facts, number: int) -> list[Frozen]:
    """Freezes of other attempts."""
    return [each for each in facts.frozen if each.attempt < number]


def _silences(facts: Facts, number: int, call: Call, least: Sign = Sign.PERHAPS) -> Iterator[float]:
    """The pauses of an answer that has begun; while the caller is slow, or it is frozen, there is none.

    What is no sign of life, or less of one than `least`, does not end a pause.
    """
    begun = _begun(facts, number, call)
    signs = [at for at, sign in zip(call.arrivals, call.signs, strict=True) if at > begun and sign >= least]
    times = [begun, *signs, call.over_at]
    stops = [*facts.history.client.pauses]
    stops += [(each.begin, each.end) for each in facts.frozen if each.attempt == number]
    stops.sort()
    for begin, end in itertools.pairwise(times):
        at = begin
        for stopped, resumed in stops:
            if stopped < end and resumed > at:
                yield max(0.0, stopped - at)
                at = max(at, min(resumed, end))
        yield end - at


def check_early(facts: Facts) -> Iterator[str]:
    """No deadline is called before its time."""
    settled, history = facts.settled, facts.history
    if settled is None:
        return
    begun = history.steps[0][1].at
    for number, (line, call) in enumerate(zip(settled.lines, history.calls, strict=True), start=1):
        if call is None or line.fault not in _DEADLINES or (history.held and call.how == "end"):
            continue
        if facts.frozen_call(number) is not None:
            continue
        limits = facts.plan.limits_of(call.endpoint)
        if line.fault == Fault.CONNECT_DEADLINE:
            waited, limit = call.over_at - call.started_at, limits.connect
        elif line.fault == Fault.FIRST_TOKEN_DEADLINE and not facts.plan.streams_up:
            waited, limit = call.over_at, _turn(facts, number, call)
        elif line.fault == Fault.FIRST_TOKEN_DEADLINE:
            waited, limit = call.over_at - call.opened_at, _patience(facts, number)
        elif line.fault == Fault.BETWEEN_TOKENS_DEADLINE:
            waited, limit = list(_silences(facts, number, call, Sign.SURE))[-1], limits.between_tokens
        elif call.over_at - call.started_at >= limits.total - EPSILON:
            continue
        elif not facts.plan.streams_up and call.over_at < begun + facts.plan.total - EPSILON:
            waited, limit = call.over_at, _turn(facts, number, call)
        else:
            waited, limit = call.over_at - begun, facts.plan.total
        if call.how != "cancelled" or waited < limit - EPSILON:
            yield f"attempt {number}: {line.fault} after {waited:.3f} s of {limit} s"


_DEADLINES: Final = {
    Fault.CONNECT_DEADLINE,
    Fault.FIRST_TOKEN_DEADLINE,
    Fault.BETWEEN_TOKENS_DEADLINE,
    Fault.TOTAL_DEADLINE,
}


# -- speed -----------------------------------------------------------------------------------------------


def check_speed(facts: Facts) -> Iterator[str]:
    """A stream under the floor is left within the grace period where it can be, and no other one is."""
    fleet = facts.plan.fleet
    if fleet.rescue is not Rescue.ON or not facts.plan.stream or not facts.parts:
        return
    for each in facts.frozen:
        call = facts.call_of(each.attempt)
        if call is not None and _is_quick(facts, call, each.begin):
            yield f"attempt {each.attempt} was frozen, and it was fast enough"
    if fleet.floor > 0.0 and facts.history.order is not None and not facts.plan.is_fan:
        for number, part in enumerate(facts.parts):
            yield from _check_noticed(facts, number, part.attempt)


def _tokens(facts: Facts, call: Call, begin: float, end: float) -> float:
    """The tokens that came in between, as far as bytes tell: where little is known, as few bytes as half of that."""
    size = sum(
        size - before
        for at, before, size in zip(call.arrivals, [0, *call.sizes[:-1]], call.sizes, strict=True)
        if begin < at <= end
    )
    known = facts.plan.fleet.per_token.get(call.endpoint.id)
    return size / known if known is not None else 2.0 * size / PER_TOKEN


def _is_quick(facts: Facts, call: Call, at: float) -> bool:
    """Whether an answer was fast enough just before a time, whichever looks its speed was measured between."""
    grace = facts.plan.fleet.routing.grace
    shortest, longest = grace * WINDOW, grace * (WINDOW + LOOK) + 2 * SWEEP_SECONDS
    return _tokens(facts, call, at - shortest, at) / longest >= facts.plan.fleet.floor


def _check_noticed(facts: Facts, number: int, attempt: int) -> Iterator[str]:
    """One part of the answer: when it was slow throughout a grace period, it was frozen at the end of that."""
    history, fleet, call = facts.history, facts.plan.fleet, facts.call_of(attempt)
    order, grace = history.order, facts.plan.fleet.routing.grace
    if call is None or call.first_text_at == NEVER or order is None:
        return
    until = min(call.over_at, *(each.begin for each in facts.frozen if each.attempt == attempt), inf)
    begun = max(facts.first_text(attempt), _begun_at(facts, number))
    for begin in [begun, *(at for at in call.arrivals if at > begun)]:
        end = begin + grace + LATE
        if end >= until:
            return
        if any(paused < end and resumed > begin for paused, resumed in history.client.pauses):
            continue
        if _tokens(facts, call, begin, end) / (grace * WINDOW) < fleet.floor and _can_leave(facts, call, end):
            yield f"attempt {attempt} was slow for {grace} s from {begin - START:.3f} on, and nobody noticed"
            return


def _begun_at(facts: Facts, number: int) -> float:
    """When a part of the caller's stream began."""
    history = facts.history
    attempt = facts.parts[number].attempt
    for at, _, commands in history.steps:
        if any(getattr(each, "attempt", 0) == attempt and type(each).__name__ in _BEGINNINGS for each in commands):
            return at
    return inf


_BEGINNINGS: Final = {"SendHead", "Resume"}


def _can_leave(facts: Facts, call: Call, at: float) -> bool:
    """Whether a slow answer could have gone on at an endpoint that nobody had asked yet."""
    history = facts.history
    order = history.order
    retries = sum(not each.hedges and each.number > 1 for each in facts.opened if each.at <= at)
    if order is None or retries >= facts.plan.max_retries or facts.retries_left(call.first_text_at, 99) < 1.0 + EPSILON:
        return False
    place = next((n for n, (when, _, _) in enumerate(history.steps) if when > at), len(history.steps) - 1)
    shown = facts.shown(place)
    if shown not in {TEXT, "nothing"}:
        return False
    asked = {each.id for each in history.attempt_endpoints}
    return any(
        each.id not in asked and seat not in order.slow and (each.capabilities.prefill or shown != TEXT)
        for seat, each in enumerate(order.endpoints[: order.takers])
        if not each.capabilities.context
    )
