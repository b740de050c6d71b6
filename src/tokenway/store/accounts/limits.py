"""Limits of keys, projects, users and models.

An amount below what is spent already is allowed: then nothing more is served until the term is over.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from tokenway.model.limits import Limit, Scope
from tokenway.store.accounts import checks
from tokenway.store.accounts.changes import Change, Changes, require_version
from tokenway.store.accounts.columns import record
from tokenway.store.accounts.paging import PAGE_MAX, PAGE_SIZE, page_of
from tokenway.store.accounts.projects import open_project
from tokenway.store.accounts.records import Actor, LimitRow, LimitTerms, Page
from tokenway.store.accounts.users import open_user
from tokenway.store.base import Conflict, Invalid, NotFound
from tokenway.store.schema import keys, limits

SELECT: Final = sa.select(limits)


class SqlLimits:
    """The limits in a database."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes

    def set(self, scope: Scope, subject: str, terms: LimitTerms, *, by: Actor, version: int | None = None) -> LimitRow:
        """Sets a limit: a new one, or another amount of the one that bounds the same.

        `subject` is the id of a key, project or user, or the name of a model. `version` is of the one that is there; 0
        says that there is none. Raises NotFound, Conflict or Invalid.
        """
        with self._changes.begin(by) as change:
            project = _owner(change.connection, scope, subject)
            return set_limit(change, scope, subject, terms, project=project, version=version)

    def get(self, identity: str) -> LimitRow:
        """The limit with this id. Raises NotFound."""
        with self._changes.database.read() as connection:
            return _limit_in(connection, identity)

    def of(self, scope: Scope, subjects: Sequence[str]) -> dict[str, list[LimitRow]]:
        """The limits of each of these that has some, oldest first."""
        found: dict[str, list[LimitRow]] = {}
        with self._changes.database.read() as connection:
            for start in range(0, len(subjects), PAGE_MAX):
                some = subjects[start : start + PAGE_MAX]
                query = SELECT.where(limits.c.scope == scope.value, limits.c.subject.in_(some))
                for row in connection.execute(query.order_by(limits.c.created, limits.c.id)):
                    found.setdefault(row.subject, []).append(limit_row(row))
        return found

    def page(
        self,
        *,
        scope: Scope | None = None,
        subject: str | None = None,
        project: str | None = None,
        cursor: str | None = None,
        size: int = PAGE_SIZE,
    ) -> Page[LimitRow]:
        """Limits, oldest first: all, of one scope or subject, or those of a project and of its keys."""
        query = SELECT
        if scope is not None:
            query = query.where(limits.c.scope == scope.value)
        if subject is not None:
            query = query.where(limits.c.subject == subject)
        if project is not None:
            its_keys = sa.select(keys.c.id).where(keys.c.project == project)
            own = sa.and_(limits.c.scope == Scope.PROJECT.value, limits.c.subject == project)
            query = query.where(sa.or_(own, sa.and_(limits.c.scope == Scope.KEY.value, limits.c.subject.in_(its_keys))))
        with self._changes.database.read() as connection:
            return page_of(
                connection,
                query,
                (limits.c.created, limits.c.id),
                limit_row,
                cursor=cursor,
                size=size,
                key=lambda row: (row.created, row.limit.id),
            )

    def delete(self, identity: str, *, by: Actor, version: int | None = None) -> LimitRow:
        """Removes a limit, and gives it back as it was. Raises NotFound or Conflict."""
        with self._changes.begin(by) as change:
            row = _limit_in(change.connection, identity)
            require_version("the limit", row.limit.id, row.version, version)
            change.connection.execute(limits.delete().where(limits.c.id == identity))
            project = _project_of(change.connection, row.limit.scope, row.limit.subject)
            change.record("delete", "limit", identity, project=project, detail=msgspec.to_builtins(row.limit))
            return row


def add_limits(change: Change, scope: Scope, subject: str, wanted: Iterable[LimitTerms]) -> tuple[LimitRow, ...]:
    """The limits of something that is being made, as part of that change and of its row in the audit log.

    Raises Invalid, whose field says which of them it is: `limits[0].term`.
    """
    made: list[LimitRow] = []
    for number, terms in enumerate(wanted):
        try:
            row = _new(change, scope, subject, terms)
        except Invalid as error:
            raise Invalid(f"limits[{number}].{error.field}", str(error)) from None
        if any(_is_same(row.limit, other.limit) for other in made):
            raise Invalid(f"limits[{number}]", f"there are two limits of {terms.measure} for the same term")
        change.insert(limits, _columns(row))
        made.append(row)
    return tuple(made)


