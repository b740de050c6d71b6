"""What all tables have in common."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.base import RESERVED_WORDS
from sqlalchemy.engine import default

from tokenway.store.schema import metadata
from tokenway.store.schema.common import Number, count, flag, moment, text


def test_a_number_is_what_each_database_has_for_64_bits() -> None:
    """In SQLite only `INTEGER` is the row's own number."""
    assert Number.compile(dialect=default.DefaultDialect()) == "BIGINT"
    assert Number.compile(dialect=sa.create_engine("sqlite://").dialect) == "INTEGER"


def test_columns_are_never_null_but_for_moments() -> None:
    """A default is what rows have that were there before the column."""
    assert [column.nullable for column in (text("a"), count("b"), flag("c"), moment("d"))] == [
        False,
        False,
        False,
        True,
    ]
    assert count("b", 0).server_default is not None
    assert text("a").server_default is None


def test_no_column_has_a_name_that_a_database_keeps_for_itself() -> None:
    """PostgreSQL is the stricter one; statements that are written as text need no quotes then."""
    names = {column.name for table in metadata.tables.values() for column in table.columns} | set(metadata.tables)

    assert names & RESERVED_WORDS == set()
