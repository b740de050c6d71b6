"""The whole answer: the cheapest fleet over all months, checked against the arrivals, and what it depends on."""

from __future__ import annotations

import datetime as dt
import math

import msgspec
import pytest

from tests.unit.planner.fleet.asked import FP8, MIX, MODEL, MONTHS, TARGETS, offer
from tokenway.model.catalog import Price
from tokenway.model.money import Rate
from tokenway.planner.errors import PlanError
from tokenway.planner.fleet.breakeven import Api
from tokenway.planner.fleet.months import by_month
from tokenway.planner.fleet.plan import Question, plan
from tokenway.planner.fleet.search import search
from tokenway.planner.fleet.tails import usable
from tokenway.planner.fleet.workload import Mix, Targets, growing

QUESTION = Question(
    served=MODEL,
    mix=MIX,
    targets=TARGETS,
    months=MONTHS,
    offers=[offer("h100"), offer("h200"), offer("b200")],
    formats=[FP8],
    apis=[Api("an API", Price(input=Rate(300_000_000), output=Rate(1_000_000_000)))],
)


def test_a_plan() -> None:
    """The fleet is the cheapest of all chips, and grows with demand."""
    found = plan(QUESTION)
    assert found.usd == pytest.approx(math.fsum(each.middle.usd for each in found.fleets))
    gpus = [each.middle.gpus for each in found.fleets]
    assert gpus == sorted(gpus)
    assert {each.replica.offer.name for each in found.others} == {"h100", "h200", "b200"}
    assert [each.usd for each in found.others] == sorted(each.usd for each in found.others)
    assert found.usable.tails is not None
    [against] = found.against
    assert against.usd == pytest.approx(against.even.api_usd_per_request * sum(month.middle for month in MONTHS))


def test_little_demand_takes_a_small_replica() -> None:
    """Which is not the one that is cheapest when it is full."""
    little = growing(dt.date(2026, 7, 1), 3, 1e6, 0, 0, MIX)
    found = plan(msgspec.structs.replace(QUESTION, months=little))
    full = search(MODEL, MIX, TARGETS, QUESTION.offers, [FP8]).replicas
    assert found.replica.gpus <= min(each.gpus for each in full if each.offer.name == found.replica.offer.name) + 1e-9


def test_what_it_depends_on() -> None:
    """Dearer hours cost more, faster replicas less; each bar has its base between its ends or beyond one of them."""
    bars = {bar.name: bar for bar in plan(QUESTION).bars}
    price, speed = bars["price of a GPU hour"], bars["speed of the replica"]
    assert price.at_low is not None
    assert price.at_high is not None
    assert price.at_low <= price.base <= price.at_high
    assert speed.at_low is not None
    assert speed.at_high is not None
    assert speed.at_low >= speed.base >= speed.at_high
    assert {"input tokens", "output tokens", "cached share", "demand", "peak by mean"} <= set(bars)


def test_those_that_break_under_the_arrivals_are_passed_over() -> None:
    """However many of the cheapest do, one that does not is found; another that may be used more is cheaper still."""
    mix = Mix(input=150_000)
    months = growing(dt.date(2026, 7, 1), 6, 1e9, 0, 0.5, mix)
    offers = [offer("gb200"), offer("gb300")]
    long = msgspec.structs.replace(QUESTION, mix=mix, targets=Targets(), months=months, offers=offers)
    found = plan(long)
    replicas = search(MODEL, mix, long.targets, long.offers, [FP8]).replicas
    uses = [usable(MODEL, each, long.targets) for each in replicas]
    assert sum(each.share == 0 for each in uses) > 4
    for replica, use in zip(replicas, uses, strict=True):
        if use.share > 0:
            fleets = by_month(months, replica, use.share, long.targets)
            assert found.usd <= 1.05 * math.fsum(each.middle.usd for each in fleets)


def test_promises_that_only_the_arrivals_break() -> None:
    """Which one, and by how much."""
    least = plan(QUESTION).usable.tails.ttft[0.5] * 0.8
    with pytest.raises(PlanError, match=r"99% of the requests .* within 0\.\d\d s at best, 1\.\d\d times too late\."):
        plan(msgspec.structs.replace(QUESTION, targets=Targets(speed=30, ttft=least, quantile=0.99)))


def test_no_plan_without_a_replica() -> None:
    """What stands in the way is told."""
    with pytest.raises(PlanError, match="times too slow"):
        plan(msgspec.structs.replace(QUESTION, targets=Targets(speed=5_000)))
