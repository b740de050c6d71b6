"""How rows are written on PostgreSQL: new ones by COPY, added ones as arrays, each table's with one statement.

A statement costs a way to the server and back, and parameters cost more than the rows they stand for; so a batch has a
handful of statements whatever its size. This is all in which the ledger's writing differs from SQLite's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPICursor

from tokenway.store.database import Database
from tokenway.store.writing import Row, Writer, adding

_TYPES: Final = {"TEXT": "text", "BIGINT": "int8", "INTEGER": "int4", "DOUBLE": "float8"}


class CopyWriter(Writer):
    """Writes rows into the tables of a PostgreSQL database."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._copies: dict[str, str] = {}
        self._arrays: dict[tuple[str, str], str] = {}

    def insert(self, cursor: DBAPICursor, table: sa.Table, values: Sequence[Any]) -> None:
        """Writes rows whose values stand one after the other; raises the driver's error when one is there already."""
        if not values:
            return
        statement = self._copies.get(table.name)
        if statement is None:
            columns = ", ".join(table.columns.keys())
            statement = self._copies[table.name] = f"COPY {table.name} ({columns}) FROM STDIN"
        width = len(table.columns)
        driver: Any = cursor
        with driver.copy(statement) as copy:
            copy.write(_text(values, width))

    def insert_missing(self, cursor: DBAPICursor, table: sa.Table, rows: Iterable[Row]) -> None:
        """Writes those rows that are not there."""
        self._write(cursor, table, " ON CONFLICT DO NOTHING", rows)

    def add(self, cursor: DBAPICursor, table: sa.Table, rows: Iterable[Row]) -> None:
        """Adds rows to those that are there; each row of the table may be given once."""
        self._write(cursor, table, adding(table), rows)

    def _write(self, cursor: DBAPICursor, table: sa.Table, conflict: str, rows: Iterable[Row]) -> None:
        columns = list(zip(*sorted(rows), strict=True))
        if not columns:
            return
        statement = self._arrays.get((table.name, conflict))
        if statement is None:
            arrays = ", ".join(f"%s::{_type(column)}[]" for column in table.columns)
            names = ", ".join(table.columns.keys())
            statement = f"INSERT INTO {table.name} ({names}) SELECT * FROM unnest({arrays}){conflict}"  # noqa: S608
            self._arrays[table.name, conflict] = statement
        cursor.execute(statement, list(map(list, columns)))


def _type(column: sa.Column[Any]) -> str:
    return _TYPES[column.type.compile().partition(" ")[0]]


def _text(values: Sequence[Any], width: int) -> str:
    r"""Rows in COPY's own form: tabs between values, `\N` for none, a backslash before what would be read as these."""
    texts = ["\\N" if value is None else _escaped(value) if type(value) is str else str(value) for value in values]
    lines = ["\t".join(texts[at : at + width]) for at in range(0, len(texts), width)]
    lines.append("")
    return "\n".join(lines)


def _escaped(text: str) -> str:
    if text.isascii() and text.isprintable() and "\\" not in text:
        return text
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
