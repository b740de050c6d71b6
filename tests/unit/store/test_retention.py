"""What is dropped is what is too old, the ledger still holds after it, and reports go on with what is left."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from tests.records import NOON, line, reserved, settled
from tokenway.model.limits import Limit, Measure, Scope, Term
from tokenway.store import retention
from tokenway.store.base import Progress
from tokenway.store.granting import Ask
from tokenway.store.open import Store
from tokenway.store.retention import Ages, Kept, SqlRetention, kept_since
from tokenway.store.schema import attempts, exchanges, reservations, rollups, run_agents, runs, spend
from tokenway.store.verify import verify

DAY = 86_400
NOW = NOON + 10 * DAY
TODAY = NOW - 43_200


@pytest.fixture
def store(open_store: Callable[..., Store]) -> Store:
    """A store with a call on each of eleven days, and a reservation that expired on the first."""
    opened = open_store(clock=lambda: NOW)
    opened.ledger.commit(Progress("j", "w", "o", 1), [reserved(99)])
    opened.ledger.expire("o")
    records = [settled(n, at=NOON + n * DAY, run=f"r{n}", lines=(line(fault="cut"),)) for n in range(11)]
    opened.ledger.commit(Progress("j", "w", "o", 2), records)
    return opened


def count(store: Store, table: sa.Table, *where: sa.ColumnElement[bool]) -> int:
    """How many rows there are."""
    with store.database.read() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(table).where(*where)).scalar() or 0


def test_what_is_too_old_goes_and_the_books_still_hold(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries with their runs, minutes, hours; days and balances stay."""
    monkeypatch.setattr(retention, "PAGE", 3)
    before = store.usage.report(("day",))
    dropper = SqlRetention(store.database, lambda: NOW, Ages(entries=4 * DAY, minutes=DAY, hours=7 * DAY))
    dropper.run()
    with store.database.read() as connection:
        kept = kept_since(connection)

    assert kept == Kept(TODAY - 4 * DAY, TODAY - DAY, TODAY - 7 * DAY)
    assert count(store, exchanges) == count(store, attempts) == count(store, runs) == count(store, run_agents) == 5
    assert count(store, reservations) == 0
    assert count(store, rollups, rollups.c.grain == 60) == 2
    assert count(store, rollups, rollups.c.grain == 3_600) == 8
    assert count(store, spend, spend.c.grain == 3_600) == 8 * 3
    assert count(store, rollups, rollups.c.grain == DAY) == 12
    assert verify(store.database, NOW).faults == []
    assert store.usage.report(("day",)) == before
    assert not dropper.step()


def test_it_goes_in_small_steps_once_a_day(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step looks at a page; the next day it begins again."""
    monkeypatch.setattr(retention, "PAGE", 3)
    now = [NOW]
    dropper = SqlRetention(store.database, lambda: now[0], Ages(entries=4 * DAY))
    steps = 0
    while dropper.step():
        steps += 1
    assert (steps, count(store, exchanges)) == (5, 5)

    assert not dropper.step()
    now[0] += DAY
    dropper.run()
    assert count(store, exchanges) == 4


def test_budgets_keep_the_hours_that_they_count(store: Store) -> None:
    """A limit that rolls over a day would else be free again at midnight."""
    SqlRetention(store.database, lambda: NOW, Ages(hours=3_600.0)).run()
    assert count(store, rollups, rollups.c.grain == 3_600) == 1
    assert count(store, spend, spend.c.grain == 3_600) == 3 * 3
    limit = Limit("lim_1", Scope.KEY, "key_a", Measure.REQUESTS, 5, Term.DAY, rolling=True)
    assert store.leases.lend([Ask("lim_1", limit, "w", 5, 1)])[0].amount == 3
    assert verify(store.database, NOW).faults == []


def test_what_is_kept_for_ever_is_kept(store: Store) -> None:
    """Without ages nothing goes, and nothing is promised."""
    SqlRetention(store.database, lambda: NOW, Ages()).run()
    with store.database.read() as connection:
        assert kept_since(connection) == Kept()
    assert count(store, exchanges) == 12


def test_a_report_whose_edge_is_not_kept_begins_with_its_bucket(store: Store) -> None:
    """From the middle of a day of which only the day is left, the whole day counts."""
    SqlRetention(store.database, lambda: NOW, Ages(entries=DAY, minutes=DAY, hours=DAY)).run()
    found = store.usage.report(("day",), since=NOON + 2 * DAY + 5, until=NOON + 4 * DAY - 5)

    assert [(row.group[0], row.requests) for row in sorted(found, key=lambda row: row.group)] == [
        ("2026-01-03", 1),
        ("2026-01-04", 1),
        ("2026-01-05", 1),
    ]


def test_a_database_may_have_its_own_way_to_drop_entries(store: Store) -> None:
    """It is told the moment from which on they are kept, when that is written down."""
    told: list[float] = []
    SqlRetention(store.database, lambda: NOW, Ages(entries=4 * DAY), drop_entries=told.append).run()

    assert told == [TODAY - 4 * DAY]
    assert count(store, exchanges) == 12
