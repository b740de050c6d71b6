"""Exchanges by days: partitions that are made ahead and for late records, and dropped when they are old."""

from __future__ import annotations

import contextlib

import psycopg
import pytest

from tests.records import NOON, line, reserved, settled
from tokenway.metering.ledger import Settled
from tokenway.model.identity import day_of, ids_of_day
from tokenway.model.usage import Usage
from tokenway.store import days as module
from tokenway.store.base import Progress
from tokenway.store.postgres import open_postgres

TODAY = day_of(NOON)


def exchange(day: int, number: int = 1) -> Settled:
    """An exchange of a day whose attempt has a row of its own."""
    lines = (line(usage=Usage(images=1)),)
    return settled(id=f"{ids_of_day(day)}{number:026x}", at=day * 86_400.0, lines=lines)


def partitions(url: str, table: str) -> dict[str, int]:
    """The partitions of a table, and how many rows each has."""
    found = {}
    with contextlib.closing(psycopg.connect(url)) as connection:
        query = f"SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = '{table}'::regclass"
        for (name,) in connection.execute(query.encode()).fetchall():
            row = connection.execute(f"SELECT count(*) FROM {name}".encode()).fetchone()
            found[name.removeprefix(f"{table}_")] = row[0] if row else -1
    return found


@pytest.mark.postgres
def test_each_day_has_a_partition_of_its_own(empty_url: str) -> None:
    """Today's and tomorrow's are made at the start, another day's when its first record comes."""
    store = open_postgres(empty_url, clock=lambda: NOON)
    for table in ("exchanges", "attempts"):
        assert partitions(empty_url, table) == {f"d{TODAY}": 0, f"d{TODAY + 1}": 0, "other": 0}
    days = (TODAY, TODAY + 1, TODAY - 3, TODAY - module.DAYS_BACK - 1, TODAY + module.DAYS_AHEAD + 1)
    store.ledger.commit(Progress("j", "w", "o", 1), [*(exchange(day) for day in days), settled(1, lines=())])
    for table, others in (("exchanges", 3), ("attempts", 2)):
        expected = {f"d{TODAY - 3}": 1, f"d{TODAY}": 1, f"d{TODAY + 1}": 1, "other": others}
        assert partitions(empty_url, table) == expected
    assert store.usage.report(())[0].requests == 6
    store.close()


@pytest.mark.postgres
def test_a_partition_that_another_machine_made_is_used(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And one that cannot be made, because rows of its day lie elsewhere, is done without."""
    stores = [open_postgres(postgres_url, clock=lambda: NOON, node=name) for name in ("0000000a", "0000000b")]
    for number, store in enumerate(stores):
        store.ledger.commit(Progress(f"j{number}", "w", "o", 1), [exchange(TODAY - 1, number)])
    assert partitions(postgres_url, "exchanges")[f"d{TODAY - 1}"] == 2
    monkeypatch.setattr(stores[0].days, "ready", lambda _days: None)
    stores[0].ledger.commit(Progress("j0", "w", "o", 2), [exchange(TODAY - 2, 0)])
    stores[1].ledger.commit(Progress("j1", "w", "o", 2), [exchange(TODAY - 2, 1)])
    assert partitions(postgres_url, "exchanges")["other"] == 2
    for store in stores:
        store.close()


@pytest.mark.postgres
def test_old_days_are_dropped_with_all_their_entries(postgres_url: str) -> None:
    """A day later than asked, for who came at midnight; what was counted of them stays."""
    store = open_postgres(postgres_url, clock=lambda: NOON, node="0000000a")
    records = [exchange(TODAY - back, number) for back in range(5) for number in range(3)]
    strays = [
        settled(7, id=f"gen-{number}", at=NOON - number * 86_400.0, lines=(line(absurd=True),)) for number in (1, 4)
    ]
    store.ledger.commit(Progress("j", "w", "o", 1), [*records, *strays, reserved(8)])
    spent = store.usage.spent()
    assert store.days.drop_before((TODAY - 1) * 86_400.0) == 2
    for table in ("exchanges", "attempts"):
        kept = {f"d{TODAY - back}": 3 for back in range(3)} | {f"d{TODAY + 1}": 0, "other": 1}
        found = partitions(postgres_url, table)
        assert {name: found.pop(name) for name in kept} == kept
        assert set(found.values()) <= {0}
    assert store.usage.spent() == spent
    assert store.days.drop_before((TODAY - 1) * 86_400.0) == 0
    # A record of a dropped day that comes too late has a partition again, until the next time.
    store.ledger.commit(Progress("j", "w", "o", 2), [exchange(TODAY - 4, 9)])
    assert partitions(postgres_url, "exchanges")[f"d{TODAY - 4}"] == 1
    assert store.days.drop_before(TODAY * 86_400.0) == 2
    kept = {f"d{TODAY - back}": 3 for back in range(2)} | {f"d{TODAY + 1}": 0, "other": 0}
    found = partitions(postgres_url, "exchanges")
    assert {name: found.pop(name) for name in kept} == kept
    assert set(found.values()) <= {0}
    store.close()


@pytest.mark.postgres
def test_a_question_about_one_exchange_reads_one_day(postgres_url: str) -> None:
    """The id says in which partition it is."""
    store = open_postgres(postgres_url, clock=lambda: NOON)
    store.ledger.commit(Progress("j", "w", "o", 1), [exchange(TODAY), exchange(TODAY - 1)])
    with store.database.read() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN SELECT * FROM exchanges WHERE id = '{exchange(TODAY).id}'").all()
    text = "\n".join(row[0] for row in plan)
    assert f"exchanges_d{TODAY} " in text
    assert f"d{TODAY - 1}" not in text
    assert "other" not in text
    store.close()
