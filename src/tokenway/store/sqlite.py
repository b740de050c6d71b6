"""The default store: one SQLite file, in write-ahead mode, so that readers never wait for the ingest.

`synchronous=NORMAL` does not sync each commit. A power cut can lose the last commits, never the consistency;
and what is lost is read again from the journals, whose positions went with it.

A fresh file is made from `schema.metadata` and stamped with the newest revision, without importing Alembic,
which would double the time of a first start. An older file is migrated, a newer one refused.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.pool import StaticPool

from tokenway.store.accounts.accounts import Accounts
from tokenway.store.base import StoreError
from tokenway.store.database import WRITES, Database
from tokenway.store.documents import SqlDocuments
from tokenway.store.ledger import SqlLedger
from tokenway.store.probes import SqlProbes
from tokenway.store.responses import SqlResponses
from tokenway.store.samples import SqlSamples
from tokenway.store.schema import HEAD, alembic_version, metadata
from tokenway.store.usage import SqlUsage

FILE_NAME: Final = "tokenway.db"

_PRAGMAS: Final = (
    "PRAGMA busy_timeout = 10000",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    "PRAGMA foreign_keys = ON",
    # 16 MiB each: fewer checkpoints, and the right-hand edge of every index stays in memory.
    "PRAGMA wal_autocheckpoint = 4000",
    "PRAGMA cache_size = -16384",
)


class SqliteStore:
    """All parts of the store over one file."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self.database = database
        self.accounts = Accounts(database, clock)
        self.ledger = SqlLedger(database, clock)
        self.usage = SqlUsage(database, clock)
        self.responses = SqlResponses(database, clock)
        self.samples = SqlSamples(database)
        self.probes = SqlProbes(database)
        self.documents = SqlDocuments(database, clock)

    def close(self) -> None:
        """Closes the file."""
        self.database.close()


def open_sqlite(path: Path, *, clock: Callable[[], float] = time.time) -> SqliteStore:
    """Opens the store in the file `path`; makes it, or brings it up to date, when needed.

    Raises StoreError when the file was written by a newer version or cannot be opened.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    database = Database(_engine(path))
    try:
        _prepare(database, path)
    except sa.exc.DatabaseError as error:
        database.close()
        raise StoreError(f"cannot open the database {path}: {error.orig}") from error
    except StoreError:
        database.close()
        raise
    return SqliteStore(database, clock)


def _engine(path: Path) -> sa.Engine:
    # The store is opened by one thread and then used by another, never by two at once.
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=str(path)), poolclass=StaticPool, connect_args={"check_same_thread": False}
    )

    @sa.event.listens_for(engine, "connect")
    def on_connect(connection: Any, _record: object) -> None:
        # The driver's own BEGIN comes late and never takes the write lock; ours does.
        connection.isolation_level = None
        for pragma in _PRAGMAS:
            connection.execute(pragma)

    @sa.event.listens_for(engine, "begin")
    def on_begin(connection: sa.Connection) -> None:
        writes = connection.get_execution_options().get(WRITES)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _prepare(database: Database, path: Path) -> None:
    """Makes the tables, migrates them, or raises StoreError for a newer schema."""
    with database.read() as connection:
        if _version(connection) == HEAD:
            return
    # The write lock first: two processes that start at once must not both make the tables.
    with database.write() as connection:
        version = _version(connection)
        if version is None:
            metadata.create_all(connection)
            connection.execute(alembic_version.insert().values(version_num=HEAD))
        elif version != HEAD:
            from tokenway.store.migrations.upgrade import upgrade  # noqa: PLC0415 - Alembic is slow to import

            upgrade(connection, version, path)


def _version(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table(alembic_version.name):
        return None
    return connection.execute(sa.select(alembic_version.c.version_num)).scalar()
