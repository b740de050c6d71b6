"""The servers that tests start: they come up, keep what they must, and leave nothing behind."""

from __future__ import annotations

import contextlib

import psycopg
import pytest

from tests.servers.fixtures import demand
from tests.servers.postgres import PostgresServer
from tests.servers.valkey import ValkeyServer


def count(server: PostgresServer, database: str) -> int:
    """How many rows the table of these tests has."""
    with contextlib.closing(server.connect(database)) as connection:
        row = connection.execute("SELECT count(*) FROM t").fetchone()
        assert row is not None
        return int(row[0])


@pytest.mark.postgres
def test_a_killed_postgres_has_what_was_committed(mortal: PostgresServer) -> None:
    """With every process of it gone, on the same port."""
    name = mortal.create()
    connection = mortal.connect(name)
    connection.execute("CREATE TABLE t (a int)")
    connection.execute("INSERT INTO t VALUES (1)")
    mortal.kill()
    assert not mortal.is_running
    with pytest.raises(psycopg.OperationalError):
        connection.execute("INSERT INTO t VALUES (2)")
    connection.close()
    mortal.start()
    assert count(mortal, name) == 1
    mortal.stop()
    mortal.start()
    assert count(mortal, name) == 1


@pytest.mark.postgres
def test_each_test_has_a_database_of_its_own(postgres: PostgresServer) -> None:
    """Made after a template, and dropped whoever is connected to it."""
    first = postgres.create()
    with contextlib.closing(postgres.connect(first)) as connection:
        connection.execute("CREATE TABLE t (a int)")
        connection.execute("INSERT INTO t VALUES (1), (2)")
    second = postgres.create(template=first)
    assert count(postgres, second) == 2
    with contextlib.closing(postgres.connect(second)):
        postgres.drop(second)
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        postgres.connect(second)
    postgres.drop(first)


@pytest.mark.valkey
def test_a_killed_valkey_comes_back_empty(mortal_valkey: ValkeyServer) -> None:
    """On the same port; a paused one does not answer, and goes on afterwards."""
    assert mortal_valkey.say(b"SET a 1") == b"+OK\r\n"
    mortal_valkey.pause()
    mortal_valkey.resume()
    assert mortal_valkey.say(b"GET a") == b"$1\r\n1\r\n"
    mortal_valkey.kill()
    assert not mortal_valkey.answers()
    mortal_valkey.start()
    assert mortal_valkey.say(b"GET a") == b"$-1\r\n"


@pytest.mark.valkey
def test_each_test_finds_valkey_empty(valkey: ValkeyServer) -> None:
    """And stops it in good order where it wants to."""
    assert valkey.say(b"DBSIZE") == b":0\r\n"
    valkey.say(b"SET a 1")
    valkey.clear()
    assert valkey.say(b"DBSIZE") == b":0\r\n"


def test_a_missing_server_is_a_failure_in_the_continuous_build(monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere its tests are skipped with the reason."""
    monkeypatch.delenv("CI", raising=False)
    demand(lambda: None)
    with pytest.raises(pytest.skip.Exception, match="it is not there"):
        demand(lambda: "it is not there")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="it is not there"):
        demand(lambda: "it is not there")
