"""The part of the diagnosis that asks PostgreSQL and Valkey, where the configuration names them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from tokenway.compose.diagnosis import Level, Probe
from tokenway.model.errors import TokenwayError
from tokenway.model.secret import Secret

if TYPE_CHECKING:
    from tokenway.store.condition import PostgresCondition, ValkeyCondition

POSTGRES_MIN: Final = (13, 0)
VALKEY_MIN: Final = (6, 0)
"""Of Redis, which Valkey's first version, 7.2, goes on from."""
AHEAD_WARN: Final = 2.0
AHEAD_FAIL: Final = 60.0
"""Seconds between two clocks: from here on calls are counted in another minute than the one they were made in."""
_NAMED_MAX: Final = 3


def database_probes(url: str, journals: Callable[[Callable[[str], int]], Probe]) -> Iterator[Probe]:
    """How the database server is; with a schema that is ours, what `journals` says with what is in the ledger."""
    from tokenway.store.condition import postgres_condition  # noqa: PLC0415 - only those who have one pay for it
    from tokenway.store.copying import CopyWriter  # noqa: PLC0415 - the same
    from tokenway.store.open import Store  # noqa: PLC0415 - the same
    from tokenway.store.postgres import connect, redacted  # noqa: PLC0415 - the same
    from tokenway.store.schema import HEAD  # noqa: PLC0415 - the same

    try:
        database = connect(url)
    except TokenwayError as error:
        yield Probe("database", Level.FAIL, str(error), "correct `store` in the configuration")
        return
    try:
        found = postgres_condition(database)
        yield _server(redacted(url), found)
        yield _schema(found.schema, HEAD)
        yield _rights(found)
        yield clock_probe("database clock", found.ahead)
        if found.schema == HEAD:
            # Without a node: nothing is written.
            yield journals(Store(database, time.time, "", CopyWriter(database)).ledger.offset)
    except TokenwayError as error:
        yield Probe("database", Level.FAIL, str(error), "start the server, or correct `store` in the configuration")
    finally:
        database.close()


def shared_probes(url: Secret) -> Iterator[Probe]:
    """How the server is that counts rates."""
    from tokenway.store.condition import valkey_condition  # noqa: PLC0415 - only those who have one pay for it
    from tokenway.store.postgres import redacted  # noqa: PLC0415 - the same

    name = redacted(url.reveal())
    try:
        found = valkey_condition(url)
    except TokenwayError as error:
        advice = "start the server, or correct `shared`; until then each machine keeps to its share of a rate"
        yield Probe("shared", Level.FAIL, f"{name}: {error}", advice)
        return
    yield _counting(name, found)
    yield clock_probe("shared clock", found.ahead)


def clock_probe(name: str, ahead: float) -> Probe:
    """Whether a server's clock and ours agree: days, minutes and expiry go by both."""
    way = "ahead of" if ahead > 0 else "behind"
    if abs(ahead) < AHEAD_WARN:
        return Probe(name, Level.OK, "as this machine's")
    level = Level.FAIL if abs(ahead) >= AHEAD_FAIL else Level.WARN
    return Probe(name, level, f"{abs(ahead):.1f} s {way} this machine's", "set both clocks, e.g. by NTP")


def _server(name: str, found: PostgresCondition) -> Probe:
    detail = f"{found.product} at {name}"
    if found.version is not None and found.version < POSTGRES_MIN:
        return Probe("database", Level.FAIL, detail, f"install PostgreSQL {POSTGRES_MIN[0]} or newer")
    if found.is_standby:
        return Probe("database", Level.FAIL, f"{detail}, a standby", "name the server that takes writes in `store`")
    return Probe("database", Level.OK, detail)


def _schema(has: str | None, needs: str) -> Probe:
    name = "database schema"
    if has is None:
        return Probe(name, Level.OK, f"none yet; the first start makes {needs}")
    if has == needs:
        return Probe(name, Level.OK, f"{has}, as this version needs it")
    detail = f"{has}, and this version needs {needs}"
    if has < needs:
        return Probe(name, Level.FAIL, detail, "back up the database and run `tokenway migrate`")
    return Probe(name, Level.FAIL, detail, "install the version of Tokenway that made it, or a newer one")


def _rights(found: PostgresCondition) -> Probe:
    name, user = "database rights", found.user
    if not found.may_create:
        detail = f"{user} may make no tables, and with them no partitions of days"
        return Probe(name, Level.FAIL, detail, f"GRANT CREATE ON SCHEMA public TO {user}, or make it the owner")
    if found.closed:
        detail = f"{user} may not read and write {_listed(found.closed)}"
        return Probe(name, Level.FAIL, detail, f"make {user} the owner of all tables (REASSIGN OWNED)")
    if found.not_owned:
        detail = f"{user} is not the owner of {_listed(found.not_owned)}, and can neither partition nor migrate them"
        return Probe(name, Level.FAIL, detail, f"make {user} the owner of all tables (REASSIGN OWNED)")
    return Probe(name, Level.OK, f"{user} may make tables and partitions")


def _counting(name: str, found: ValkeyCondition) -> Probe:
    detail = f"{found.product or 'a server that does not say what it is'} at {name}"
    if found.version is not None and found.version < VALKEY_MIN:
        return Probe("shared", Level.FAIL, detail, f"install Valkey, or Redis {VALKEY_MIN[0]} or newer")
    if found.is_replica:
        return Probe("shared", Level.FAIL, f"{detail}, a replica", "name the server that takes writes in `shared`")
    if found.forgets is not None:
        detail = f"{detail} drops keys when its memory is full ({found.forgets}), and with them what was lent"
        return Probe("shared", Level.WARN, detail, "set maxmemory-policy noeviction")
    return Probe("shared", Level.OK, detail)


def _listed(names: tuple[str, ...]) -> str:
    shown = ", ".join(names[:_NAMED_MAX])
    return shown if len(names) <= _NAMED_MAX else f"{shown} and {len(names) - _NAMED_MAX} more"
