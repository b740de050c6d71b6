"""The default store: one SQLite file, in write-ahead mode, so that readers never wait for the ingest.

`synchronous=NORMAL` does not sync each commit. A power cut can lose the last commits, never the consistency;
and what is lost is read again from the journals, whose positions went with it.

An older file is migrated by whoever opens it: one machine has it to itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.pool import StaticPool

from tokenway.store.base import StoreError
from tokenway.store.database import WRITES, Database
from tokenway.store.open import Store, bring_up_to_date
from tokenway.store.schema import metadata
from tokenway.store.writing import Writer

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


def open_sqlite(path: Path, *, clock: Callable[[], float] = time.time, node: str = "") -> Store:
    """Opens the store in the file `path`; makes it, or brings it up to date, when needed.

    Raises StoreError when the file was written by a newer version or cannot be opened.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    database = connect(path)
    try:
        bring_up_to_date(database, metadata.create_all, migrates=True)
    except sa.exc.DatabaseError as error:
        database.close()
        raise StoreError(f"cannot open the database {path}: {error.orig}") from error
    except StoreError:
        database.close()
        raise
    return Store(database, clock, node, Writer(database))


def connect(path: Path) -> Database:
    """The database of a file; its tables are as they are."""
    return Database(_engine(path), str(path))


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
