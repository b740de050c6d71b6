"""Keys: what models are called with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from tokenway.model.limits import Scope
from tokenway.store.accounts import checks
from tokenway.store.accounts.changes import Change, Changes, differences, require_version
from tokenway.store.accounts.columns import columns_of, record, said, stored
from tokenway.store.accounts.entries import has_entries
from tokenway.store.accounts.limits import add_limits
from tokenway.store.accounts.paging import PAGE_SIZE, page_of
from tokenway.store.accounts.projects import open_project
from tokenway.store.accounts.records import (
    DEFAULT_PROJECT,
    Actor,
    KeyFilter,
    KeyRow,
    KeyState,
    KeyTerms,
    LimitTerms,
    NewKey,
    Page,
)
from tokenway.store.accounts.secret_texts import KEY_PREFIX, digest_of, make_secret, shown
from tokenway.store.accounts.users import open_user
from tokenway.store.base import Conflict, InUse, Invalid, NotFound
from tokenway.store.schema import keys, limits, spend

SELECT: Final = sa.select(*columns_of(KeyRow, keys))
_OVERLAP_MAX: Final = 366 * 86400.0
_NOT_HOURLY: Final = (0, 86400)
"""The grains of `spend` that tell when a key was last used; the hours would only be more rows to look at."""


class SqlKeys:
    """The keys in a database. They are named by id, or by the name that only one active key has."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes

    def create(
        self,
        name: str,
        *,
        by: Actor,
        project: str = DEFAULT_PROJECT,
        terms: KeyTerms | None = None,
        limits: Sequence[LimitTerms] = (),
    ) -> NewKey:
        """A new key with its limits. Raises NotFound, Conflict where its project or user has ended, or Invalid."""
        with self._changes.begin(by) as change:
            return add_key(change, name, project=project, terms=terms, wanted=limits)

    def find(self, reference: str, project: str | None = None) -> KeyRow:
        """The key with this id, or the only active key of this name; of one project where that is said.

        Raises NotFound, or Conflict when several active keys have the name.
        """
        with self._changes.database.read() as connection:
            row = self._find(connection, reference, project)
            return _with_use(connection, [row])[0]

    def page(self, which: KeyFilter | None = None, *, cursor: str | None = None, size: int = PAGE_SIZE) -> Page[KeyRow]:
        """Keys, oldest first; those that have ended too, unless a state is asked for."""
        query = SELECT.where(*self._conditions(which or KeyFilter()))
        with self._changes.database.read() as connection:
            page = page_of(
                connection,
                query,
                (keys.c.created, keys.c.id),
                key_row,
                cursor=cursor,
                size=size,
                key=lambda row: (row.created, row.id),
            )
            return msgspec.structs.replace(page, rows=_with_use(connection, page.rows))

    def names(self) -> dict[str, str]:
        """What every key is called, by id."""
        with self._changes.database.read() as connection:
            return {row.id: row.name for row in connection.execute(sa.select(keys.c.id, keys.c.name))}

    def update(self, reference: str, terms: KeyTerms, *, by: Actor, version: int | None = None) -> KeyRow:
        """Changes what the terms say. Raises NotFound, Conflict or Invalid."""
        with self._changes.begin(by) as change:
            row = self._find(change.connection, reference)
            require_version("the key", row.id, row.version, version)
            if row.archived is not None:
                raise Conflict(f"the key {row.id} is archived, and is not changed any more")
            values = _checked(change, said(terms))
            after = msgspec.structs.replace(row, **values)
            differing = differences(row, after, values)
            if not differing:
                return row
            change.update(keys, row, stored(values))
            change.record("update", "key", row.id, project=row.project, detail=differing)
            return msgspec.structs.replace(after, version=row.version + 1)

    def rotate(self, reference: str, *, by: Actor, overlap: float = 0.0, version: int | None = None) -> NewKey:
        """Another secret for the same key; the old one ends after `overlap` seconds.

        A secret that still overlaps from an earlier rotation ends at once. Raises NotFound, Conflict or Invalid.
        """
        if not 0 <= overlap <= _OVERLAP_MAX:
            raise Invalid("overlap", "the old secret may go on for a year at most")
        with self._changes.begin(by) as change:
            row = self._find(change.connection, reference)
            require_version("the key", row.id, row.version, version)
            if not row.is_active(change.now):
                raise Conflict(f"the key {row.id} ({row.name}) has ended; create a new one instead")
            secret = make_secret(KEY_PREFIX, change.random_bytes)
            values = {
                "digest": digest_of(secret),
                "prefix": shown(secret),
                "former_digest": row.digest if overlap else None,
                "former_ends": change.now + overlap if overlap else None,
            }
            change.update(keys, row, values)
            change.record("rotate", "key", row.id, project=row.project, detail={"overlap": overlap})
            return NewKey(msgspec.structs.replace(row, **values, version=row.version + 1), secret)

    def revoke(self, reference: str, *, by: Actor, version: int | None = None) -> KeyRow:
        """Ends a key now; one that was ended already stays as it is. Raises NotFound or Conflict."""
        with self._changes.begin(by) as change:
            row = self._find(change.connection, reference)
            require_version("the key", row.id, row.version, version)
            if row.revoked is not None and row.revoked <= change.now:
                return row
            change.update(keys, row, {"revoked": change.now})
            change.record("revoke", "key", row.id, project=row.project, detail={"name": row.name})
            return msgspec.structs.replace(row, revoked=change.now, version=row.version + 1)

    def archive(self, reference: str, *, by: Actor, version: int | None = None) -> KeyRow:
        """Ends a key now and for ever, and takes it out of the way; what was counted for it stays."""
        with self._changes.begin(by) as change:
            row = self._find(change.connection, reference)
            require_version("the key", row.id, row.version, version)
            if row.archived is not None:
                return row
            revoked = change.now if row.revoked is None else min(row.revoked, change.now)
            values = {"archived": change.now, "revoked": revoked}
            change.update(keys, row, values)
            change.record("archive", "key", row.id, project=row.project, detail={"name": row.name})
            return msgspec.structs.replace(row, **values, version=row.version + 1)

    def delete(self, reference: str, *, by: Actor, version: int | None = None) -> None:
        """Removes a key that was never used, with its limits. Raises NotFound, Conflict, or InUse: archive it then."""
        with self._changes.begin(by) as change:
            row = self._find(change.connection, reference)
            require_version("the key", row.id, row.version, version)
            if has_entries(change.connection, "key", row.id):
                raise InUse(f"the ledger speaks of the key {row.id}, so it stays; archive it instead")
            its_limits = sa.and_(limits.c.scope == Scope.KEY.value, limits.c.subject == row.id)
            change.connection.execute(limits.delete().where(its_limits))
            change.connection.execute(keys.delete().where(keys.c.id == row.id))
            change.record("delete", "key", row.id, project=row.project, detail={"name": row.name})

    def _find(self, connection: sa.Connection, reference: str, project: str | None = None) -> KeyRow:
        query = SELECT.where((keys.c.id == reference) | (keys.c.name == reference))
        if project is not None:
            query = query.where(keys.c.project == project)
        found = [key_row(row) for row in connection.execute(query.order_by(keys.c.created, keys.c.id))]
        for row in found:
            if row.id == reference:
                return row
        active = [row for row in found if row.is_active(self._changes.clock())]
        if len(active) == 1:
            return active[0]
        if active:
            ids = ", ".join(row.id for row in active)
            raise Conflict(f"several active keys are called {reference!r}; name one by its id: {ids}")
        if found:
            raise NotFound(f"no active key is called {reference!r}; name an ended one by its id")
        raise NotFound(f"there is no key {reference!r}", listed_by="tokenway keys list")

    def _conditions(self, which: KeyFilter) -> Iterator[sa.ColumnElement[bool]]:
        if which.project is not None:
            yield keys.c.project == which.project
        if which.user_id is not None:
            yield keys.c.user_id == which.user_id
        if which.label is not None:
            yield _has_label(*which.label)
        if which.state is not None:
            yield _in_state(which.state, self._changes.clock())


