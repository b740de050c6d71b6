"""Rows into tables by the driver's own cursor: as tuples, many with one statement.

Sums are added to the rows that are there with `ON CONFLICT`, in the order of the primary key, so that two machines that
write at once wait for each other in one order and never in a circle. Which columns are added up is told by their type;
the others are named here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPICursor

from tokenway.store.database import Database

Row = tuple[Any, ...]

_ROWS_PER_STATEMENT: Final = 32
"""Each run of a statement has a price of its own."""
_VALUES_PER_STATEMENT: Final = 999
"""The most that the oldest SQLite takes."""
_MERGED: Final = {
    "last_used": "CASE WHEN excluded.{0} > {1}.{0} THEN excluded.{0} ELSE {1}.{0} END",
    "started": "CASE WHEN excluded.{0} < {1}.{0} THEN excluded.{0} ELSE {1}.{0} END",
    "ended": "CASE WHEN excluded.{0} > {1}.{0} THEN excluded.{0} ELSE {1}.{0} END",
    "parent": "COALESCE({1}.{0}, excluded.{0})",
    "agent_type": "COALESCE({1}.{0}, excluded.{0})",
    # The first that is told stays.
    "project": "{1}.{0}",
}
"""What becomes of columns that are not added up; `{0}` is the column and `{1}` the table."""


class Writer:
    """Writes rows into the tables of one database. A database that has a faster way overrides `insert`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._statements: dict[tuple[str, str, int], str] = {}

    def insert(self, cursor: DBAPICursor, table: sa.Table, values: Sequence[Any]) -> None:
        """Writes rows whose values stand one after the other; raises the driver's error when one is there already."""
        self._run(cursor, table, "", values)

    def insert_missing(self, cursor: DBAPICursor, table: sa.Table, rows: Iterable[Row]) -> None:
        """Writes those rows that are not there."""
        self._run(cursor, table, " ON CONFLICT DO NOTHING", list(chain.from_iterable(sorted(rows))))

    def add(self, cursor: DBAPICursor, table: sa.Table, rows: Iterable[Row]) -> None:
        """Adds rows to those that are there; each row of the table may be given once.

        A row begins with its primary key, so that its place in their order is found there.
        """
        self._run(cursor, table, adding(table), list(chain.from_iterable(sorted(rows))))

    def _run(self, cursor: DBAPICursor, table: sa.Table, conflict: str, values: Sequence[Any]) -> None:
        width = len(table.columns)
        step = min(_ROWS_PER_STATEMENT, _VALUES_PER_STATEMENT // width) * width
        rest = len(values) - len(values) % step
        for start in range(0, rest, step):
            cursor.execute(self._statement(table, conflict, step // width), values[start : start + step])
        if rest < len(values):
            single = self._statement(table, conflict, 1)
            cursor.executemany(single, [values[at : at + width] for at in range(rest, len(values), width)])

    def _statement(self, table: sa.Table, conflict: str, count: int) -> str:
        found = self._statements.get((table.name, conflict, count))
        if found is None:
            columns = ", ".join(table.columns.keys())
            row = f"({', '.join('?' * len(table.columns))})"
            text = f"INSERT INTO {table.name} ({columns}) VALUES {', '.join([row] * count)}{conflict}"  # noqa: S608
            found = self._statements[table.name, conflict, count] = self._database.sql(text)
        return found


def adding(table: sa.Table) -> str:
    """The end of an INSERT that adds to a row that is there."""
    key = table.primary_key.columns.keys()
    parts = [
        f"{name} = {_MERGED.get(name, '{1}.{0} + excluded.{0}').format(name, table.name)}"
        for name in table.columns.keys()  # noqa: SIM118 - the columns are no dict
        if name not in key
    ]
    return f" ON CONFLICT ({', '.join(key)}) DO UPDATE SET {', '.join(parts)}"
