"""Transactions: reading sees one state, writing is all or nothing and excludes other writers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from tokenway.store.database import Database
from tokenway.store.schema import settings
from tokenway.store.sqlite import open_sqlite


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An empty SQLite database with our tables."""
    store = open_sqlite(tmp_path / "t.db")
    yield store.database
    store.close()


def values(database: Database) -> list[str]:
    """What is in `settings`."""
    with database.read() as connection:
        return list(connection.execute(sa.select(settings.c.value)).scalars())


def test_a_writing_transaction_commits_at_its_end(database: Database) -> None:
    """What was written is there afterwards."""
    with database.write() as connection:
        connection.execute(settings.insert().values(key="a", value="1"))

    assert values(database) == ["1"]


def test_an_error_undoes_the_whole_transaction(database: Database) -> None:
    """Nothing of a transaction that failed stays, tables that it made included."""

    def fails_late() -> None:
        with database.write() as connection:
            connection.execute(settings.insert().values(key="a", value="1"))
            connection.exec_driver_sql("CREATE TABLE extra (a)")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails_late()

    assert values(database) == []
    assert not sa.inspect(database.engine).has_table("extra")


def test_a_writer_holds_the_lock_from_its_start(database: Database, tmp_path: Path) -> None:
    """A second writer fails before it has read anything while the first is at work, and succeeds after it."""
    other = open_sqlite(tmp_path / "t.db").database
    with other.read() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout = 1")
    with database.write(), pytest.raises(sa.exc.OperationalError, match="locked"), other.write():
        pass
    with other.write() as connection:
        connection.execute(settings.insert().values(key="a", value="1"))
    other.close()

    assert values(database) == ["1"]


def test_reading_changes_nothing(database: Database) -> None:
    """What is written in a reading transaction is gone at its end."""
    with database.read() as connection:
        connection.execute(settings.insert().values(key="a", value="1"))

    assert values(database) == []


def test_a_statement_has_the_drivers_own_mark_for_parameters(database: Database) -> None:
    """Ours are question marks, as SQLite's; PostgreSQL's driver wants another."""
    other = Database(sa.create_engine("postgresql+psycopg://nobody@nowhere/nothing"), "nothing")

    assert database.sql("VALUES (?, ?)") == "VALUES (?, ?)"
    assert other.sql("VALUES (?, ?)") == "VALUES (%s, %s)"


def test_a_repeated_row_raises_the_named_error(database: Database) -> None:
    """`integrity_error` is what the driver raises by itself."""
    insert = database.sql("INSERT INTO settings VALUES (?, ?)")
    with pytest.raises(database.integrity_error), database.write() as connection:
        connection.connection.cursor().executemany(insert, [("a", "1"), ("a", "2")])
