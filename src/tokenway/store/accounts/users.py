"""Users: people who sign in, and service accounts that do not."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import sqlalchemy as sa

from tokenway.model.secret import Secret
from tokenway.store.accounts import checks, passwords
from tokenway.store.accounts.changes import Change, Changes, differences, require_version
from tokenway.store.accounts.columns import columns_of, record, said, stored
from tokenway.store.accounts.entries import has_entries
from tokenway.store.accounts.paging import PAGE_SIZE, page_of
from tokenway.store.accounts.projects import end_keys
from tokenway.store.accounts.records import Actor, Candidate, Page, Role, UserKind, UserRow, UserTerms
from tokenway.store.base import Conflict, InUse, Invalid, NotFound
from tokenway.store.schema import keys, limits, memberships, sessions, tokens, users

_SELECT: Final[sa.Select[Any]] = sa.select(
    *columns_of(UserRow, users), users.c.password.is_not(None).label("has_password")
)


class SqlUsers:
    """The users in a database."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes

    def create(
        self,
        name: str,
        *,
        by: Actor,
        kind: UserKind = UserKind.PERSON,
        password: Secret | None = None,
        terms: UserTerms | None = None,
    ) -> UserRow:
        """A new user. Raises Conflict when the name or identity is taken, and Invalid."""
        secret = _hash_for(kind, password)
        with self._changes.begin(by) as change:
            return add_user(change, name, kind=kind, password=secret, terms=terms)

    def find(self, reference: str) -> UserRow:
        """The user with this id or name. Raises NotFound."""
        with self._changes.database.read() as connection:
            return user_in(connection, reference)

    def of_identity(self, identity: str) -> UserRow | None:
        """The user who signs in with a foreign identity; None for nobody, and for one whose account has ended."""
        query = _SELECT.where(users.c.identity == identity, users.c.archived.is_(None))
        with self._changes.database.read() as connection:
            found = connection.execute(query).first()
        return None if found is None else _row(found)

    def page(
        self,
        *,
        archived: bool | None = None,
        kind: UserKind | None = None,
        project: str | None = None,
        cursor: str | None = None,
        size: int = PAGE_SIZE,
    ) -> Page[UserRow]:
        """Users, oldest first: all, or those that fit what is said, as the members of a project."""
        query = _SELECT
        if archived is not None:
            query = query.where(users.c.archived.is_not(None) if archived else users.c.archived.is_(None))
        if kind is not None:
            query = query.where(users.c.kind == kind.value)
        if project is not None:
            members = sa.select(memberships.c.user_id).where(memberships.c.project == project)
            query = query.where(users.c.id.in_(members))
        order = (users.c.created, users.c.id)
        with self._changes.database.read() as connection:
            return page_of(
                connection, query, order, _row, cursor=cursor, size=size, key=lambda row: (row.created, row.id)
            )

    def update(self, reference: str, terms: UserTerms, *, by: Actor, version: int | None = None) -> UserRow:
        """Changes what the terms say. Raises NotFound, Conflict, Invalid, or InUse for the role of the last admin."""
        with self._changes.begin(by) as change:
            row = _open_user(change, reference, version)
            values = _checked(said(terms))
            after = msgspec.structs.replace(row, **values)
            differing = differences(row, after, values)
            if not differing:
                return row
            _require_free(change, after)
            if after.role is not Role.ADMIN:
                _require_another_admin(change, row)
            change.update(users, row, stored(values))
            change.record("update", "user", row.id, detail=differing)
            return msgspec.structs.replace(after, version=row.version + 1)

    def candidate(self, name: str) -> Candidate:
        """Who wants to sign in with a name, to be checked by `passwords.check`; whose account has ended is nobody."""
        query = sa.select(*_SELECT.selected_columns, users.c.password.label("hash"))
        query = query.where(users.c.name == name.strip().lower(), users.c.archived.is_(None))
        with self._changes.database.read() as connection:
            found = connection.execute(query).first()
        if found is None or found.hash is None:
            return Candidate(None, None)
        return Candidate(_row(found), Secret(found.hash))

    def set_password(
        self,
        reference: str,
        password: Secret,
        *,
        by: Actor,
        version: int | None = None,
        keep: str | None = None,
    ) -> UserRow:
        """Another password; who is signed in elsewhere is signed out.

        `keep` is the digest of the session that the change comes from, which goes on. Raises NotFound, Conflict, or
        Invalid, as for a service account.
        """
        secret = passwords.hashed(password)
        with self._changes.begin(by) as change:
            row = _open_user(change, reference, version)
            if row.kind is UserKind.SERVICE:
                raise Invalid("password", f"{row.name} is a service account and has no password; give it a token")
            others = sa.and_(sessions.c.user_id == row.id, sessions.c.digest != (keep or ""))
            change.connection.execute(sessions.delete().where(others))
            change.update(users, row, {"password": secret.reveal()})
            change.record("update", "user", row.id, detail={"password": "changed"})
            return msgspec.structs.replace(row, has_password=True, version=row.version + 1)

    def keep_rehashed(self, candidate: Candidate, rehashed: Secret, *, by: Actor) -> None:
        """The hash of the same password by newer parameters, unless the password was changed meanwhile."""
        if candidate.user is None or candidate.password is None:
            return
        with self._changes.begin(by) as change:
            row = user_in(change.connection, candidate.user.id)
            same = (users.c.id == row.id, users.c.password == candidate.password.reveal())
            if change.connection.execute(sa.select(users.c.id).where(*same)).first():
                change.update(users, row, {"password": rehashed.reveal()})
                change.record("update", "user", row.id, detail={"password": "hashed anew"})

    def archive(self, reference: str, *, by: Actor, version: int | None = None) -> UserRow:
        """Ends an account with its keys, tokens and sessions, now; one that has ended stays as it is.

        Raises NotFound, Conflict, or InUse for the last admin.
        """
        with self._changes.begin(by) as change:
            row = user_in(change.connection, reference)
            require_version("the user", row.id, row.version, version)
            if row.archived is not None:
                return row
            _require_another_admin(change, row)
            ended = end_keys(change, keys.c.user_id == row.id)
            mine = sa.and_(tokens.c.user_id == row.id, tokens.c.revoked.is_(None))
            change.connection.execute(tokens.update().where(mine).values(revoked=change.now))
            change.connection.execute(sessions.delete().where(sessions.c.user_id == row.id))
            change.update(users, row, {"archived": change.now})
            change.record("archive", "user", row.id, detail={"name": row.name, "keys": ended})
            return msgspec.structs.replace(row, archived=change.now, version=row.version + 1)

    def delete(self, reference: str, *, by: Actor, version: int | None = None) -> None:
        """Removes a user who was never charged, with his memberships, tokens, sessions and limits.

        Raises NotFound, Conflict, or InUse when he has keys or entries, or is the last admin.
        """
        with self._changes.begin(by) as change:
            row = user_in(change.connection, reference)
            require_version("the user", row.id, row.version, version)
            if has_entries(change.connection, "user", row.id):
                raise InUse(f"the ledger speaks of the user {row.name}, so the account stays; archive it instead")
            held = change.connection.execute(sa.select(sa.func.count()).where(keys.c.user_id == row.id)).scalar()
            if held:
                raise InUse(f"the user {row.name} has {held} keys; delete them first, or archive the user")
            _require_another_admin(change, row)
            for table in (memberships, tokens, sessions):
                change.connection.execute(table.delete().where(table.c.user_id == row.id))
            change.connection.execute(limits.delete().where(limits.c.scope == "user", limits.c.subject == row.id))
            change.connection.execute(users.delete().where(users.c.id == row.id))
            change.record("delete", "user", row.id, detail={"name": row.name})


