"""Budgets and rates where machines die, clocks step and messages are late: never over, and hardly under."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.limits.books import budget, sqlite_database
from tests.limits.world import Plan, World
from tokenway.model.limits import Limit, Measure, Scope, Term
from tokenway.store.database import Database
from tokenway.store.nodes import LOST_SECONDS

MINUTE = 60
DOLLAR = 10**9


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An empty one."""
    database = sqlite_database(tmp_path / "t.db")
    yield database
    database.close()


def rate(amount: int, measure: Measure = Measure.REQUESTS) -> Limit:
    """So much a minute."""
    return Limit("lim_rate", Scope.KEY, "key_1", measure, amount, Term.MINUTE)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_no_budget_is_ever_overspent(database: Database, seed: int) -> None:
    """Whatever dies, is late, or steps: after each change of the books, in each period."""
    total = budget(3 * DOLLAR)
    limits = (
        total,
        budget(DOLLAR, Term.DAY, "lim_day"),
        budget(900, Term.MONTH, "lim_calls", measure=Measure.REQUESTS),
        budget(2 * DOLLAR, Term.WEEK, "lim_roll", rolling=True),
        rate(2_000),
    )
    plan = Plan(limits, seconds=25, calls=60, most=10_000_000, latest=3, crashes=0.3, outages=0.2, steps=0.2)
    world = World(plan, database, seed)
    world.run()
    for limit in limits[:-1]:
        assert world.spent(limit)
        assert max(world.spent(limit).values()) <= limit.amount
    assert world.refused


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("machines", [1, 2])
def test_a_budget_that_is_used_up_leaves_little_behind(database: Database, machines: int, seed: int) -> None:
    """Of calls that cost at most 1 % each: when the first is refused, no 5 % lie idle, and in the end hardly 1 %."""
    limit = budget(DOLLAR)
    plan = Plan((limit,), machines=machines, seconds=25, calls=150, most=DOLLAR // 100)
    world = World(plan, database, seed)
    world.run()
    assert world.idle_when_dry is not None
    assert world.idle_when_dry[limit.id] <= 0.05 * limit.amount
    assert 0.99 * limit.amount <= world.spent(limit)[0] <= limit.amount


@pytest.mark.parametrize("measure", [Measure.REQUESTS, Measure.INPUT_TOKENS])
@pytest.mark.parametrize("machines", [1, 2])
@pytest.mark.parametrize("queue", [0.0, 5.0])
def test_a_rate_is_admitted_to_the_last_twentieth(
    database: Database, machines: int, measure: Measure, queue: float
) -> None:
    """In each whole minute, whose load is unevenly spread over the workers and half as much again as the limit."""
    limit = rate(600 if measure is Measure.REQUESTS else 60_000, measure)
    tokens = 1 if measure is Measure.REQUESTS else 200
    plan = Plan((limit,), machines=machines, seconds=200, calls=15, tokens=tokens, queue=queue)
    world = World(plan, database, 1)
    world.run()
    minutes: Counter[int] = Counter()
    for at, used in world.admitted:
        minutes[int(at // MINUTE)] += 1 if measure is Measure.REQUESTS else used
    whole = sorted(minutes)[:3]
    assert all(0.95 * limit.amount <= minutes[minute] <= limit.amount for minute in whole), minutes


@pytest.mark.parametrize("seed", range(3))
def test_no_more_calls_at_once_than_there_are_slots(database: Database, seed: int) -> None:
    """Of all machines together, and nearly as many while they are wanted."""
    limit = Limit("lim_slots", Scope.KEY, "key_1", Measure.CONCURRENCY, 20)
    world = World(Plan((limit,), seconds=20, calls=100, queue=2.0), database, seed)
    world.run()
    assert 18 <= world.most_at_once <= 20


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_a_machine_that_is_lost_for_long_and_comes_back_overspends_nothing(database: Database, seed: int) -> None:
    """However it was lost: what it held stays its own, until its journals have said what it has spent of it."""
    limit = budget(DOLLAR)
    away = (2 * LOST_SECONDS, 2.5 * LOST_SECONDS)
    plan = Plan((limit,), workers=2, seconds=1_800, calls=2.0, most=DOLLAR // 250, losses=1 / 100, away=away)
    world = World(plan, database, seed)
    world.run()
    assert 0.95 * limit.amount <= world.spent(limit)[0] <= limit.amount
    assert world.losses
