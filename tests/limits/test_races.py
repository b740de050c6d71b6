"""Threads, processes and connections that race for one budget: never more than there is, and all of it."""

from __future__ import annotations

import multiprocessing
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from tests.limits.books import budget, charged, postgres_database, settle, sqlite_database
from tokenway.model.limits import Limit, Measure, Term
from tokenway.store.database import Database
from tokenway.store.granting import Ask, Given
from tokenway.store.leases import SqlLeases

THREADS: Final = 4
PROCESSES: Final = 2
AMOUNT: Final = 3_000
LIMITS: Final = (budget(AMOUNT), budget(AMOUNT + 500, Term.MONTH, "lim_0"), budget(10**9, Term.DAY, "lim_2"))
"""Each call counts for all; the first is used up first."""


def spend_all(open_database: Callable[[], Database], name: str) -> int:
    """Takes leases, spends and gives back, until there is nothing left; how much that was.

    One connection lends, another one settles, as the two threads of a control process do.
    """
    chance = random.Random(name)
    node, lender, books = name.partition("-")[0], open_database(), open_database()
    store = SqlLeases(lender, node, time.time)
    total = 0
    dry = 0
    while dry < 3:
        limits = chance.sample(LIMITS, 3)
        lent = dict(
            zip((limit.id for limit in limits), store.lend([ask(limit, name, 15) for limit in limits]), strict=True)
        )
        amount = min(15, *(each.amount for each in lent.values()))
        spent = chance.randint(0, amount)
        if spent:
            with books.add() as connection:
                # In the order of the keys, as the ledger does.
                for limit in sorted(LIMITS, key=lambda limit: limit.id):
                    settle(
                        connection,
                        limit,
                        time.time(),
                        spent,
                        holder=name,
                        period=lent[limit.id].period,
                        node=name,
                        sums=limit is LIMITS[0],
                    )
        total += spent
        store.take_back([Given(limit, each.period, name, each.amount - spent) for limit, each in lent.items()])
        dry = 0 if amount else dry + 1
        if not amount:
            time.sleep(0.05)
    store.release(name)
    lender.close()
    books.close()
    return total


def ask(limit: Limit, holder: str, least: int) -> Ask:
    """One of the racers asks."""
    return Ask(limit.id, limit, holder, least, THREADS * PROCESSES)


def race(open_database: Callable[[], Database], node: str) -> int:
    """What the threads of one process have spent."""
    with ThreadPoolExecutor(THREADS) as threads:
        names = [f"{node}-{number}" for number in range(THREADS)]
        return sum(threads.map(partial(spend_all, open_database), names))


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def open_database(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Database]:
    """Opens another connection to one database."""
    if request.param == "postgres":
        return partial(postgres_database, request.getfixturevalue("postgres_url"))
    sqlite_database(tmp_path / "t.db").close()
    return partial(sqlite_database, tmp_path / "t.db")


@pytest.mark.slow
def test_a_budget_is_spent_to_the_end_and_never_over(open_database: Callable[[], Database]) -> None:
    """By eight threads in two processes, each with two connections, three limits at a time in any order."""
    before = {limit.id: limit for limit in LIMITS}
    with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
        totals = pool.starmap(race, [(open_database, f"n{number}") for number in range(PROCESSES)])
    database = open_database()
    assert sum(totals) == charged(database, LIMITS[0]) == AMOUNT
    store = SqlLeases(database, "n0", time.time)
    assert store.outstanding("lim_1", 0) == 0
    left = store.lend([ask(LIMITS[1], "last", 10**6)])[0]
    assert left.amount == before["lim_0"].amount - AMOUNT
    database.close()


@pytest.mark.parametrize("measure", [Measure.USD, Measure.REQUESTS])
def test_two_that_ask_at_once_cannot_both_have_the_last(
    open_database: Callable[[], Database], measure: Measure
) -> None:
    """Again and again, for a period that nobody has asked for before."""
    stores = [SqlLeases(open_database(), f"n{number}", time.time) for number in range(2)]
    with ThreadPoolExecutor(2) as threads:
        for number in range(40):
            limit = budget(1, identity=f"lim_{number}", measure=measure)
            lent = threads.map(
                lambda store, limit=limit: store.lend([ask(limit, f"w{id(store)}", 1)])[0].amount, stores
            )
            assert sum(lent) == 1
    for store in stores:
        store._database.close()
