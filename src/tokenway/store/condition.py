"""How the servers are that a store is on: what they are, what may be done there, what time it is for them.

Nothing is changed by asking.
"""

from __future__ import annotations

import time
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from tokenway.model.secret import Secret
from tokenway.store.base import StoreError
from tokenway.store.open import version_of
from tokenway.store.postgres import PostgresDatabase, is_plain
from tokenway.store.schema import metadata

ANSWER_SECONDS: Final = 2.0
"""How long a server that counts rates has to answer who looks after it."""
_SERVER: Final = """
SELECT version(), current_setting('server_version_num'), extract(epoch FROM clock_timestamp()), pg_is_in_recovery(),
       current_user, coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)
"""
_RIGHTS: Final = sa.text("""
SELECT relname, pg_has_role(relowner, 'USAGE'),
       has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT')
       AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE')
FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
WHERE nspname = current_schema() AND relname = ANY(:names) ORDER BY relname
""")
_TIME: Final = "return redis.call('TIME')"


class PostgresCondition(msgspec.Struct, frozen=True):
    """A database server and what this user may do in the database. `ahead` is its clock before ours, in seconds."""

    product: str
    version: tuple[int, int] | None
    """Major and minor; None for an engine that is only like PostgreSQL."""
    ahead: float
    schema: str | None
    is_standby: bool
    user: str
    may_create: bool
    """Whether this user may make tables."""
    not_owned: tuple[str, ...]
    """Tables of ours that belong to somebody else."""
    closed: tuple[str, ...]
    """Those that this user may not read and write."""


class ValkeyCondition(msgspec.Struct, frozen=True):
    """A server that counts rates; what it does not tell this user is None."""

    product: str | None
    version: tuple[int, int] | None
    ahead: float
    is_replica: bool | None
    forgets: str | None
    """By which rule it drops keys when its memory is full; None where it does not."""


def postgres_condition(database: PostgresDatabase) -> PostgresCondition:
    """Asks the server. Raises StoreError when it cannot be reached or does not understand."""
    try:
        with database.read() as connection:
            before = time.time()
            said, number, clock, standby, user, may_create = connection.exec_driver_sql(_SERVER).one()
            ahead = _ahead(float(clock), before, time.time())
            rights = connection.execute(_RIGHTS, {"names": list(metadata.tables)}).all()
            schema = version_of(connection)
    except sa.exc.DBAPIError as error:
        raise StoreError(f"the database {database.name} cannot be asked: {error.orig}") from error
    major, minor = divmod(int(number), 10_000)
    return PostgresCondition(
        product=str(said).split(" on ", maxsplit=1)[0].split(" (", maxsplit=1)[0],
        version=None if is_plain(str(said)) else (major, minor),
        ahead=ahead,
        schema=schema,
        is_standby=bool(standby),
        user=str(user),
        may_create=bool(may_create),
        not_owned=tuple(name for name, is_owner, _ in rights if not is_owner),
        closed=tuple(name for name, _, is_open in rights if not is_open),
    )


def valkey_condition(url: Secret) -> ValkeyCondition:
    """Asks the server. Raises StoreError when it cannot be reached or does not let scripts run."""
    try:
        import valkey  # noqa: PLC0415 - only those who share rates have it
    except ModuleNotFoundError:
        raise StoreError("Valkey and Redis need the package valkey: install tokenway[valkey]") from None
    try:
        client = valkey.Valkey.from_url(
            url.reveal(), socket_timeout=ANSWER_SECONDS, socket_connect_timeout=ANSWER_SECONDS
        )
    except (TypeError, ValueError, valkey.ValkeyError):
        raise StoreError("the URL of `shared` cannot be read; expected valkey://user:password@host:6379/0") from None
    try:
        with client:
            client.ping()
            before = time.time()
            answer: Any = client.eval(_TIME, 0)
            ahead = _ahead(int(answer[0]) + int(answer[1]) / 1e6, before, time.time())
            try:
                info: Any = client.info()
            except valkey.ResponseError:
                info = {}  # a user need not have the right to ask that
    except (valkey.ValkeyError, OSError) as error:
        raise StoreError(f"it cannot be used: {error}") from None
    product = "valkey" if "valkey_version" in info else "redis"
    version = str(info.get(f"{product}_version", ""))
    rule = info.get("maxmemory_policy", "noeviction")
    return ValkeyCondition(
        product=f"{product.capitalize()} {version}" if version else None,
        version=_version(version),
        ahead=ahead,
        is_replica=info["role"] != "master" if "role" in info else None,
        forgets=rule if info.get("maxmemory") and rule != "noeviction" else None,
    )


def _version(text: str) -> tuple[int, int] | None:
    major, _, rest = text.partition(".")
    minor = rest.partition(".")[0]
    return (int(major), int(minor)) if major.isdecimal() and minor.isdecimal() else None


def _ahead(clock: float, before: float, after: float) -> float:
    """How far a clock is ahead, at the least, that was read between these two readings of ours."""
    return max(0.0, clock - after) + min(0.0, clock - before)
