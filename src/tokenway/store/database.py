"""Connections to a database, with reading and writing transactions told apart.

The engine is synchronous on purpose: SQLite's calls block whoever makes them, so an asynchronous driver only
moves each one to a thread, at some tens of microseconds apiece, while the control process moves a whole batch
to its store thread at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, Final

import sqlalchemy as sa

WRITES: Final = "tokenway_writes"
"""The execution option that tells a dialect's `begin` hook that this transaction will write."""


class Database:
    """Used by one thread at a time, for one transaction at a time.

    A connection is kept from one transaction to the next: taking it from the pool and giving it back costs more
    than a small batch. This is SQLite's, where a writer is always alone; `postgres.PostgresDatabase` is the other one.
    """

    READS: ClassVar[Mapping[str, Any]] = {}
    """The execution options of a connection that reads."""
    ADDS: ClassVar[Mapping[str, Any]] = {}
    """The execution options of a connection that writes."""
    has_partitions = False
    """Whether exchanges are partitioned by days (`store.days`)."""

    def __init__(self, engine: sa.Engine, name: str) -> None:
        """`name` is what people are told of it."""
        self.engine = engine
        self.name = name
        self.integrity_error: type[Exception] = engine.dialect.loaded_dbapi.IntegrityError
        """What the driver raises when a row is there already."""
        self.data_error: type[Exception] = engine.dialect.loaded_dbapi.DataError
        """What it raises for a value that a column cannot hold."""
        self._reader: sa.Connection | None = None
        self._writer: sa.Connection | None = None

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A transaction that sees one state of the database and changes nothing.

        Within a writing one it is that one, and sees what it has written.
        """
        if self._writer is not None and self._writer.in_transaction():
            yield self._writer
            return
        if self._reader is None:
            self._reader = self.engine.connect().execution_options(**self.READS)
        with self._reader.begin() as transaction:
            yield self._reader
            transaction.rollback()

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A transaction that no other `write` runs beside, on whatever machine: what it reads is true until its end.

        It holds the lock from its start, commits at the end, and rolls back on an error.
        """
        with self.add() as connection:
            yield connection

    @contextmanager
    def add(self) -> Iterator[sa.Connection]:
        """A writing transaction that others may run beside: for statements that are right whatever these do.

        So it does not read what it then writes: rows are added, or added to in place (`ON CONFLICT`). One that is begun
        within another is a part of it: they all commit, or are undone, at the end of the outermost.
        """
        if self._writer is not None and self._writer.in_transaction():
            yield self._writer
            return
        if self._writer is None:
            self._writer = self.engine.connect().execution_options(**{WRITES: True, **self.ADDS})
        with self._writer.begin():
            yield self._writer

    def sql(self, text: str) -> str:
        """A statement of ours, whose parameters are `?`, with the driver's own mark for them."""
        return text if self.engine.dialect.paramstyle == "qmark" else text.replace("?", "%s")

    def interrupt(self) -> None:
        """Ends the query that is being read, if there is one, with an error. Any thread may call it."""
        reader = self._reader
        if reader is None or reader.closed:
            return
        driver: Any = reader.connection.driver_connection
        if self.engine.dialect.name == "sqlite":
            driver.interrupt()
        else:
            driver.cancel()

    def close(self) -> None:
        """Closes the connections."""
        for connection in (self._reader, self._writer):
            if connection is not None:
                connection.close()
        self._reader = self._writer = None
        self.engine.dispose()
