"""Memberships: what a user may do in a project."""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa

from tokenway.store.accounts.changes import Change, Changes
from tokenway.store.accounts.columns import columns_of, record
from tokenway.store.accounts.paging import PAGE_SIZE, page_of
from tokenway.store.accounts.projects import open_project, project_in
from tokenway.store.accounts.records import Actor, MemberRole, MembershipRow, Page
from tokenway.store.accounts.users import open_user, user_in
from tokenway.store.base import NotFound
from tokenway.store.schema import memberships

_SELECT: Final = sa.select(*columns_of(MembershipRow, memberships))


class SqlMemberships:
    """The memberships in a database. Users are named by id or name."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes

    def set(self, user: str, project: str, role: MemberRole, *, by: Actor) -> MembershipRow:
        """Makes a user a member, or gives a member another role. Raises NotFound, or Invalid for what is archived."""
        with self._changes.begin(by) as change:
            return set_membership(change, user, project, role)

    def role(self, user_id: str, project: str) -> MemberRole | None:
        """What the user with this id may do in a project; None when he is no member."""
        with self._changes.database.read() as connection:
            found = _find(connection, user_id, project)
        return None if found is None else found.role

    def page(
        self,
        *,
        project: str | None = None,
        user_id: str | None = None,
        cursor: str | None = None,
        size: int = PAGE_SIZE,
    ) -> Page[MembershipRow]:
        """The members of a project, or the projects of a user, oldest first."""
        query = _SELECT
        if project is not None:
            query = query.where(memberships.c.project == project)
        if user_id is not None:
            query = query.where(memberships.c.user_id == user_id)
        # Both together are the key; a blank is in no id.
        identity = memberships.c.user_id + " " + memberships.c.project
        with self._changes.database.read() as connection:
            return page_of(
                connection,
                query,
                (memberships.c.created, identity),
                _row,
                cursor=cursor,
                size=size,
                key=lambda row: (row.created, f"{row.user_id} {row.project}"),
            )

    def remove(self, user: str, project: str, *, by: Actor) -> MembershipRow:
        """Ends a membership, and gives it back; the keys that the user made in the project stay. Raises NotFound."""
        with self._changes.begin(by) as change:
            row = user_in(change.connection, user)
            project_in(change.connection, project)
            found = _find(change.connection, row.id, project)
            if found is None:
                raise NotFound(f"{row.name} is no member of the project {project}")
            change.connection.execute(memberships.delete().where(*_key(row.id, project)))
            detail = {"user": row.id, "role": found.role}
            change.record("remove", "membership", row.id, project=project, detail=detail)
            return found


def set_membership(change: Change, user: str, project: str, role: MemberRole) -> MembershipRow:
    """A membership with this role, as part of a change. Raises NotFound or Invalid."""
    row = open_user(change.connection, user)
    open_project(change.connection, project)
    found = _find(change.connection, row.id, project)
    if found is None:
        made = MembershipRow(row.id, project, role, change.now)
        change.insert(memberships, {"user_id": row.id, "project": project, "role": role.value, "created": change.now})
        change.record("add", "membership", row.id, project=project, detail={"user": row.id, "role": role})
        return made
    if found.role is not role:
        change.connection.execute(memberships.update().where(*_key(row.id, project)).values(role=role.value))
        detail = {"role": {"from": found.role, "to": role}}
        change.record("update", "membership", row.id, project=project, detail=detail)
    return MembershipRow(row.id, project, role, found.created)


def _find(connection: sa.Connection, user_id: str, project: str) -> MembershipRow | None:
    found = connection.execute(_SELECT.where(*_key(user_id, project))).first()
    return None if found is None else _row(found)


def _key(user_id: str, project: str) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
    return memberships.c.user_id == user_id, memberships.c.project == project


def _row(row: sa.Row[Any]) -> MembershipRow:
    return record(MembershipRow, row)
