"""What the diagnosis says of servers: of real ones, and for each thing that can be wrong with one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.servers.postgres import PostgresServer
from tests.servers.valkey import ValkeyServer
from tokenway.compose import server_probes as module
from tokenway.compose.diagnosis import Level, Probe
from tokenway.compose.doctor import diagnose
from tokenway.compose.server_probes import clock_probe, database_probes, shared_probes
from tokenway.model.secret import Secret
from tokenway.store.condition import PostgresCondition, ValkeyCondition
from tokenway.store.schema import HEAD

SOUND = PostgresCondition("PostgreSQL 15.4", (15, 4), 0.0, HEAD, False, "tokenway", True, (), ())
COUNTS = ValkeyCondition("Valkey 7.2.4", (7, 2), 0.0, False, None)
JOURNAL = Probe("journal", Level.OK, "")


def by_name(probes: Iterator[Probe]) -> dict[str, Probe]:
    """Each line by what it is about; all that is not well has advice."""
    found = {probe.name: probe for probe in probes}
    assert all(bool(probe.advice) is (probe.level is not Level.OK) for probe in found.values() if probe is not JOURNAL)
    return found


@pytest.mark.postgres
def test_a_database_where_all_is_well(postgres_url: str) -> None:
    """What waits is compared with what is in its ledger."""
    asked: list[int] = []

    def journals(ingested: object) -> Probe:
        assert callable(ingested)
        asked.append(ingested("none"))
        return JOURNAL

    found = by_name(database_probes(postgres_url, journals))
    assert list(found) == ["database", "database schema", "database rights", "database clock", "journal"]
    assert {probe.level for probe in found.values()} == {Level.OK}
    assert found["database"].detail.startswith("PostgreSQL ")
    assert "only-in-tests" not in str(found)
    assert asked == [0]


@pytest.mark.postgres
def test_an_empty_database_has_no_ledger(empty_url: str) -> None:
    """The first start makes it; nothing is made by asking."""
    for _ in range(2):
        found = by_name(database_probes(empty_url, lambda _: JOURNAL))
        assert found["database schema"].detail == f"none yet; the first start makes {HEAD}"
        assert "journal" not in found


@pytest.mark.postgres
def test_an_older_and_a_newer_schema_fail(postgres: PostgresServer, postgres_url: str) -> None:
    """One with a command, the other with another version."""
    for version, advice in (("0001", "tokenway migrate"), ("9999", "install the version")):
        with contextlib.closing(postgres.connect(postgres_url.rpartition("/")[2])) as connection:
            connection.execute("UPDATE alembic_version SET version_num = %s", (version,))
        probe = by_name(database_probes(postgres_url, lambda _: JOURNAL))["database schema"]
        assert (probe.level, advice in probe.advice) == (Level.FAIL, True)


@pytest.mark.parametrize(
    ("change", "name", "advice"),
    [
        ({"product": "PostgreSQL 12.9", "version": (12, 9)}, "database", "PostgreSQL 13 or newer"),
        ({"is_standby": True}, "database", "takes writes"),
        ({"may_create": False}, "database rights", "GRANT CREATE"),
        ({"closed": ("keys",)}, "database rights", "the owner"),
        ({"not_owned": ("a", "b", "c", "d")}, "database rights", "the owner"),
        ({"ahead": 61.0}, "database clock", "NTP"),
    ],
)
def test_what_is_wrong_with_a_database_fails(
    change: dict[str, object], name: str, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line for each, and the others go on."""
    found = msgspec.structs.replace(SOUND, schema=None, **change)
    monkeypatch.setattr("tokenway.store.condition.postgres_condition", lambda _: found)
    probes = by_name(database_probes("postgresql://u:hidden@h/d", lambda _: JOURNAL))
    assert [each for each, probe in probes.items() if probe.level is Level.FAIL] == [name]
    assert advice in probes[name].advice


