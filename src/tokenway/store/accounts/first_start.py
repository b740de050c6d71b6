"""What the first start makes in an empty store: somebody who may do everything, and a key to begin with."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from tokenway.store.accounts import passwords
from tokenway.store.accounts.changes import Change, Changes
from tokenway.store.accounts.keys import add_key
from tokenway.store.accounts.memberships import set_membership
from tokenway.store.accounts.projects import add_project
from tokenway.store.accounts.records import DEFAULT_PROJECT, SYSTEM, FirstStart, KeyTerms, MemberRole, Role, UserTerms
from tokenway.store.accounts.tokens import add_token
from tokenway.store.accounts.users import add_user
from tokenway.store.schema import projects, users

ADMIN: Final = "admin"
"""The name that the first admin signs in with."""
FIRST_KEY: Final = "default"
FIRST_TOKEN: Final = "first start"  # noqa: S105 - its name, not the token


def first_start(changes: Changes) -> FirstStart | None:
    """Makes the default project, an admin with a password and a token, and a key; None when there are users already."""
    password = passwords.generated()
    with changes.begin(SYSTEM) as change:
        if change.connection.execute(sa.select(users.c.id).limit(1)).first():
            return None
        ensure_default_project(change)
        admin = add_user(change, ADMIN, password=passwords.hashed(password), terms=UserTerms(role=Role.ADMIN))
        set_membership(change, admin.id, DEFAULT_PROJECT, MemberRole.ADMIN)
        token = add_token(change, admin.id, FIRST_TOKEN)
        key = add_key(change, FIRST_KEY, project=DEFAULT_PROJECT, terms=KeyTerms(user_id=admin.id))
        return FirstStart(DEFAULT_PROJECT, admin, password, token, key)


def ensure_default_project(change: Change) -> None:
    """The project that everything defaults to, unless it is there."""
    ensure_project(change, DEFAULT_PROJECT)


def ensure_project(change: Change, project: str) -> None:
    """A project of this id, unless it is there."""
    if not change.connection.execute(sa.select(projects.c.id).where(projects.c.id == project)).first():
        add_project(change, project, project=project)
