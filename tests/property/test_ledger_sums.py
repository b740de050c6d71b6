"""Whatever happens to the ledger, all of its sums are those that a child would make of what is in it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.engine.interfaces import DBAPICursor

from tests.property.ledger_model import REPORTED, Tables, moment_of, naive, reports, told
from tests.property.ledger_plays import MONTH_END, Batch, Expiry, Play, outcome, plays
from tokenway.model.usage import BUCKETS
from tokenway.store.base import Progress
from tokenway.store.database import Database
from tokenway.store.ledger import SqlLedger
from tokenway.store.open import Store
from tokenway.store.schema import balances, facets, reservations, rollups, run_agents, runs, spend
from tokenway.store.sqlite import open_sqlite
from tokenway.store.usage import UsageRow
from tokenway.store.verify import verify
from tokenway.store.writing import Row, Writer

_seconds = st.integers(-4_500, 4_500)
_since = st.one_of(
    st.just(0.0),
    _seconds.map(lambda seconds: MONTH_END + seconds / 2),
    st.sampled_from((MONTH_END + 1, MONTH_END + 1 - 3_600, MONTH_END + 1 - 86_400, MONTH_END + 61, MONTH_END - 119)),
)
_edges = st.tuples(_since, st.none() | _since)


_FEWER = max(5, settings().max_examples // 3)
"""Examples of what takes longer."""


class Crash(BaseException):
    """The end of the process, as far as the ledger can tell."""


class CrashingWriter(Writer):
    """Dies when it should write into one more table than `left`; until then another one writes."""

    def __init__(self, database: Database, writer: Writer, left: int | None) -> None:
        super().__init__(database)
        self.left = left
        self._writer = writer

    def insert(self, cursor: DBAPICursor, table: sa.Table, values: Sequence[Any]) -> None:
        """New rows."""
        self._live_on()
        self._writer.insert(cursor, table, values)

    def insert_missing(self, cursor: DBAPICursor, table: sa.Table, rows: Iterable[Row]) -> None:
        """Rows that may be there."""
        self._live_on()
        self._writer.insert_missing(cursor, table, rows)

    def add(self, cursor: DBAPICursor, table: sa.Table, rows: Iterable[Row]) -> None:
        """Sums."""
        self._live_on()
        self._writer.add(cursor, table, rows)

    def _live_on(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Crash


@cache
def _empty() -> bytes:
    """The file of an empty store, which is copied faster than made."""
    with tempfile.TemporaryDirectory() as folder:
        open_sqlite(Path(folder) / "t.db").close()
        return (Path(folder) / "t.db").read_bytes()


@contextmanager
def fresh_store() -> Iterator[Store]:
    """An empty store in a directory of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.db"
        path.write_bytes(_empty())
        store = open_sqlite(path, clock=lambda: MONTH_END)
        yield store
        store.close()


def perform(play: Play, store: Store, kind: type[Writer] = Writer) -> None:
    """Does to the store what the play says, and writes in the database's way; two machines take turns at starting."""
    count = 0
    node = "aa"
    plain = kind(store.database)
    ledger = SqlLedger(store.database, lambda: MONTH_END, node, writer=plain)
    for step in play:
        if isinstance(step, Batch):
            count += 1
            progress = Progress(step.owner, "w", step.owner, count)
            if step.crashes is not None:
                writer = CrashingWriter(store.database, plain, step.crashes)
                ledger = SqlLedger(store.database, lambda: MONTH_END, node, writer=writer)
                with suppress(Crash):
                    ledger.commit(progress, step.records)
                writer.left = None
            ledger.commit(progress, step.records)
        elif isinstance(step, Expiry):
            ledger.expire(step.owner)
        else:
            node = "bb" if node == "aa" else "aa"
            ledger = SqlLedger(store.database, lambda: MONTH_END, node, writer=plain)


def stored(store: Store) -> Tables:
    """The summed tables, machines added up, facets spelt out, without what is nothing."""
    found: Tables = {}
    with store.database.read() as connection:
        for table in (rollups, spend, balances, runs, run_agents):
            sums = found[table.name] = {}
            key = table.primary_key.columns.keys()
            rolled = sa.select(table, facets).join(facets, facets.c.id == rollups.c.facet) if table is rollups else None
            for mapping in connection.execute(sa.select(table) if rolled is None else rolled).mappings():
                named: dict[str, Any] = dict(mapping)
                place = tuple(named.pop(name) for name in key if name not in ("node", "facet"))
                named.pop("node", None)
                if rolled is not None:
                    place += tuple(named.pop(name) for name in facets.columns.keys()[1:])
                    named = {name: value for name, value in named.items() if name not in ("facet", "id")}
                for name in ("project", "parent", "agent_type"):
                    named.pop(name, None)
                known = sums.get(place)
                if known is not None:
                    last = max(known["last_used"], named["last_used"]) if "last_used" in named else None
                    named = {name: value + known[name] for name, value in named.items()}
                    named |= {} if last is None else {"last_used": last}
                sums[place] = named
    return {name: {place: row for place, it in sums.items() if (row := told(it))} for name, sums in found.items()}


@pytest.mark.timeout(600)
@given(plays())
def test_sums_are_those_of_the_exchanges(play: Play) -> None:
    """After replays, expiries, late settlements and crashes, with clocks that step back over the end of a month."""
    with fresh_store() as store:
        perform(play, store)

        assert stored(store) == naive(outcome(play))


@settings(max_examples=_FEWER)
@given(plays())
def test_the_proof_holds_whatever_happened(play: Play) -> None:
    """What SQL makes of the entries is what was added up."""
    with fresh_store() as store:
        perform(play, store)

        assert verify(store.database, MONTH_END).faults == []


@given(plays())
def test_each_reservation_is_settled_or_open_or_expired(play: Play) -> None:
    """Nothing that is settled is open, and what expired is kept as such until its settlement is found."""
    with fresh_store() as store:
        perform(play, store)
        with store.database.read() as connection:
            rows = connection.execute(sa.select(reservations.c.id, reservations.c.expired)).all()
        over = {exchange.id: exchange for exchange in outcome(play)}

        assert {row.id for row in rows if row.expired is not None} == {
            identity for identity, exchange in over.items() if not hasattr(exchange, "lines")
        }
        assert not {row.id for row in rows if row.expired is None} & over.keys()


@settings(max_examples=_FEWER)
@given(plays(), st.lists(st.sampled_from(("model", "key", "project", "user", "endpoint", "day")), unique=True), _edges)
def test_reports_are_those_of_the_exchanges(play: Play, by: list[str], edges: tuple[float, float | None]) -> None:
    """Whatever they are grouped by, and wherever they begin and end: at a second, a minute, an hour or a day."""
    since, until = edges
    with fresh_store() as store:
        perform(play, store)
        found = store.usage.report(by, since=since, until=until)
        asked = [it for it in outcome(play) if since <= moment_of(it) and (until is None or moment_of(it) < until)]

        assert {row.group: reported(row) for row in found} == reports(asked, by)


def reported(row: UsageRow) -> dict[str, int]:
    """A row as the model has it."""
    sums = {name: getattr(row.usage, name) for name in BUCKETS}
    return told({"calls": row.requests, **{name: getattr(row, name) for name in REPORTED}, **sums})
