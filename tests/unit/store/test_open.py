"""How a store comes to its tables, whatever the database."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from tokenway.store import open as module
from tokenway.store.base import StoreError
from tokenway.store.database import Database
from tokenway.store.migrations import upgrade as upgrade_module
from tokenway.store.open import Store, bring_up_to_date, revision
from tokenway.store.postgres import connect as connect_server
from tokenway.store.postgres import open_postgres
from tokenway.store.schema import HEAD, metadata
from tokenway.store.sqlite import connect as connect_file
from tokenway.store.sqlite import open_sqlite

NEXT = """
import sqlalchemy as sa
from alembic import op

revision = "9001"
down_revision = "{head}"
branch_labels = None
depends_on = None


def upgrade():
    op.add_column("projects", sa.Column("motto", sa.Text, nullable=False, server_default="{motto}"))
    {more}
"""


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def connect(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Database]:
    """Connects to a database with the tables of this version and a project."""
    if request.param == "sqlite":
        store = open_sqlite(tmp_path / "t.db")
        store.accounts.bootstrap()
        store.close()
        return lambda: connect_file(tmp_path / "t.db")
    url = request.getfixturevalue("postgres_url")
    store = open_postgres(url)
    store.accounts.bootstrap()
    store.close()
    return lambda: connect_server(url)


@pytest.fixture
def next_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes this the version after this one, whose revision adds a column."""

    def make(motto: str, more: str = "") -> None:
        folder = tmp_path / "migrations"
        (folder / "versions").mkdir(parents=True)
        for path in (upgrade_module.FOLDER / "versions").glob("*.py"):
            (folder / "versions" / path.name).write_bytes(path.read_bytes())
        (folder / "env.py").write_bytes((upgrade_module.FOLDER / "env.py").read_bytes())
        (folder / "versions" / "9001_next.py").write_text(NEXT.format(head=HEAD, motto=motto, more=more))
        monkeypatch.setattr(upgrade_module, "FOLDER", folder)
        monkeypatch.setattr(module, "HEAD", "9001")

    return make


def mottos(database: Database) -> list[str]:
    """What the new column says."""
    with database.read() as connection:
        return list(connection.execute(sa.text("SELECT motto FROM projects")).scalars())


def nothing(_connection: sa.Connection) -> None:
    """Makes no tables, because they are there."""
    raise AssertionError


def test_an_older_schema_is_migrated_by_who_may(
    connect: Callable[[], Database], next_version: Callable[..., None]
) -> None:
    """Who may not is told what to run; what was there stays, and a second time there is nothing to do."""
    next_version("per aspera")
    database = connect()
    with pytest.raises(StoreError, match=f"schema {HEAD}, and .* needs 9001: run `tokenway migrate`"):
        bring_up_to_date(database, nothing, migrates=False)
    for _ in range(2):
        bring_up_to_date(database, nothing, migrates=True)
        assert mottos(database) == ["per aspera"]
    database.close()
    assert revision(connect()) == "9001"


def test_a_migration_that_fails_changes_nothing(
    connect: Callable[[], Database], next_version: Callable[..., None]
) -> None:
    """All of it is one transaction."""
    next_version("", "raise ZeroDivisionError")
    database = connect()
    with pytest.raises(ZeroDivisionError):
        bring_up_to_date(database, nothing, migrates=True)
    database.close()
    assert revision(connect()) == HEAD


def test_the_revision_is_read_and_nothing_is_made(tmp_path: Path) -> None:
    """Of a fresh file there is none; a newer one is refused."""
    assert revision(connect_file(tmp_path / "t.db")) is None
    open_sqlite(tmp_path / "t.db").close()
    assert revision(connect_file(tmp_path / "t.db")) == HEAD
    database = connect_file(tmp_path / "t.db")
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError, match="schema 9999, which is newer"):
        revision(database)
    (tmp_path / "no.db").write_bytes(b"no database" * 100)
    with pytest.raises(StoreError, match=r"cannot open the database .*no\.db"):
        revision(connect_file(tmp_path / "no.db"))


@pytest.mark.postgres
def test_both_databases_have_the_same_columns(empty_url: str, tmp_path: Path) -> None:
    """With the same keys, in the same order; PostgreSQL has partitions besides, and texts that sort as in SQLite."""
    store = open_postgres(empty_url)
    store.close()
    open_sqlite(tmp_path / "t.db").close()
    found = []
    for engine in (connect_file(tmp_path / "t.db").engine, connect_server(empty_url).engine):
        inspector = sa.inspect(engine)
        found.append(
            {
                name: (
                    [(column["name"], column["nullable"]) for column in inspector.get_columns(name)],
                    inspector.get_pk_constraint(name)["constrained_columns"],
                )
                for name in metadata.tables
            }
        )
        assert "entries" in inspector.get_view_names()
        engine.dispose()
    assert found[0] == found[1]
    with contextlib.closing(psycopg.connect(empty_url)) as connection:
        collations = connection.execute(
            "SELECT DISTINCT collation_name FROM information_schema.columns "
            "WHERE table_schema = 'public' AND data_type = 'text' AND table_name <> 'settings' "
            "AND table_name <> 'entries'"
        ).fetchall()
    assert collations == [("C",)]


def test_a_store_has_all_its_parts(open_store: Callable[..., Store]) -> None:
    """Over one database."""
    store = open_store(node="0000000a")
    assert store.nodes.node == "0000000a"
    assert (store.accounts.changes.revision(), store.ledger.positions(), store.nodes.all()) == (0, [], [])
    assert (store.usage.report(), store.samples.latest(0.0, 1), store.probes.spent(1)) == ([], [], {})
    assert store.responses.purge() == 0
