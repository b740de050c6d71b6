"""Projects: whom use is counted for."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import sqlalchemy as sa

from tokenway.store.accounts import checks
from tokenway.store.accounts.changes import Change, Changes, differences, require_version
from tokenway.store.accounts.columns import columns_of, record, said, stored
from tokenway.store.accounts.entries import has_entries
from tokenway.store.accounts.paging import PAGE_SIZE, page_of
from tokenway.store.accounts.records import Actor, Page, ProjectRow, ProjectTerms
from tokenway.store.base import Conflict, InUse, NotFound
from tokenway.store.schema import keys, limits, memberships, projects, transfers

_SELECT: Final = sa.select(*columns_of(ProjectRow, projects))
_SUFFIXES: Final = 1000
"""How many projects may get their ids from one name."""


class SqlProjects:
    """The projects in a database."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes

    def create(
        self, name: str, *, by: Actor, project: str | None = None, terms: ProjectTerms | None = None
    ) -> ProjectRow:
        """A new project. Without an id it gets one that is made of the name.

        Raises Conflict when there is a project with this id, and Invalid.
        """
        with self._changes.begin(by) as change:
            return add_project(change, name, project=project, terms=terms)

    def get(self, project: str) -> ProjectRow:
        """The project with this id. Raises NotFound, which names those there are."""
        with self._changes.database.read() as connection:
            return project_in(connection, project)

    def page(
        self,
        *,
        archived: bool | None = None,
        user_id: str | None = None,
        cursor: str | None = None,
        size: int = PAGE_SIZE,
    ) -> Page[ProjectRow]:
        """Projects, oldest first: all, or those that are (not) archived, or those that a user is a member of."""
        query = _SELECT
        if archived is not None:
            query = query.where(projects.c.archived.is_not(None) if archived else projects.c.archived.is_(None))
        if user_id is not None:
            mine = sa.select(memberships.c.project).where(memberships.c.user_id == user_id)
            query = query.where(projects.c.id.in_(mine))
        with self._changes.database.read() as connection:
            return page_of(
                connection,
                query,
                (projects.c.created, projects.c.id),
                _row,
                cursor=cursor,
                size=size,
                key=lambda row: (row.created, row.id),
            )

    def update(self, project: str, terms: ProjectTerms, *, by: Actor, version: int | None = None) -> ProjectRow:
        """Changes what the terms say. Raises NotFound, Conflict or Invalid."""
        with self._changes.begin(by) as change:
            row = project_in(change.connection, project)
            require_version("the project", row.id, row.version, version)
            _require_open(row)
            values = checks.checked(said(terms))
            after = msgspec.structs.replace(row, **values)
            differing = differences(row, after, values)
            if not differing:
                return row
            change.update(projects, row, stored(values))
            change.record("update", "project", project, project=project, detail=differing)
            return msgspec.structs.replace(after, version=row.version + 1)

    def archive(self, project: str, *, by: Actor, version: int | None = None) -> ProjectRow:
        """Ends a project and its keys now; what was counted for it stays. One that has ended stays as it is."""
        with self._changes.begin(by) as change:
            row = project_in(change.connection, project)
            require_version("the project", row.id, row.version, version)
            if row.archived is not None:
                return row
            ended = end_keys(change, keys.c.project == project)
            change.update(projects, row, {"archived": change.now})
            change.record("archive", "project", project, project=project, detail={"keys": ended})
            return msgspec.structs.replace(row, archived=change.now, version=row.version + 1)

    def delete(self, project: str, *, by: Actor, version: int | None = None) -> None:
        """Removes a project that was never used, with its members and limits.

        Raises InUse when it has keys, or when something was counted for it: archive it instead.
        """
        with self._changes.begin(by) as change:
            row = project_in(change.connection, project)
            require_version("the project", row.id, row.version, version)
            held = change.connection.execute(sa.select(sa.func.count()).where(keys.c.project == project)).scalar()
            moved = change.connection.execute(sa.select(transfers.c.id).where(transfers.c.project == project).limit(1))
            if has_entries(change.connection, "project", project) or moved.first():
                raise InUse(f"the ledger speaks of the project {project}, so it stays; archive it instead")
            if held:
                raise InUse(f"the project {project} has {held} keys; delete them first, or archive the project")
            change.connection.execute(memberships.delete().where(memberships.c.project == project))
            change.connection.execute(limits.delete().where(limits.c.scope == "project", limits.c.subject == project))
            change.connection.execute(projects.delete().where(projects.c.id == project))
            change.record("delete", "project", project, project=project, detail={"name": row.name})


def add_project(
    change: Change, name: str, *, project: str | None = None, terms: ProjectTerms | None = None
) -> ProjectRow:
    """A new project, as part of a change. Raises Conflict or Invalid."""
    chosen = _free_id(change.connection, name) if project is None else checks.slug(project)
    if change.connection.execute(sa.select(projects.c.id).where(projects.c.id == chosen)).first():
        raise Conflict(f"there is a project {chosen} already; choose another id")
    values = checks.checked({**said(terms), "name": name})
    row = ProjectRow(id=chosen, created=change.now, **values)
    change.insert(projects, stored(msgspec.structs.asdict(row)))
    change.record("create", "project", chosen, project=chosen, detail=values)
    return row


def project_in(connection: sa.Connection, project: str) -> ProjectRow:
    """The project with this id. Raises NotFound."""
    found = connection.execute(_SELECT.where(projects.c.id == project)).first()
    if found is None:
        some = list(connection.execute(sa.select(projects.c.id).order_by(projects.c.id).limit(11)).scalars())
        known = ", ".join(some[:10]) + (", …" if len(some) > 10 else "")
        raise NotFound(f"there is no project {project!r}; there are: {known or 'none'}")
    return _row(found)


def open_project(connection: sa.Connection, project: str) -> ProjectRow:
    """The project with this id, which something new is to belong to. Raises NotFound, or Conflict when it has ended."""
    row = project_in(connection, project)
    if row.archived is not None:
        raise Conflict(f"the project {project} is archived; choose another")
    return row


def end_keys(change: Change, which: sa.ColumnElement[bool]) -> list[str]:
    """Revokes keys that have not ended, as part of a change; their ids."""
    running = sa.and_(which, keys.c.archived.is_(None), sa.or_(keys.c.revoked.is_(None), keys.c.revoked > change.now))
    ended = list(change.connection.execute(sa.select(keys.c.id).where(running).order_by(keys.c.id)).scalars())
    ending = keys.update().where(running).values(revoked=change.now, version=keys.c.version + 1)
    change.connection.execute(ending)
    return ended


def _require_open(row: ProjectRow) -> None:
    if row.archived is not None:
        raise Conflict(f"the project {row.id} is archived, and is not changed any more")


def _free_id(connection: sa.Connection, name: str) -> str:
    """An id made of a name, with a number behind it when it is taken."""
    base = checks.slug_of(checks.name(name))
    taken = set(connection.execute(sa.select(projects.c.id).where(projects.c.id.startswith(base))).scalars())
    for number in range(2, _SUFFIXES):
        if base not in taken:
            return base
        candidate = f"{base[: checks.SLUG_MAX - 4]}-{number}"
        if candidate not in taken:
            return candidate
    raise Conflict(f"too many projects are called {name!r}; choose an id yourself")


def _row(row: sa.Row[Any]) -> ProjectRow:
    return record(ProjectRow, row)
