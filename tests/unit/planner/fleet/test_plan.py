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
from tokenway.planner.fleet.plan import Question, plan
from tokenway.planner.fleet.search import search
from tokenway.planner.fleet.workload import Targets, growing

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


def test_no_plan_without_a_replica() -> None:
    """What stands in the way is told."""
    with pytest.raises(PlanError, match="times too slow"):
        plan(msgspec.structs.replace(QUESTION, targets=Targets(speed=5_000)))
