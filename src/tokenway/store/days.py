"""The tables of exchanges and attempts by days, which their ids begin with (`model.identity`).

On PostgreSQL each is partitioned by ranges of the id, a day each, so that an old day is dropped and not deleted row by
row, and the index that grows is a day's. Ids of another form, and of days too far off, go to the default partition.
Databases without partitions, SQLite among them, have plain tables, whose old rows are deleted (`store.retention`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import Final

import sqlalchemy as sa

from tokenway.model.identity import day_in, day_of, ids_of_day
from tokenway.store.database import Database
from tokenway.store.schema import attempts, exchanges

_BY_DAY: Final = {exchanges.name: exchanges.c.id, attempts.name: attempts.c.exchange}
DAYS_BACK: Final = 400
"""A record that is older than this many days has no partition of its own made for it."""
DAYS_AHEAD: Final = 2
_ANY_DAY: Final = ids_of_day(0)


def partitioned(metadata: sa.MetaData) -> None:
    """Makes the tables of a copy of the metadata partitioned ones; their partitions come with `default_partitions`."""
    for name, column in _BY_DAY.items():
        metadata.tables[name].dialect_options["postgresql"]["partition_by"] = f"RANGE ({column.name})"


def default_partitions(connection: sa.Connection) -> None:
    """Makes the partitions for ids of which the day is not known, or too far off."""
    for name in _BY_DAY:
        connection.exec_driver_sql(f"CREATE TABLE {name}_other PARTITION OF {name} DEFAULT")


class SqlDays:
    """Makes partitions and drops them."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        self._made: set[int] | None = None
        """The days that have partitions; None before that was looked up."""

    def ready(self, days: Iterable[int]) -> None:
        """Makes the partitions of these days where they are missing and not too far off."""
        if not self._database.has_partitions:
            return
        if self._made is None:
            self._made = self._existing()
        today = day_of(self._clock())
        missing = {day for day in days if -DAYS_BACK <= day - today <= DAYS_AHEAD} - self._made
        for day in sorted(missing):
            # One table in a transaction: who holds a lock on one must not wait for the other. The last one tells
            # whether a day has been made.
            for name in reversed(_BY_DAY):
                self._make(name, day)
            self._made.add(day)

    def ready_ahead(self) -> None:
        """Makes the partitions of today and tomorrow."""
        today = day_of(self._clock())
        self.ready((today, today + 1))

    def ready_for(self, identities: Iterable[str]) -> None:
        """Makes the partitions that these exchanges belong to."""
        if self._database.has_partitions:
            # Thousands of ids have one or two days.
            starts = {identity[: len(_ANY_DAY)] for identity in identities}
            self.ready({day for start in starts if (day := day_in(start)) is not None})

    def drop_before(self, at: float) -> int:
        """Drops the partitions of days that were over a day before a moment; how many there were.

        A day later, because an exchange that has its id before midnight may be admitted after it. What lies in the
        default partitions is deleted when it is older than that moment.
        """
        old = sorted(day for day in self._existing() if day < day_of(at) - 1)
        for day in old:
            for name in _BY_DAY:
                with self._database.add() as connection:
                    connection.exec_driver_sql(f"DROP TABLE IF EXISTS {_partition(name, day)}")
        self._made = None
        with self._database.add() as connection:
            gone = connection.exec_driver_sql("DELETE FROM exchanges_other WHERE at < %s RETURNING id", (at,))
            ids = list(gone.scalars())
            connection.exec_driver_sql("DELETE FROM attempts_other WHERE exchange = ANY(%s)", (ids,))
        return len(old)

    def _existing(self) -> set[int]:
        query = (
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
            "WHERE i.inhparent = 'exchanges'::regclass AND c.relname <> 'exchanges_other'"
        )
        with self._database.read() as connection:
            names = connection.exec_driver_sql(query).scalars()
            return {int(name.rpartition("_d")[2]) for name in names}

    def _make(self, name: str, day: int) -> None:
        first, end = ids_of_day(day), ids_of_day(day + 1)
        statement = f"CREATE TABLE IF NOT EXISTS {_partition(name, day)} PARTITION OF {name} "
        # What is in the default partition already keeps a day from having its own, and stays where it is. Alone among
        # all machines, because two that make the same one at once would fail.
        with contextlib.suppress(sa.exc.IntegrityError), self._database.write() as connection:
            connection.exec_driver_sql(f"{statement} FOR VALUES FROM ('{first}') TO ('{end}')")


def _partition(table: str, day: int) -> str:
    return f"{table}_d{day:05d}"