def set_limit(
    change: Change,
    scope: Scope,
    subject: str,
    terms: LimitTerms,
    *,
    project: str = "",
    version: int | None = None,
) -> LimitRow:
    """A limit of something that is there, as part of a change. Raises Conflict or Invalid."""
    row = _new(change, scope, subject, terms)
    found = change.connection.execute(SELECT.where(*_same(row.limit))).first()
    if found is None:
        if version:
            raise NotFound(f"there is no such limit of the {scope} {subject}; it was deleted meanwhile")
        change.insert(limits, _columns(row))
        change.record("create", "limit", row.limit.id, project=project, detail=msgspec.to_builtins(row.limit))
        return row
    before = limit_row(found)
    if version == 0:
        raise Conflict(f"there is such a limit of the {scope} {subject} already: {before.limit.id}; change that one")
    require_version("the limit", before.limit.id, before.version, version)
    if before.limit.amount == terms.amount:
        return before
    change.update(limits, found, {"amount": terms.amount})
    detail = {
        "scope": scope,
        "subject": subject,
        "measure": terms.measure,
        "amount": {"from": before.limit.amount, "to": terms.amount},
    }
    change.record("update", "limit", found.id, project=project, detail=detail)
    after = msgspec.structs.replace(before.limit, amount=terms.amount)
    return LimitRow(after, before.created, before.version + 1)


def limit_row(row: sa.Row[Any]) -> LimitRow:
    """A row of the table as a record."""
    return LimitRow(record(Limit, row), row.created, row.version)


def _new(change: Change, scope: Scope, subject: str, terms: LimitTerms) -> LimitRow:
    fields = msgspec.structs.asdict(checks.limit(terms))
    return LimitRow(Limit(change.new_id("lim"), scope, subject, **fields), change.now)


def _columns(row: LimitRow) -> dict[str, Any]:
    limit = row.limit
    return {
        "id": limit.id,
        "scope": limit.scope.value,
        "subject": limit.subject,
        "measure": limit.measure.value,
        "amount": limit.amount,
        "term": limit.term.value,
        "rolling": int(limit.rolling),
        "per_run": int(limit.per_run),
        "created": row.created,
        "version": row.version,
    }


def _same(limit: Limit) -> list[sa.ColumnElement[bool]]:
    """The row that bounds the same."""
    return [
        limits.c.scope == limit.scope.value,
        limits.c.subject == limit.subject,
        limits.c.measure == limit.measure.value,
        limits.c.term == limit.term.value,
        limits.c.rolling == int(limit.rolling),
        limits.c.per_run == int(limit.per_run),
    ]


def _is_same(one: Limit, other: Limit) -> bool:
    bare = {"id": "", "amount": 0}
    return msgspec.structs.replace(one, **bare) == msgspec.structs.replace(other, **bare)


def _limit_in(connection: sa.Connection, identity: str) -> LimitRow:
    found = connection.execute(SELECT.where(limits.c.id == identity)).first()
    if found is None:
        raise NotFound(f"there is no limit {identity!r}", listed_by="tokenway limits list")
    return limit_row(found)


def _owner(connection: sa.Connection, scope: Scope, subject: str) -> str:
    """The project that the limit of something belongs to; raises NotFound, Conflict or Invalid where it has none."""
    if scope is Scope.PROJECT:
        open_project(connection, subject)
    elif scope is Scope.USER:
        open_user(connection, subject)
    elif scope is Scope.MODEL:
        checks.names("subject", (subject,))
    elif not _project_of(connection, scope, subject):
        raise NotFound(f"there is no key {subject!r}", listed_by="tokenway keys list")
    return _project_of(connection, scope, subject)


def _project_of(connection: sa.Connection, scope: Scope, subject: str) -> str:
    if scope is Scope.PROJECT:
        return subject
    if scope is Scope.KEY:
        return connection.execute(sa.select(keys.c.project).where(keys.c.id == subject)).scalar() or ""
    return ""
