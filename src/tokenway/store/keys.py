"""API keys: 256 random bits, shown once, stored as their SHA-256.

A plain hash is enough here: it protects passwords badly because they can be guessed, and these cannot.
"""

from __future__ import annotations

import hashlib
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from tokenway.model.secret import Secret
from tokenway.store.base import DEFAULT_PROJECT, FirstStart, KeyRow, NewKey, Period, StoreError
from tokenway.store.database import Database
from tokenway.store.schema import keys, limits, projects, settings, users

KEY_PREFIX: Final = "tw-"
SHOWN_CHARACTERS: Final = 8
_REVISION: Final = "keys_revision"


def make_key(random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> Secret:
    """A new key: `tw-` and 43 URL-safe characters of 32 random bytes."""
    return Secret(KEY_PREFIX + urlsafe_b64encode(random_bytes(32)).rstrip(b"=").decode("ascii"))


def digest_of(key: Secret) -> str:
    """What is stored of a key: its SHA-256 in hexadecimal."""
    return hashlib.sha256(key.reveal().encode()).hexdigest()


_BUDGET: Final = {"scope": "key", "measure": "usd", "rolling": 0, "per_run": 0}
_COLUMNS: Final = [keys.c[name] for name in KeyRow.__struct_fields__ if name not in {"budget", "period"}]
_SELECT: Final = sa.select(*_COLUMNS, limits.c.amount.label("budget"), limits.c.term).outerjoin(
    limits,
    sa.and_(limits.c.subject == keys.c.id, *(limits.c[name] == value for name, value in _BUDGET.items())),
)


class SqlKeys:
    """The keys in a database; see `base.KeyStore` for what each method promises."""

    def __init__(
        self,
        database: Database,
        clock: Callable[[], float],
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._database = database
        self._clock = clock
        self._random_bytes = random_bytes

    def create(
        self,
        name: str,
        *,
        project: str = DEFAULT_PROJECT,
        budget: int | None = None,
        period: Period = Period.TOTAL,
        expires: float | None = None,
    ) -> NewKey:
        """A new key. Raises StoreError when the project does not exist."""
        with self._database.write() as connection:
            self._require_project(connection, project)
            return self._insert(connection, name, project, budget, period, expires)

    def keys(self, project: str | None = None) -> list[KeyRow]:
        """All keys, or those of one project, oldest first; revoked ones too."""
        query = _SELECT.order_by(keys.c.created, keys.c.id)
        if project is not None:
            query = query.where(keys.c.project == project)
        with self._database.read() as connection:
            return [_row(row) for row in connection.execute(query)]

    def find(self, reference: str) -> KeyRow:
        """The key with this id, or the only active key of this name. Raises StoreError."""
        with self._database.read() as connection:
            return self._find(connection, reference)

    def revoke(self, reference: str) -> KeyRow:
        """Ends a key now; one that has ended already stays as it is."""
        with self._database.write() as connection:
            row = self._find(connection, reference)
            now = self._clock()
            if row.revoked is not None and row.revoked <= now:
                return row
            connection.execute(keys.update().where(keys.c.id == row.id).values(revoked=now))
            self._touch(connection)
            return msgspec.structs.replace(row, revoked=now)

    def rotate(self, reference: str, *, overlap: float = 0.0) -> NewKey:
        """Another secret for the same key; the old one ends after `overlap` seconds. Raises StoreError.

        A secret that still overlaps from an earlier rotation ends at once.
        """
        now = self._clock()
        with self._database.write() as connection:
            old = self._find(connection, reference)
            if not old.is_active(now):
                raise StoreError(f"the key {old.id} ({old.name}) has ended; create a new one instead")
            secret = make_key(self._random_bytes)
            changes: dict[str, Any] = {
                "digest": digest_of(secret),
                "prefix": _shown(secret),
                "former_digest": old.digest if overlap else None,
                "former_ends": now + overlap if overlap else None,
            }
            connection.execute(keys.update().where(keys.c.id == old.id).values(**changes))
            self._touch(connection)
            return NewKey(msgspec.structs.replace(old, **changes), secret)

    def bootstrap(self) -> FirstStart | None:
        """Makes the default project, an admin and a key in an empty store; None when it is not empty."""
        with self._database.write() as connection:
            if connection.execute(sa.select(users.c.id).limit(1)).first():
                return None
            now = self._clock()
            user = self._new_id("usr")
            self._add_project(connection, DEFAULT_PROJECT)
            connection.execute(users.insert().values(id=user, name="admin", role="admin", created=now))
            key = self._insert(connection, "default", DEFAULT_PROJECT, None, Period.TOTAL, None)
            return FirstStart(DEFAULT_PROJECT, user, key)

    def add_project(self, project: str) -> bool:
        """Makes a project with this id; False when there is one."""
        with self._database.write() as connection:
            return self._add_project(connection, project)

    def projects(self) -> list[str]:
        """The ids of the projects, in order."""
        with self._database.read() as connection:
            return list(connection.execute(sa.select(projects.c.id).order_by(projects.c.id)).scalars())

    def revision(self) -> int:
        """A number that rises with every change of a key or project, by whatever process."""
        with self._database.read() as connection:
            return self._revision(connection)

    def _insert(
        self,
        connection: sa.Connection,
        name: str,
        project: str,
        budget: int | None,
        period: Period,
        expires: float | None,
    ) -> NewKey:
        secret = make_key(self._random_bytes)
        row = KeyRow(
            id=self._new_id("key"),
            name=name,
            project=project,
            digest=digest_of(secret),
            prefix=_shown(secret),
            created=self._clock(),
            expires=expires,
            budget=budget,
            period=period,
        )
        values = {name: getattr(row, name) for name in row.__struct_fields__ if name not in {"budget", "period"}}
        connection.execute(keys.insert().values(**values))
        if budget is not None:
            limit = {"id": self._new_id("lim"), "subject": row.id, "amount": budget, "term": period.value}
            connection.execute(limits.insert().values(**_BUDGET, **limit, created=row.created, version=1))
        self._touch(connection)
        return NewKey(row, secret)

    def _find(self, connection: sa.Connection, reference: str) -> KeyRow:
        query = _SELECT.where((keys.c.id == reference) | (keys.c.name == reference))
        found = [_row(row) for row in connection.execute(query)]
        for row in found:
            if row.id == reference:
                return row
        active = [row for row in found if row.is_active(self._clock())]
        if len(active) == 1:
            return active[0]
        if active:
            ids = ", ".join(row.id for row in active)
            raise StoreError(f"several active keys are called {reference!r}; name one by its id: {ids}")
        if found:
            raise StoreError(f"no active key is called {reference!r}")
        raise StoreError(f"there is no key {reference!r}; `tokenway keys list` shows all")

    def _require_project(self, connection: sa.Connection, project: str) -> None:
        if not connection.execute(sa.select(projects.c.id).where(projects.c.id == project)).first():
            known = ", ".join(connection.execute(sa.select(projects.c.id).order_by(projects.c.id)).scalars())
            raise StoreError(f"there is no project {project!r}; there are: {known or 'none'}")

    def _add_project(self, connection: sa.Connection, project: str) -> bool:
        if connection.execute(sa.select(projects.c.id).where(projects.c.id == project)).first():
            return False
        connection.execute(projects.insert().values(id=project, name=project, created=self._clock()))
        self._touch(connection)
        return True

    @staticmethod
    def _revision(connection: sa.Connection) -> int:
        return int(connection.execute(sa.select(settings.c.value).where(settings.c.key == _REVISION)).scalar() or 0)

    def _touch(self, connection: sa.Connection) -> None:
        revision = self._revision(connection)
        if revision:
            connection.execute(settings.update().where(settings.c.key == _REVISION).values(value=str(revision + 1)))
        else:
            connection.execute(settings.insert().values(key=_REVISION, value="1"))

    def _new_id(self, kind: str) -> str:
        return f"{kind}_{self._random_bytes(8).hex()}"


def _shown(key: Secret) -> str:
    return key.reveal()[:SHOWN_CHARACTERS]


def _row(row: sa.Row[*tuple[Any, ...]]) -> KeyRow:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
    period = Period(values.pop("term") or Period.TOTAL)
    return KeyRow(**values, period=period)
