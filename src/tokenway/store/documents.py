"""Configurations that were published over the control API: one row each, never changed.

The number of the one in force stands in `settings`, where every machine looks for it twice a second. Secrets inside a
document are sealed before they come here (`control.published`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
import sqlalchemy as sa

from tokenway.store.base import Conflict
from tokenway.store.database import Database
from tokenway.store.schema import documents, settings

_IN_FORCE: Final = "configuration"
_COLUMNS: Final = (documents.c.version, documents.c.created, documents.c.author, documents.c.note)


class DocumentRow(msgspec.Struct, frozen=True):
    """One published configuration. `body` is JSON; empty where only its head was asked for."""

    version: int
    created: float
    author: str
    note: str
    body: str = ""


class SqlDocuments:
    """The published configurations in a database."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def version(self) -> int:
        """The number of the configuration in force; 0 when none was published."""
        with self._database.read() as connection:
            return _in_force(connection)

    def latest(self) -> DocumentRow | None:
        """The configuration in force."""
        with self._database.read() as connection:
            return _row(connection, _in_force(connection))

    def get(self, version: int) -> DocumentRow | None:
        """The configuration of this number."""
        with self._database.read() as connection:
            return _row(connection, version)

    def heads(self, *, before: int | None = None, count: int = 100) -> list[DocumentRow]:
        """Configurations without their bodies, the newest first; of those before a number where one is given."""
        query = sa.select(*_COLUMNS).order_by(documents.c.version.desc()).limit(count)
        if before is not None:
            query = query.where(documents.c.version < before)
        with self._database.read() as connection:
            return [DocumentRow(*row) for row in connection.execute(query)]

    def publish(self, body: str, *, base: int, author: str, note: str) -> DocumentRow:
        """Puts a configuration in force; raises Conflict unless `base` is the one that it takes the place of."""
        with self._database.write() as connection:
            now = _in_force(connection)
            if now != base:
                raise Conflict(f"version {now} of the configuration is in force by now; look at it and try again")
            row = DocumentRow(base + 1, self._clock(), author, note, body)
            connection.execute(documents.insert().values(**msgspec.structs.asdict(row)))
            text = str(row.version)
            if base:
                connection.execute(settings.update().where(settings.c.key == _IN_FORCE).values(value=text))
            else:
                connection.execute(settings.insert().values(key=_IN_FORCE, value=text))
            return row


def _in_force(connection: sa.Connection) -> int:
    return int(connection.execute(sa.select(settings.c.value).where(settings.c.key == _IN_FORCE)).scalar() or 0)


def _row(connection: sa.Connection, version: int) -> DocumentRow | None:
    row = connection.execute(sa.select(*_COLUMNS, documents.c.body).where(documents.c.version == version)).first()
    return None if row is None else DocumentRow(*row)
