"""A change of accounts: one transaction, counted, with its rows in the audit log.

No two changes run beside each other, whatever machine makes them (`Database.write`): what a change has checked (a name
is free, an admin is left) is true when it commits, and the numbers rise in the order of the commits. So the newest
number says whether there is anything new, and the ids of the audit log, which begin with it, say what. A change that
turns out to change nothing is undone, number and all.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from tokenway.store.accounts.records import Actor
from tokenway.store.base import Conflict
from tokenway.store.database import Database
from tokenway.store.schema import audit, settings

REVISION: Final = "accounts_revision"
"""The row of `settings` with the number of the last change."""

_NUMBER_DIGITS: Final = 12
_NEXT: Final = sa.text(
    "INSERT INTO settings (key, value) VALUES (:key, '1') ON CONFLICT (key) "
    "DO UPDATE SET value = CAST(CAST(settings.value AS BIGINT) + 1 AS TEXT)"
)


class Change:
    """A change that is being made. `now` is when, `by` who makes it."""

    def __init__(
        self, connection: sa.Connection, number: int, now: float, by: Actor, random_bytes: Callable[[int], bytes]
    ) -> None:
        self.connection = connection
        self.now = now
        self.by = by
        self.random_bytes = random_bytes
        self.is_recorded = False
        self._number = number
        self._rows = 0

    def new_id(self, kind: str) -> str:
        """An id that nobody can guess: the kind of row and 64 random bits."""
        return f"{kind}_{self.random_bytes(8).hex()}"

    def insert(self, table: sa.Table, values: Mapping[str, Any]) -> None:
        """A new row."""
        self.connection.execute(table.insert().values(**values))

    def update(self, table: sa.Table, row: Any, values: Mapping[str, Any]) -> None:
        """New values for a row with a version, which rises. Raises Conflict when the row has moved on."""
        where = (table.c.id == row.id, table.c.version == row.version)
        done = self.connection.execute(table.update().where(*where).values(**values, version=row.version + 1))
        if not done.rowcount:
            raise _moved_on(table.name, row.id)

    def record(
        self, action: str, resource: str, subject: str, *, project: str = "", detail: Mapping[str, Any] | None = None
    ) -> None:
        """A row of the audit log. `detail` must hold no secret and no digest of one."""
        values = {
            "id": f"{first_id(self._number)}{self._rows:02d}",
            "at": self.now,
            "actor": self.by.name,
            "address": self.by.address,
            "action": action,
            "resource": resource,
            "subject": subject,
            "project": project,
            "detail": msgspec.json.encode(detail or {}).decode(),
        }
        self.insert(audit, values)
        self._rows += 1
        self.is_recorded = True


class Changes:
    """Begins changes, and tells how many there were."""

    def __init__(
        self,
        database: Database,
        clock: Callable[[], float],
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self.database = database
        self.clock = clock
        self._random_bytes = random_bytes

    @contextmanager
    def begin(self, by: Actor) -> Iterator[Change]:
        """A change by `by`: committed at the end of the block, undone on an error or when nothing was recorded."""
        with self.database.write() as connection:
            connection.execute(_NEXT, {"key": REVISION})
            change = Change(connection, revision_in(connection), self.clock(), by, self._random_bytes)
            yield change
            transaction = connection.get_transaction()
            if not change.is_recorded and transaction is not None:
                transaction.rollback()

    def revision(self) -> int:
        """The number of the last change of an account, by whatever process; 0 before the first."""
        with self.database.read() as connection:
            return revision_in(connection)


def revision_in(connection: sa.Connection) -> int:
    """The number of the last change that this transaction sees."""
    return int(connection.execute(sa.select(settings.c.value).where(settings.c.key == REVISION)).scalar() or 0)


def first_id(number: int) -> str:
    """Where the audit log's rows of change `number` begin, and those of all later ones follow."""
    return f"aud_{number:0{_NUMBER_DIGITS}d}"


def require_version(what: str, identity: str, stored: int, version: int | None) -> None:
    """Raises Conflict when somebody has seen another version of the row than there is; None does not care."""
    if version is not None and version != stored:
        raise Conflict(
            f"{what} {identity} has been changed: it is at version {stored} and not {version}; read it again"
        )


def differences(before: msgspec.Struct, after: msgspec.Struct, names: Mapping[str, Any]) -> dict[str, Any]:
    """For the audit log: what of `names` differs, as it was and as it is."""
    pairs = {name: (getattr(before, name), getattr(after, name)) for name in names}
    return {name: {"from": old, "to": new} for name, (old, new) in pairs.items() if old != new}


def _moved_on(table: str, row: str) -> Conflict:
    return Conflict(f"{row} in {table} has been changed at this moment by somebody else; read it again")
