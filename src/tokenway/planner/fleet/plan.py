"""The whole answer: the cheapest fleet for the months to come, how it compares with APIs, and what it depends on.

A replica that is cheapest when it is full need not be so for little demand, so all that keep the targets are compared
by what they cost over all months; the best few are then played against the arrivals (`tails`), and the cheapest of
these is taken.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from tokenway.planner.errors import PlanError
from tokenway.planner.fleet.breakeven import Api, BreakEven, break_even, first_months
from tokenway.planner.fleet.months import FleetMonth, by_month, fleet_for
from tokenway.planner.fleet.queueing import Tails
from tokenway.planner.fleet.search import Offer, Replica, Served, search
from tokenway.planner.fleet.sensitivity import Bar, Span, tornado
from tokenway.planner.fleet.tails import Usable, alone, usable
from tokenway.planner.fleet.workload import Mix, Month, Targets
from tokenway.planner.formats import Numbers
from tokenway.planner.serving.deployment import Load
from tokenway.planner.serving.pareto import Curve, curve, sweep

PLAYED: Final = 48
"""After so many replicas that do not keep the targets against the arrivals no more are played."""
_HALVINGS: Final = 8
FRONTIERS: Final = 6
"""Of how many chips and formats the whole curve is told."""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What a fleet is asked for."""

    served: Served
    mix: Mix
    targets: Targets
    months: Sequence[Month]
    offers: Sequence[Offer]
    formats: Sequence[Numbers]
    apis: Sequence[Api] = ()


class Other(NamedTuple):
    """The best that another chip and format come to: dollars over all months, and the replica."""

    replica: Replica
    usd: float


class Against(NamedTuple):
    """An API beside the fleet: what all months cost there, the volume from which the fleet pays, and when that is."""

    api: Api
    usd: float
    even: BreakEven
    months: dict[str, str | None]


class Frontier(NamedTuple):
    """What no other layout or batch of a chip and format beats: tokens/s of a caller against those of a GPU."""

    offer: Offer
    numbers: Numbers
    curve: Curve


class Plan(NamedTuple):
    """The answer. `usd` is what the fleet costs over all months; `others` the best of each chip and format, with it.

    `frontiers` are those of the cheapest of the others.
    """

    replica: Replica
    usable: Usable
    fleets: list[FleetMonth]
    usd: float
    others: list[Other]
    against: list[Against]
    bars: list[Bar]
    frontiers: list[Frontier]


def plan(question: Question) -> Plan:
    """The plan. Raises PlanError where nothing keeps the targets, with what stands in the way and by how much."""
    found = search(question.served, question.mix, question.targets, question.offers, question.formats)
    if not found.replicas:
        raise PlanError(" ".join(found.reasons))
    costed = sorted(((_usd(question, each, question.targets.utilisation), each) for each in found.replicas), key=_first)
    replica, use, usd = _played(question, costed)
    fleets = by_month(question.months, replica, use.share, question.targets)
    against = [_against(api, question, replica, use.share, fleets) for api in question.apis]
    others = _others(costed)
    frontiers = [_frontier(question, other.replica) for other in others[:FRONTIERS]]
    return Plan(replica, use, fleets, usd, others, against, _bars(question, replica, use.share), frontiers)


def _first(pair: tuple[float, Replica]) -> float:
    return pair[0]


def _usd(question: Question, replica: Replica, share: float, price: float | None = None) -> float:
    """Dollars over all months, with the demand that is expected."""
    return math.fsum(
        fleet_for(month, month.middle, replica, share, question.targets, price).usd for month in question.months
    )


def _played(question: Question, costed: list[tuple[float, Replica]]) -> tuple[Replica, Usable, float]:
    """The cheapest of the best few, each with the share of its work at which the slow end of callers is served too."""
    best: tuple[Replica, Usable, float] | None = None
    targets, missed = question.targets, list[Tails]()
    soonest = math.inf
    for usd, replica in costed:
        if (best is not None and usd >= best[2]) or len(missed) == PLAYED:
            break
        soonest = min(soonest, first := alone(question.served, replica, targets))
        if first > targets.ttft:
            continue
        least = 0.0 if best is None else _least_share(question, replica, best[2])
        tried = usable(question.served, replica, targets, least)
        if tried.share == 0:
            missed.append(tried.tails)
        elif best is None or _usd(question, replica, tried.share) < best[2]:
            best = (replica, tried, _usd(question, replica, tried.share))
    if best is None:
        raise PlanError(_too_late(targets, soonest, missed))
    return best


def _least_share(question: Question, replica: Replica, usd: float) -> float:
    """The share of its work that a replica has to be given to cost less than `usd`."""
    low, high = 0.0, question.targets.utilisation
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if _usd(question, replica, middle) < usd else (middle, high)
    return high


