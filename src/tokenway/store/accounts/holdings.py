"""What a snapshot needs of accounts, kept up to date at the price of what has changed.

The whole is read once. Afterwards the audit log says what the changes since then were about, and only that is read
again; so a hundred thousand keys cost nothing as long as they stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import sqlalchemy as sa

from tokenway.model.limits import Limit, Scope
from tokenway.store.accounts.changes import first_id, revision_in
from tokenway.store.accounts.columns import columns_of, record
from tokenway.store.accounts.keys import SELECT as SELECT_KEYS
from tokenway.store.accounts.keys import key_row
from tokenway.store.accounts.limits import SELECT as SELECT_LIMITS
from tokenway.store.accounts.limits import limit_row
from tokenway.store.accounts.records import KeyRow, ProjectRow
from tokenway.store.database import Database
from tokenway.store.schema import audit, keys, limits, projects, transfers
from tokenway.store.sums import WALLET

_PROJECTS: Final = sa.select(*columns_of(ProjectRow, projects))
_IDS_PER_QUERY: Final = 500
CREDITS: Final = "credits"
"""The resource of a change in the audit log that moved a project's money; its subject is the project."""


class Holdings:
    """Projects, the keys that have not ended, and limits, as of one revision."""

    def __init__(self) -> None:
        self.revision = -1
        self.number = 0
        """Rises when something in them is new."""
        self.projects: dict[str, ProjectRow] = {}
        self.keys: dict[str, KeyRow] = {}
        self.limits: dict[str, Limit] = {}
        self.credits: dict[str, int] = {}
        """What was ever paid into each project's wallet and not taken out again, nano-dollars; those that nothing
        ever moved may be left out."""


class SqlHoldings:
    """Reads holdings from a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def refresh(self, held: Holdings) -> None:
        """Takes in what has changed since the holdings were read; those that never were are read whole."""
        with self._database.read() as connection:
            revision = revision_in(connection)
            if revision == held.revision:
                return
            if held.revision < 0:
                self._read_all(connection, held)
                is_new = True
            else:
                changed = self._changed(connection, held.revision)
                self._read_changed(connection, held, changed)
                is_new = any(changed.values())
            # Last: what fails on the way is read again.
            held.revision = revision
            held.number += is_new

    @staticmethod
    def _changed(connection: sa.Connection, since: int) -> dict[str, set[str]]:
        """What the changes after `since` were about, by resource."""
        found: dict[str, set[str]] = {"project": set(), "user": set(), "key": set(), "limit": set(), CREDITS: set()}
        query = sa.select(audit.c.resource, audit.c.subject).where(audit.c.id >= first_id(since + 1)).distinct()
        for resource, subject in connection.execute(query.where(audit.c.resource.in_(list(found)))):
            found[resource].add(subject)
        return found

    def _read_all(self, connection: sa.Connection, held: Holdings) -> None:
        held.projects = {row.id: record(ProjectRow, row) for row in connection.execute(_PROJECTS)}
        running = SELECT_KEYS.where(keys.c.archived.is_(None), keys.c.revoked.is_(None))
        held.keys = {row.id: key_row(row) for row in connection.execute(running)}
        held.limits = {row.id: limit_row(row).limit for row in connection.execute(SELECT_LIMITS)}
        held.credits = {}
        self._read_credits(connection, held, held.projects)

    def _read_changed(self, connection: sa.Connection, held: Holdings, changed: dict[str, set[str]]) -> None:
        for some in _portions(changed["project"]):
            _drop(held.projects, some)
            rows = connection.execute(_PROJECTS.where(projects.c.id.in_(some)))
            held.projects |= {row.id: record(ProjectRow, row) for row in rows}
        # A project or user that ends, ends its keys; what goes takes its limits along.
        _drop(held.keys, changed["key"])
        self._read_keys(connection, held, keys.c.project, changed["project"])
        self._read_keys(connection, held, keys.c.user_id, changed["user"])
        self._read_keys(connection, held, keys.c.id, changed["key"])
        owners = {Scope.PROJECT: "project", Scope.USER: "user", Scope.KEY: "key"}
        gone = {
            identity
            for identity, limit in held.limits.items()
            if identity in changed["limit"] or limit.subject in changed.get(owners.get(limit.scope, ""), ())
        }
        _drop(held.limits, gone)
        self._read_limits(connection, held, limits.c.id, changed["limit"])
        for scope, resource in owners.items():
            self._read_limits(connection, held, limits.c.subject, changed[resource], limits.c.scope == scope.value)
        self._read_credits(connection, held, changed["project"] | changed[CREDITS])

    @staticmethod
    def _read_keys(connection: sa.Connection, held: Holdings, column: sa.Column[str], values: Iterable[str]) -> None:
        for some in _portions(values):
            for row in connection.execute(SELECT_KEYS.where(column.in_(some))):
                held.keys.pop(row.id, None)
                if row.archived is None and row.revoked is None:
                    held.keys[row.id] = key_row(row)

    @staticmethod
    def _read_limits(
        connection: sa.Connection,
        held: Holdings,
        column: sa.Column[str],
        values: Iterable[str],
        *where: sa.ColumnElement[bool],
    ) -> None:
        for some in _portions(values):
            for row in connection.execute(SELECT_LIMITS.where(column.in_(some), *where)):
                held.limits[row.id] = limit_row(row).limit

    @staticmethod
    def _read_credits(connection: sa.Connection, held: Holdings, some: Iterable[str]) -> None:
        _drop(held.credits, some)
        for portion in _portions(some):
            for column, sign in ((transfers.c.credit, 1), (transfers.c.debit, -1)):
                query = sa.select(column, sa.func.sum(transfers.c.amount)).group_by(column)
                wallets = [WALLET + project for project in portion]
                moved = query.where(column.in_(wallets), transfers.c.project.in_(portion))
                for wallet, amount in connection.execute(moved):
                    project = wallet.removeprefix(WALLET)
                    held.credits[project] = held.credits.get(project, 0) + sign * int(amount)


def _portions(values: Iterable[str]) -> Iterator[list[str]]:
    """Few enough at a time for one statement."""
    listed = sorted(values)
    for start in range(0, len(listed), _IDS_PER_QUERY):
        yield listed[start : start + _IDS_PER_QUERY]


def _drop(held: dict[str, Any], gone: Iterable[str]) -> None:
    for identity in gone:
        held.pop(identity, None)
