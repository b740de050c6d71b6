"""What the API is given by the control process: nothing here is made by itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from tokenway.control.api.attempts import Attempts
from tokenway.control.configuration import Configuration
from tokenway.model.settings import Settings
from tokenway.model.snapshot import Snapshot
from tokenway.store.accounts.audit import SqlAudit
from tokenway.store.accounts.changes import Changes
from tokenway.store.accounts.keys import SqlKeys
from tokenway.store.accounts.limits import SqlLimits
from tokenway.store.accounts.memberships import SqlMemberships
from tokenway.store.accounts.projects import SqlProjects
from tokenway.store.accounts.records import MemberRole
from tokenway.store.accounts.tokens import SqlSessions, SqlTokens
from tokenway.store.accounts.users import SqlUsers
from tokenway.store.database import Database
from tokenway.store.seal import Seal

if TYPE_CHECKING:
    from tokenway.store.sqlite import SqliteStore


class Accounts:
    """All of the store that is about accounts; used in the store's thread."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        changes = self.changes = Changes(database, clock)
        self.audit = SqlAudit(database)
        self.keys = SqlKeys(changes)
        self.limits = SqlLimits(changes)
        self.memberships = SqlMemberships(changes)
        self.projects = SqlProjects(changes)
        self.sessions = SqlSessions(changes)
        self.tokens = SqlTokens(changes)
        self.users = SqlUsers(changes)

    def roles(self, user_id: str) -> dict[str, MemberRole]:
        """What a user may do in each of his projects."""
        found: dict[str, MemberRole] = {}
        cursor = None
        while True:
            page = self.memberships.page(user_id=user_id, cursor=cursor, size=1000)
            found |= {row.project: row.role for row in page.rows}
            cursor = page.next
            if cursor is None:
                return found


class Services(msgspec.Struct, frozen=True):
    """The control process as the API sees it.

    `run` calls a function in the store's thread; `settings` and `snapshot` give what is in force (the snapshot without
    keys); `figures` the velocity of endpoints by id; `drain` brings the ledger up to date, in the store's thread.
    """

    run: Callable[..., Awaitable[Any]]
    store: SqliteStore
    accounts: Accounts
    seal: Seal
    configuration: Configuration
    settings: Callable[[], Settings]
    snapshot: Callable[[], Snapshot]
    figures: Callable[[Iterable[str]], dict[str, dict[str, object]]]
    drain: Callable[[], object]
    clock: Callable[[], float]
    is_enabled_by_environment: Callable[[str], bool]
    attempts: Attempts
