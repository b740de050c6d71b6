"""How rows are written on PostgreSQL: by COPY, and as arrays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from tests.records import NOON
from tokenway.store.copying import CopyWriter, _text
from tokenway.store.open import Store
from tokenway.store.postgres import open_postgres
from tokenway.store.schema import balances, facets, journal_positions, metadata, reservations

READ = {"\\": "\\", "t": "\t", "n": "\n", "r": "\r"}
"""What a character behind a backslash stands for; `N` alone is no value."""


def unescaped(field: str) -> str | None:
    """A field as PostgreSQL's manual says that COPY reads it."""
    if field == "\\N":
        return None
    rest = iter(field)
    return "".join(READ[next(rest)] if character == "\\" else character for character in rest)


@given(st.lists(st.none() | st.text(), max_size=12).filter(lambda values: len(values) % 3 == 0))
def test_rows_are_read_as_they_were_written(values: list[str | None]) -> None:
    """Whatever stands in them; each on a line of its own."""
    lines = _text(values, 3).split("\n")
    assert lines.pop() == ""
    assert [unescaped(field) for line in lines for field in line.split("\t")] == values


def test_numbers_are_written_as_they_are() -> None:
    """With all digits that tell one from another."""
    assert _text([1, -(2**63), 0.1 + 0.2], 3) == f"1\t{-(2**63)}\t0.30000000000000004\n"


@pytest.fixture
def store(postgres_url: str) -> Iterator[Store]:
    """A fresh store on PostgreSQL."""
    opened = open_postgres(postgres_url, clock=lambda: NOON)
    yield opened
    opened.close()


def rows(store: Store, table: sa.Table) -> list[tuple[Any, ...]]:
    """The rows of a table, in the order of their keys."""
    with store.database.read() as connection:
        return [tuple(row) for row in connection.execute(sa.select(table).order_by(*table.primary_key.columns))]


@pytest.mark.postgres
def test_new_rows_are_added_to_or_left_out(store: Store) -> None:
    """As the table's key says; a row that is there already is an error for COPY alone."""
    writer = CopyWriter(store.database)
    with store.database.add() as connection:
        cursor = connection.connection.cursor()
        writer.insert(cursor, journal_positions, ["a", "w", 1, "", "b", "w", 2, ""])
        writer.insert(cursor, journal_positions, [])
        writer.insert_missing(cursor, facets, [(2, *"kpume"), (1, *"kpume")])
        writer.insert_missing(cursor, facets, [(1, *"xxxxx"), (3, *"kpume")])
        writer.add(cursor, balances, [("sales", "", 1, 2), ("cost", "", 3, 4)])
        writer.add(cursor, balances, [("sales", "", 10, 20)])
        writer.add(cursor, balances, [])
    assert rows(store, journal_positions) == [("a", "w", 1, ""), ("b", "w", 2, "")]
    assert rows(store, facets) == [(number, *"kpume") for number in (1, 2, 3)]
    assert rows(store, balances) == [("cost", "", 3, 4), ("sales", "", 11, 22)]
    with pytest.raises(store.database.integrity_error), store.database.add() as connection:
        writer.insert(connection.connection.cursor(), journal_positions, ["c", "w", 1, "", "b", "w", 3, ""])
    assert len(rows(store, journal_positions)) == 2


@pytest.mark.postgres
def test_every_table_can_be_written(store: Store) -> None:
    """Each column's type has a name among those of arrays; responses alone hold bytes, and are written one by one."""
    writer = CopyWriter(store.database)
    values = {"TEXT": "x", "BIGINT": 1, "INTEGER": 1, "DOUBLE": 1.5}
    for table in (metadata.tables[name] for name in ("spend", "rollups", "runs", "run_agents", "kinds", "exchanges")):
        row = tuple(values[column.type.compile().partition(" ")[0]] for column in table.columns)
        with store.database.add() as connection:
            writer.insert_missing(connection.connection.cursor(), table, [row])
        assert len(rows(store, table)) == 1
    with store.database.add() as connection:
        none = ("r", 1.0, "k", "p", 1, "o", None, "")
        writer.insert(connection.connection.cursor(), reservations, none)
    assert rows(store, reservations) == [none]