def add_key(
    change: Change,
    name: str,
    *,
    project: str,
    terms: KeyTerms | None = None,
    wanted: Iterable[LimitTerms] = (),
) -> NewKey:
    """A new key with its limits, as part of a change. Raises NotFound, Conflict or Invalid."""
    open_project(change.connection, project)
    secret = make_secret(KEY_PREFIX, change.random_bytes)
    values = _checked(change, {**said(terms), "name": name})
    row = KeyRow(
        id=change.new_id("key"),
        project=project,
        digest=digest_of(secret),
        prefix=shown(secret),
        created=change.now,
        **values,
    )
    fields = msgspec.structs.asdict(row)
    del fields["last_used"]
    change.insert(keys, stored(fields))
    made = add_limits(change, Scope.KEY, row.id, wanted)
    bounds = [{**msgspec.to_builtins(each.limit), "subject": row.id} for each in made]
    change.record("create", "key", row.id, project=project, detail=values | ({"limits": bounds} if bounds else {}))
    return NewKey(row, secret, made)


def key_row(row: sa.Row[Any]) -> KeyRow:
    """A row of the table as a record; when it was last used is not there."""
    return record(KeyRow, row)


def _checked(change: Change, values: dict[str, Any]) -> dict[str, Any]:
    found = checks.checked(values)
    if found.get("user_id"):
        found["user_id"] = open_user(change.connection, found["user_id"]).id
    return found


def _with_use(connection: sa.Connection, rows: list[KeyRow]) -> list[KeyRow]:
    """The keys with when they were last used, from what the ledger has added up."""
    mine = spend.c.subject.in_([row.id for row in rows])
    query = sa.select(spend.c.subject, sa.func.max(spend.c.last_used)).group_by(spend.c.subject)
    where = (spend.c.scope == Scope.KEY.value, mine, spend.c.grain.in_(_NOT_HOURLY))
    used: dict[str, float] = {row[0]: row[1] for row in connection.execute(query.where(*where))}
    return [msgspec.structs.replace(row, last_used=used.get(row.id)) for row in rows]


def _in_state(state: KeyState, now: float) -> sa.ColumnElement[bool]:
    """The same as `KeyRow.state` says, for the database."""
    is_archived = keys.c.archived.is_not(None)
    is_revoked = sa.and_(keys.c.revoked.is_not(None), keys.c.revoked <= now)
    is_expired = sa.and_(keys.c.expires.is_not(None), keys.c.expires <= now)
    if state is KeyState.ARCHIVED:
        return is_archived
    if state is KeyState.REVOKED:
        return sa.and_(sa.not_(is_archived), is_revoked)
    if state is KeyState.EXPIRED:
        return sa.and_(sa.not_(is_archived), sa.not_(is_revoked), is_expired)
    return sa.and_(sa.not_(is_archived), sa.not_(is_revoked), sa.not_(is_expired))


def _has_label(name: str, text: str | None) -> sa.ColumnElement[bool]:
    """Labels are one JSON text, whose encoding is looked for, so that no database's own JSON is needed.

    LIKE would not tell upper from lower case everywhere.
    """
    wanted = msgspec.json.encode(name).decode() + ":"
    if text is not None:
        wanted += msgspec.json.encode(text).decode()
    return sa.func.replace(keys.c.labels, wanted, "") != keys.c.labels
