"""All parts of accounts over one database."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable

from tokenway.model.secret import Secret
from tokenway.store.accounts.audit import SqlAudit
from tokenway.store.accounts.changes import Changes
from tokenway.store.accounts.first_start import ensure_default_project, ensure_project, first_start
from tokenway.store.accounts.holdings import SqlHoldings
from tokenway.store.accounts.keys import SqlKeys
from tokenway.store.accounts.limits import SqlLimits
from tokenway.store.accounts.memberships import SqlMemberships
from tokenway.store.accounts.projects import SqlProjects
from tokenway.store.accounts.records import Actor, FirstStart, SignedUp, SignUpTerms
from tokenway.store.accounts.sign_up import sign_up
from tokenway.store.accounts.tokens import SqlSessions, SqlTokens
from tokenway.store.accounts.users import SqlUsers
from tokenway.store.database import Database


class Accounts:
    """Projects, users and what belongs to them. `node` is the machine that changes them."""

    def __init__(
        self,
        database: Database,
        clock: Callable[[], float],
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
        *,
        node: str = "",
    ) -> None:
        self._node = node
        self.changes = Changes(database, clock, random_bytes)
        self.projects = SqlProjects(self.changes)
        self.users = SqlUsers(self.changes)
        self.memberships = SqlMemberships(self.changes)
        self.keys = SqlKeys(self.changes)
        self.limits = SqlLimits(self.changes)
        self.tokens = SqlTokens(self.changes)
        self.sessions = SqlSessions(self.changes)
        self.audit = SqlAudit(database)
        self.holdings = SqlHoldings(database)

    def bootstrap(self) -> FirstStart | None:
        """Makes the default project, an admin and a key in an empty store; None when it is not empty."""
        return first_start(self.changes)

    def ensure_default_project(self, *, by: Actor) -> None:
        """Makes the project that everything defaults to, unless it is there."""
        with self.changes.begin(by) as change:
            ensure_default_project(change)

    def ensure_projects(self, names: Iterable[str], *, by: Actor) -> None:
        """Makes the projects with these ids, but for those that are there."""
        with self.changes.begin(by) as change:
            for name in names:
                ensure_project(change, name)

    def sign_up(self, name: str, password: Secret, terms: SignUpTerms, *, address: str) -> SignedUp:
        """Somebody makes an account of his own; see `sign_up.sign_up`."""
        return sign_up(self.changes, name, password, terms, address=address, node=self._node)
