"""Tokens of the control API, and the sessions of browsers: both stand for a user."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import sqlalchemy as sa

from tokenway.model.secret import Secret
from tokenway.store.accounts import checks
from tokenway.store.accounts.changes import Change, Changes
from tokenway.store.accounts.columns import columns_of, record
from tokenway.store.accounts.paging import PAGE_SIZE, page_of
from tokenway.store.accounts.records import Actor, NewToken, Page, SessionRow, TokenRow, UserRow
from tokenway.store.accounts.secret_texts import TOKEN_PREFIX, digest_of, make_secret, shown
from tokenway.store.accounts.users import open_user, user_in
from tokenway.store.base import Invalid, NotFound
from tokenway.store.schema import sessions, tokens

SESSION_PREFIX: Final = "tws-"
SEEN_SECONDS: Final = 60.0
"""How exact `last_used` is: a token that is used a thousand times a minute is written once."""

_TOKEN: Final = sa.select(*columns_of(TokenRow, tokens))
_SESSION: Final = sa.select(sessions)


class SqlTokens:
    """The tokens in a database."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes

    def create(self, user: str, name: str, *, by: Actor, expires: float | None = None) -> NewToken:
        """A new token of a user, who is named by id or name. Raises NotFound or Invalid."""
        with self._changes.begin(by) as change:
            return add_token(change, user, name, expires=expires)

    def get(self, identity: str) -> TokenRow:
        """The token with this id. Raises NotFound."""
        with self._changes.database.read() as connection:
            return _token_in(connection, identity)

    def page(self, *, user_id: str | None = None, cursor: str | None = None, size: int = PAGE_SIZE) -> Page[TokenRow]:
        """Tokens, oldest first; those that have ended too."""
        query = _TOKEN if user_id is None else _TOKEN.where(tokens.c.user_id == user_id)
        order = (tokens.c.created, tokens.c.id)
        with self._changes.database.read() as connection:
            return page_of(
                connection, query, order, _token, cursor=cursor, size=size, key=lambda row: (row.created, row.id)
            )

    def use(self, secret: Secret) -> tuple[TokenRow, UserRow] | None:
        """The token that this is, and whose; None when it is none, or has ended. Remembers the minute of its use."""
        now = self._changes.clock()
        with self._changes.database.read() as connection:
            found = connection.execute(_TOKEN.where(tokens.c.digest == digest_of(secret))).first()
            if found is None or not (row := _token(found)).is_active(now):
                return None
            user = user_in(connection, row.user_id)
        if user.archived is not None:
            return None
        if row.last_used is None or not row.last_used <= now < row.last_used + SEEN_SECONDS:
            with self._changes.database.add() as connection:
                connection.execute(tokens.update().where(tokens.c.id == row.id).values(last_used=now))
            row = msgspec.structs.replace(row, last_used=now)
        return row, user

    def revoke(self, identity: str, *, by: Actor) -> TokenRow:
        """Ends a token now; one that was ended already stays as it is. Raises NotFound."""
        with self._changes.begin(by) as change:
            row = _token_in(change.connection, identity)
            if row.revoked is not None and row.revoked <= change.now:
                return row
            change.connection.execute(tokens.update().where(tokens.c.id == identity).values(revoked=change.now))
            change.record("revoke", "token", identity, detail={"user": row.user_id, "name": row.name})
            return msgspec.structs.replace(row, revoked=change.now)


class SqlSessions:
    """The sessions in a database."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes

    def create(self, user: str, seconds: float, *, by: Actor) -> tuple[Secret, SessionRow]:
        """Signs a user in for so many seconds; the secret is for his browser. Raises NotFound or Invalid."""
        if not 0 < seconds <= 366 * 86400:
            raise Invalid("seconds", "a session ends within a year")
        with self._changes.begin(by) as change:
            owner = open_user(change.connection, user)
            secret = make_secret(SESSION_PREFIX, change.random_bytes)
            row = SessionRow(digest_of(secret), owner.id, change.now, change.now + seconds)
            change.insert(sessions, msgspec.structs.asdict(row))
            change.record("sign_in", "session", owner.id)
            return secret, row

    def find(self, secret: Secret) -> tuple[SessionRow, UserRow] | None:
        """The session that this is, and whose; None when it is none, or has ended."""
        with self._changes.database.read() as connection:
            found = connection.execute(_SESSION.where(sessions.c.digest == digest_of(secret))).first()
            if found is None or found.expires <= self._changes.clock():
                return None
            user = user_in(connection, found.user_id)
        return None if user.archived is not None else (record(SessionRow, found), user)

    def end(self, secret: Secret, *, by: Actor) -> bool:
        """Signs a browser out; whether it was signed in."""
        with self._changes.begin(by) as change:
            digest = digest_of(secret)
            found = change.connection.execute(_SESSION.where(sessions.c.digest == digest)).first()
            if found is None:
                return False
            change.connection.execute(sessions.delete().where(sessions.c.digest == digest))
            change.record("sign_out", "session", found.user_id)
            return True

    def end_all(self, user: str, *, by: Actor) -> int:
        """Signs a user out everywhere; how many sessions that were. Raises NotFound."""
        with self._changes.begin(by) as change:
            row = user_in(change.connection, user)
            ended = change.connection.execute(sessions.delete().where(sessions.c.user_id == row.id)).rowcount
            if ended:
                change.record("sign_out", "session", row.id, detail={"sessions": ended})
            return ended

    def purge(self) -> int:
        """Drops the sessions that have run out; how many."""
        with self._changes.database.write() as connection:
            return connection.execute(sessions.delete().where(sessions.c.expires <= self._changes.clock())).rowcount


def add_token(change: Change, user: str, name: str, *, expires: float | None = None) -> NewToken:
    """A new token, as part of a change. Raises NotFound or Invalid."""
    owner = open_user(change.connection, user)
    secret = make_secret(TOKEN_PREFIX, change.random_bytes)
    row = TokenRow(
        id=change.new_id("tok"),
        user_id=owner.id,
        name=checks.name(name),
        prefix=shown(secret),
        created=change.now,
        expires=checks.moment("expires", expires),
    )
    change.insert(tokens, {**msgspec.structs.asdict(row), "digest": digest_of(secret)})
    change.record("create", "token", row.id, detail={"user": owner.id, "name": row.name, "expires": expires})
    return NewToken(row, secret)


def _token_in(connection: sa.Connection, identity: str) -> TokenRow:
    found = connection.execute(_TOKEN.where(tokens.c.id == identity)).first()
    if found is None:
        raise NotFound(f"there is no token {identity!r}", listed_by="tokenway control-tokens list")
    return _token(found)


def _token(row: sa.Row[Any]) -> TokenRow:
    return record(TokenRow, row)