def _too_late(targets: Targets, soonest: float, missed: Sequence[Tails]) -> str:
    """Which promise the arrivals break, and by how much where it is broken least."""
    soonest = min((each.ttft[targets.quantile] for each in missed), default=soonest)
    fastest = max((each.speed[0.5] for each in missed), default=math.inf)
    broken = []
    if soonest > targets.ttft:
        broken.append(
            f"{targets.quantile * 100:.3g}% of the requests have a first token within {soonest:.2f} s at best, "
            f"{soonest / targets.ttft:.2f} times too late"
        )
    if fastest < targets.speed:
        broken.append(f"half of them {fastest:.1f} tokens/s at best, {targets.speed / fastest:.2f} times too slow")
    return (
        "On the mean there are fleets that keep the targets, but with such lengths and arrivals none does at any load: "
        f"{', '.join(broken) or 'each promise is kept by some, and both by none'}. "
        "Allow more time, a lower share, or shorter inputs."
    )


def _others(costed: list[tuple[float, Replica]]) -> list[Other]:
    """The cheapest of each chip and format."""
    found: dict[tuple[str, str], Other] = {}
    for usd, replica in costed:
        found.setdefault((replica.offer.name, replica.numbers.label), Other(replica, usd))
    return list(found.values())


def _frontier(question: Question, replica: Replica) -> Frontier:
    served, mix, offer, numbers = question.served, question.mix, replica.offer, replica.numbers
    load = Load(input=mix.input, output=mix.output, concurrency=1.0, cached=mix.cached)
    swept = sweep(served.on(offer, numbers), load, measured=served.factor(offer, numbers))
    return Frontier(offer, numbers, curve(swept.found))


def _against(api: Api, question: Question, replica: Replica, share: float, fleets: list[FleetMonth]) -> Against:
    usd = api.per_request(question.mix) * math.fsum(month.middle for month in question.months)
    even = break_even(api, replica, share, question.targets, replica.offer.price.middle)
    return Against(api, usd, even, first_months(api, fleets, question.mix))


def _bars(question: Question, replica: Replica, share: float) -> list[Bar]:
    """What dollars for a million tokens of output, with everything counted on them, depend on."""
    price, mix = replica.offer.price, question.mix
    tokens = math.fsum(month.middle for month in question.months) * mix.output
    low = math.fsum(month.low for month in question.months) / math.fsum(month.middle for month in question.months)
    high = math.fsum(month.high for month in question.months) / math.fsum(month.middle for month in question.months)
    spans = {
        "price of a GPU hour": Span(price.low, price.middle, price.high),
        "speed of the replica": Span(replica.tpot / replica.high, 1.0, replica.tpot / replica.low),
        "demand": Span(low, 1.0, high),
        "peak by mean": Span(max(1.0, mix.peak * 0.75), mix.peak, mix.peak * 1.5),
        "share of a replica's work in the peak hour": Span(share * 0.75, share, min(1.0, share * 1.15)),
    }

    def answer(inputs: Mapping[str, float]) -> float | None:
        faster, demand = inputs["speed of the replica"], inputs["demand"]
        changed = msgspec.structs.replace(
            replica,
            requests=replica.requests * faster,
            mix=msgspec.structs.replace(mix, peak=inputs["peak by mean"]),
        )
        months = [month._replace(middle=month.middle * demand) for month in question.months]
        usd = math.fsum(
            fleet_for(
                month,
                month.middle,
                changed,
                inputs["share of a replica's work in the peak hour"],
                question.targets,
                inputs["price of a GPU hour"],
            ).usd
            for month in months
        )
        return usd / (tokens * demand) * 1e6

    return [*tornado(answer, spans), *_mix_bars(question, replica)]


def _mix_bars(question: Question, replica: Replica) -> list[Bar]:
    """What lengths and the cache do: these change the replica itself, so it is asked for anew in the same layout."""
    mix = question.mix
    spans = {
        "input tokens": Span(mix.input * 0.5, mix.input, mix.input * 2),
        "output tokens": Span(max(1.0, mix.output * 0.5), mix.output, mix.output * 2),
        "cached share": Span(max(0.0, mix.cached - 0.25), mix.cached, min(0.95, mix.cached + 0.25)),
        "tokens/s for a caller": Span(
            question.targets.speed * 0.5, question.targets.speed, question.targets.speed * 1.5
        ),
    }

    def answer(inputs: Mapping[str, float]) -> float | None:
        changed = msgspec.structs.replace(
            mix, input=inputs["input tokens"], output=inputs["output tokens"], cached=inputs["cached share"]
        )
        targets = msgspec.structs.replace(question.targets, speed=inputs["tokens/s for a caller"])
        found = search(question.served, changed, targets, [replica.offer], [replica.numbers]).replicas
        return min((each.cost() for each in found), default=math.nan) / changed.output * 1e6 if found else None

    return tornado(answer, spans)
