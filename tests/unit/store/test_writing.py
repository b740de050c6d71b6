"""Rows into tables: new ones, those that may be there, and those that are added to what is there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tokenway.store.database import Database
from tokenway.store.schema import balances, run_agents, settings, spend
from tokenway.store.sqlite import open_sqlite
from tokenway.store.writing import Writer


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An empty store's database."""
    store = open_sqlite(tmp_path / "t.db")
    yield store.database
    store.close()


def written(database: Database, table: sa.Table) -> list[tuple[Any, ...]]:
    """All rows of a table, by its primary key."""
    with database.read() as connection:
        return [tuple(row) for row in connection.execute(sa.select(table).order_by(*table.primary_key.columns))]


@pytest.mark.parametrize("count", [0, 1, 31, 32, 33, 70])
def test_rows_are_written_whatever_a_statement_takes(database: Database, count: int) -> None:
    """However many there are, each is written once."""
    rows = [(f"k{number:03}", "v") for number in range(count)]
    with database.write() as connection:
        Writer(database).insert(connection.connection.cursor(), settings, [value for row in rows for value in row])

    assert written(database, settings) == rows


def test_a_row_that_is_there_is_an_error_or_left_alone(database: Database) -> None:
    """What must be new raises the driver's error; what may be there is not touched."""
    writer = Writer(database)
    with database.write() as connection:
        writer.insert_missing(connection.connection.cursor(), settings, [("b", "1"), ("a", "2")])
    with database.write() as connection:
        writer.insert_missing(connection.connection.cursor(), settings, [("b", "9"), ("c", "3")])
    with pytest.raises(database.integrity_error), database.write() as connection:
        writer.insert(connection.connection.cursor(), settings, ["d", "4", "a", "5"])

    assert written(database, settings) == [("a", "2"), ("b", "1"), ("c", "3")]


def test_sums_are_added_up_in_the_order_of_the_key(database: Database) -> None:
    """Numbers are added, the latest use stays the latest."""
    writer = Writer(database)
    first = ("key", "k", 0, 0, "", 1, 10, 0, 5, 6, 100.0)
    with database.write() as connection:
        cursor = connection.connection.cursor()
        writer.add(cursor, spend, [first, ("key", "a", 0, 0, "", 1, 1, 1, 1, 1, 1.0)])
        writer.add(cursor, spend, [("key", "k", 0, 0, "", 2, 20, 3, 7, 8, 50.0)])
        writer.add(cursor, balances, [(f"p{number:02}", "", number, 1) for number in range(70, -1, -1)])
        writer.add(cursor, balances, [("p07", "", 0, 4), ("p07", "other", 1, 0)])

    assert written(database, spend)[1] == ("key", "k", 0, 0, "", 3, 30, 3, 12, 14, 100.0)
    assert written(database, balances)[7:9] == [("p07", "", 7, 5), ("p07", "other", 1, 0)]
    assert len(written(database, balances)) == 72


def test_a_run_begins_with_its_first_call_and_keeps_what_it_was_told(database: Database) -> None:
    """The earliest start, the latest end, and the first parent and type that anybody told."""
    writer = Writer(database)
    zeros = (0,) * (len(run_agents.columns) - 7)
    with database.write() as connection:
        cursor = connection.connection.cursor()
        writer.add(cursor, run_agents, [("k", "r", "a", None, None, 5.0, 6.0, *zeros)])
        writer.add(cursor, run_agents, [("k", "r", "a", "p", "Explore", 7.0, 5.5, *zeros)])
        writer.add(cursor, run_agents, [("k", "r", "a", "other", None, 4.0, 8.0, *zeros)])

    assert written(database, run_agents) == [("k", "r", "a", "p", "Explore", 4.0, 8.0, *zeros)]