def test_an_engine_that_is_like_postgresql_has_no_least_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own is another counting."""
    found = msgspec.structs.replace(SOUND, product="CockroachDB CCL v23.1", version=None, schema=None)
    monkeypatch.setattr("tokenway.store.condition.postgres_condition", lambda _: found)
    assert by_name(database_probes("postgresql://h/d", lambda _: JOURNAL))["database"].level is Level.OK


@pytest.mark.parametrize("url", ["postgresql://u:hidden@127.0.0.1:1/d", "postgresql://u:hidden@[x/d"])
def test_a_database_that_cannot_be_asked_is_one_failure(url: str) -> None:
    """Nobody there, or no address at all; the password is not told."""
    (probe,) = database_probes(url, lambda _: JOURNAL)
    assert (probe.name, probe.level) == ("database", Level.FAIL)
    assert "hidden" not in str(probe)


def test_a_server_that_counts(valkey: ValkeyServer) -> None:
    """Where all is well."""
    found = by_name(shared_probes(Secret(valkey.url())))
    assert list(found) == ["shared", "shared clock"]
    assert {probe.level for probe in found.values()} == {Level.OK}


@pytest.mark.parametrize(
    ("change", "name", "level", "advice"),
    [
        ({"product": "Redis 5.0.14", "version": (5, 0)}, "shared", Level.FAIL, "Redis 6 or newer"),
        ({"is_replica": True}, "shared", Level.FAIL, "takes writes"),
        ({"forgets": "allkeys-lru"}, "shared", Level.WARN, "noeviction"),
        ({"product": None, "version": None, "is_replica": None}, "shared", Level.OK, ""),
        ({"ahead": -3.0}, "shared clock", Level.WARN, "NTP"),
    ],
)
def test_what_is_wrong_with_one_that_counts(
    change: dict[str, object], name: str, level: Level, advice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it does not tell is not held against it."""
    found = msgspec.structs.replace(COUNTS, **change)
    monkeypatch.setattr("tokenway.store.condition.valkey_condition", lambda _: found)
    probe = by_name(shared_probes(Secret("valkey://u:hidden@h/0")))[name]
    assert probe.level is level
    assert advice in probe.advice


def test_one_that_is_away_is_one_failure() -> None:
    """It says what holds meanwhile."""
    (probe,) = shared_probes(Secret("valkey://u:hidden@127.0.0.1:1/0"))
    assert (probe.name, probe.level) == ("shared", Level.FAIL)
    assert "its share" in probe.advice
    assert "hidden" not in str(probe)


@pytest.mark.parametrize(
    ("ahead", "level"),
    [(0.0, Level.OK), (1.9, Level.OK), (-2.0, Level.WARN), (59.0, Level.WARN), (60.0, Level.FAIL), (-60.0, Level.FAIL)],
)
def test_clocks(ahead: float, level: Level) -> None:
    """A little is nothing, a minute is another minute."""
    probe = clock_probe("x", ahead)
    assert probe.level is level
    assert ("behind" in probe.detail) is (ahead < 0)


@pytest.mark.postgres
def test_the_diagnosis_asks_what_the_configuration_names(
    tmp_path: Path, postgres_url: str, valkey: ValkeyServer
) -> None:
    """Both servers; nothing is made in the data directory."""
    file = tmp_path / "tokenway.yaml"
    file.write_text(f"server: {{port: 0, control_port: 0}}\nstore: {postgres_url}\nshared: {valkey.url()}\n")
    probes = {probe.name: probe for probe in diagnose(file, tmp_path / "data", {"HOME": str(tmp_path)})}
    assert {"database", "database schema", "database rights", "database clock", "shared", "shared clock"} <= set(probes)
    assert probes["journal"].level is Level.OK
    assert probes["database"].level is probes["shared"].level is Level.OK
    assert not (tmp_path / "data").exists()
    assert module.POSTGRES_MIN == (13, 0)