def add_user(
    change: Change,
    name: str,
    *,
    kind: UserKind = UserKind.PERSON,
    password: Secret | None = None,
    terms: UserTerms | None = None,
) -> UserRow:
    """A new user, as part of a change; `password` is its hash. Raises Conflict or Invalid."""
    values = {"role": Role.USER, **_checked({**said(terms), "name": name})}
    row = UserRow(id=change.new_id("usr"), created=change.now, kind=kind, has_password=password is not None, **values)
    _require_free(change, row)
    fields = msgspec.structs.asdict(row)
    del fields["has_password"]
    change.insert(users, stored(fields) | {"password": None if password is None else password.reveal()})
    change.record("create", "user", row.id, detail={**values, "kind": kind})
    return row


def user_in(connection: sa.Connection, reference: str) -> UserRow:
    """The user with this id, else with this name. Raises NotFound."""
    for named in (users.c.id == reference, users.c.name == reference.strip().lower()):
        found = connection.execute(_SELECT.where(named)).first()
        if found is not None:
            return _row(found)
    raise NotFound(f"there is no user {reference!r}", listed_by="tokenway users list")


def open_user(connection: sa.Connection, reference: str) -> UserRow:
    """The user to whom something new is to belong. Raises NotFound, or Conflict when his account has ended."""
    row = user_in(connection, reference)
    if row.archived is not None:
        raise Conflict(f"the user {row.name} is archived; choose another")
    return row


def _open_user(change: Change, reference: str, version: int | None) -> UserRow:
    row = user_in(change.connection, reference)
    require_version("the user", row.id, row.version, version)
    if row.archived is not None:
        raise Conflict(f"the user {row.name} is archived, and is not changed any more")
    return row


def _checked(values: dict[str, Any]) -> dict[str, Any]:
    found = checks.checked({name: value for name, value in values.items() if name != "name"})
    return found | ({"name": checks.user_name(values["name"])} if "name" in values else {})


def _hash_for(kind: UserKind, password: Secret | None) -> Secret | None:
    if password is None:
        return None
    if kind is UserKind.SERVICE:
        raise Invalid("password", "a service account has no password; give it a token")
    return passwords.hashed(password)


def _require_free(change: Change, row: UserRow) -> None:
    """That nobody else has the name or the identity."""
    others = _SELECT.where(users.c.id != row.id)
    if found := change.connection.execute(others.where(users.c.name == row.name)).first():
        ended = " and is archived" if found.archived is not None else ""
        raise Conflict(f"a user is called {row.name} already{ended}; choose another name")
    if row.identity is not None and change.connection.execute(others.where(users.c.identity == row.identity)).first():
        raise Conflict("another user signs in with this identity")


def _require_another_admin(change: Change, row: UserRow) -> None:
    """That somebody is left who may do everything."""
    if row.role is not Role.ADMIN:
        return
    others = (users.c.role == Role.ADMIN.value, users.c.archived.is_(None), users.c.id != row.id)
    if not change.connection.execute(sa.select(users.c.id).where(*others).limit(1)).first():
        raise InUse(f"{row.name} is the only admin; make another user an admin first")


def _row(row: Any) -> UserRow:
    return record(UserRow, row)
