"""How servers say that they are: real ones, as they are and as they can be made."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

import pytest

from tests.servers.postgres import PostgresServer
from tests.servers.server import free_port
from tests.servers.valkey import ValkeyServer
from tokenway.model.secret import Secret
from tokenway.store.base import StoreError
from tokenway.store.condition import PostgresCondition, postgres_condition, valkey_condition
from tokenway.store.postgres import connect
from tokenway.store.schema import HEAD


def asked(url: str) -> PostgresCondition:
    """The condition of a database."""
    database = connect(url)
    try:
        return postgres_condition(database)
    finally:
        database.close()


@pytest.mark.postgres
def test_a_database_of_ours(postgres_url: str) -> None:
    """Its owner may do everything there, and both have the same clock."""
    found = asked(postgres_url)
    assert found.product.startswith("PostgreSQL ")
    assert found.version is not None
    assert found.version >= (13, 0)
    assert found.ahead == 0.0
    assert (found.schema, found.user, found.is_standby, found.may_create) == (HEAD, "tokenway", False, True)
    assert (found.not_owned, found.closed) == ((), ())


@pytest.mark.postgres
def test_an_empty_database(empty_url: str) -> None:
    """There is nothing to own yet."""
    found = asked(empty_url)
    assert (found.schema, found.may_create, found.not_owned, found.closed) == (None, True, (), ())


@pytest.mark.postgres
def test_a_user_without_rights(postgres: PostgresServer, postgres_url: str) -> None:
    """Tables of somebody else, some of which may be read and written."""
    name = postgres_url.rpartition("/")[2]
    with contextlib.closing(postgres.connect(name)) as connection:
        connection.execute("DROP ROLE IF EXISTS guest")
        connection.execute("CREATE ROLE guest LOGIN PASSWORD 'guest'")
        connection.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        connection.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO guest")
        connection.execute("REVOKE DELETE ON keys FROM guest")
        found = asked(postgres_url.replace("//tokenway:only-in-tests@", "//guest:guest@"))
        connection.execute("DROP OWNED BY guest")
        connection.execute("DROP ROLE guest")
    assert (found.user, found.may_create, found.closed) == ("guest", False, ("keys",))
    assert {"exchanges", "keys", "settings"} <= set(found.not_owned)


def test_a_database_that_is_not_there() -> None:
    """Nobody listens."""
    with pytest.raises(StoreError, match=r"failed: .*refused"):
        asked(f"postgresql://u:hidden@127.0.0.1:{free_port()}/none")


def test_a_server_that_counts(valkey: ValkeyServer) -> None:
    """It says what it is and forgets nothing; nothing is left in it."""
    found = valkey_condition(Secret(valkey.url()))
    assert found.product is not None
    assert found.product.startswith(("Redis ", "Valkey "))
    assert found.version is not None
    assert found.version >= (6, 0)
    assert (found.ahead, found.is_replica, found.forgets) == (0.0, False, None)
    assert valkey.say(b"DBSIZE") == b":0\r\n"


def test_one_that_forgets(mortal_valkey: ValkeyServer) -> None:
    """When it is full; a rule without a bound does nothing."""
    mortal_valkey.say(b"CONFIG SET maxmemory-policy allkeys-lru")
    assert valkey_condition(Secret(mortal_valkey.url())).forgets is None
    mortal_valkey.say(b"CONFIG SET maxmemory 100mb")
    assert valkey_condition(Secret(mortal_valkey.url())).forgets == "allkeys-lru"


def test_a_replica(mortal_valkey: ValkeyServer) -> None:
    """It takes no writes."""
    mortal_valkey.say(b"REPLICAOF 127.0.0.1 9")
    assert valkey_condition(Secret(mortal_valkey.url())).is_replica is True


def test_one_that_tells_its_user_nothing(mortal_valkey: ValkeyServer) -> None:
    """It can be used all the same, as long as scripts run."""
    mortal_valkey.say(b"ACL SETUSER clerk on >pass ~* +@all -info")
    url = mortal_valkey.url().replace("//", "//clerk:pass@")
    found = valkey_condition(Secret(url))
    assert (found.product, found.version, found.is_replica, found.forgets) == (None, None, None, None)
    mortal_valkey.say(b"ACL SETUSER clerk -eval")
    with pytest.raises(StoreError, match="eval"):
        valkey_condition(Secret(url))


@pytest.mark.parametrize(
    ("url", "why"), [("valkey://u:hidden@127.0.0.1:1/0", "refused"), ("http://127.0.0.1", "cannot be read")]
)
def test_one_that_is_not_there(url: str, why: str) -> None:
    """With the reason, and without its password."""
    with pytest.raises(StoreError, match=why) as raised:
        valkey_condition(Secret(url))
    assert "hidden" not in str(raised.value)


@pytest.mark.parametrize(("shift", "ahead"), [(100.0, -100.0), (-100.0, 100.0)])
@pytest.mark.postgres
def test_clocks_that_differ(
    shift: float, ahead: float, monkeypatch: pytest.MonkeyPatch, postgres_url: str, valkey: ValkeyServer
) -> None:
    """By at least so much, in that direction."""
    real: Callable[[], float] = time.time
    monkeypatch.setattr("tokenway.store.condition.time.time", lambda: real() + shift)
    assert asked(postgres_url).ahead == pytest.approx(ahead, abs=5)
    assert valkey_condition(Secret(valkey.url())).ahead == pytest.approx(ahead, abs=5)
