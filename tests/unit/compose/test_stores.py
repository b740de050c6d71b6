"""`tokenway.compose.stores`: which database the settings mean."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.servers.valkey import ValkeyServer
from tokenway.compose.paths import node_id
from tokenway.compose.stores import Schema, database_path, migrate, open_leases, open_rates, open_store, schema_of
from tokenway.model.errors import ConfigError
from tokenway.model.limits import Limit, Measure, Scope, Term
from tokenway.model.secret import Secret
from tokenway.model.settings import Settings
from tokenway.store.accounts.records import CLI
from tokenway.store.base import StoreError
from tokenway.store.granting import Ask
from tokenway.store.schema import HEAD

REQUESTS = Limit("lim_1", Scope.KEY, "k", Measure.REQUESTS, 10, Term.MINUTE)


def test_the_default_is_a_file_in_the_data_directory(tmp_path: Path) -> None:
    """Nothing needs to be set."""
    assert database_path(Settings(), tmp_path) == tmp_path / "tokenway.db"


def test_a_named_file_is_used_as_it_is(tmp_path: Path) -> None:
    """Three slashes begin a relative path, four an absolute one."""
    assert database_path(Settings(store=Secret(f"sqlite:///{tmp_path}/x.db")), Path("elsewhere")) == tmp_path / "x.db"
    assert database_path(Settings(store=Secret("sqlite:///x.db")), tmp_path) == Path("x.db")


def test_opening_makes_the_file_ready(tmp_path: Path) -> None:
    """A store that was just opened can be used, and a second opening finds what the first wrote."""
    store = open_store(Settings(), tmp_path / "data")
    store.accounts.projects.create("team", by=CLI)
    store.close()
    again = open_store(Settings(), tmp_path / "data")
    assert again.accounts.projects.get("team").name == "team"
    again.close()


def test_a_missing_file_is_not_made_by_who_only_looks(tmp_path: Path) -> None:
    """Nor is its directory."""
    with pytest.raises(ConfigError, match=r"no database .*tokenway.db; start the gateway once"):
        open_store(Settings(), tmp_path / "data", makes=False)
    assert schema_of(Settings(), tmp_path / "data") == Schema(str(tmp_path / "data" / "tokenway.db"), None, None, HEAD)
    assert not (tmp_path / "data").exists()


def test_a_file_is_migrated(tmp_path: Path) -> None:
    """From nothing to what is needed, and then nothing is to be done."""
    path = str(tmp_path / "tokenway.db")
    assert migrate(Settings(), tmp_path) == Schema(path, None, HEAD, HEAD)
    assert migrate(Settings(), tmp_path) == Schema(path, HEAD, HEAD, HEAD)
    assert schema_of(Settings(), tmp_path).is_current


@pytest.mark.postgres
def test_a_url_of_a_server_opens_that(empty_url: str, tmp_path: Path) -> None:
    """As the machine whose data directory it is; no database file is made."""
    settings = Settings(store=Secret(empty_url.replace("postgresql://", "postgres://")))
    assert database_path(settings, tmp_path) is None
    with pytest.raises(StoreError, match="nothing of Tokenway"):
        open_store(settings, tmp_path, makes=False)
    assert not schema_of(settings, tmp_path).is_current
    store = open_store(settings, tmp_path)
    assert store.nodes.node == node_id(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["node"]
    store.close()
    assert schema_of(settings, tmp_path).is_current
    assert "only-in-tests" not in repr(settings)


def test_leases_have_connections_of_their_own(tmp_path: Path) -> None:
    """To the same database: what they lend the store sees, and they can be closed before it."""
    settings = Settings()
    store = open_store(settings, tmp_path)
    leases = open_leases(settings, tmp_path)
    money = Limit("lim_2", Scope.KEY, "k", Measure.USD, 10)
    assert leases.lend([Ask("lim_2", money, "w1", 4)])[0].amount == 4
    leases.close()
    assert store.leases.outstanding("lim_2", 0) == 4
    assert store.leases.holders() == {"w1"}
    store.close()


@pytest.mark.postgres
def test_leases_are_lent_from_a_server_too(tmp_path: Path, postgres_url: str) -> None:
    """Where the store is on one."""
    leases = open_leases(Settings(store=Secret(postgres_url)), tmp_path)
    assert leases.holders() == set()
    leases.close()


async def test_machines_that_share_nothing_have_their_shares_of_a_rate(tmp_path: Path) -> None:
    """All of it where there is only one, in the minute that the clock shows."""
    nodes = 1
    rates = open_rates(Settings(), tmp_path, lambda: nodes)
    lent = (await rates.lend([Ask("lim_1", REQUESTS, "w1", 8)]))[0]
    assert lent.amount == 8
    assert lent.period == int(lent.begins // 60)
    assert lent.begins <= time.time() < lent.ends + 1
    nodes = 2
    await rates.beat()
    assert (await rates.lend([Ask("lim_3", REQUESTS, "w1", 8)]))[0].amount == 5
    assert not rates.is_away
    await rates.close()


@pytest.mark.valkey
async def test_machines_that_share_a_server_have_the_rate_together(tmp_path: Path, valkey: ValkeyServer) -> None:
    """Each by its own id."""
    settings = Settings(shared=Secret(valkey.url(3)))
    one, two = (open_rates(settings, tmp_path / name, lambda: 2) for name in ("a", "b"))
    slots = Limit("lim_1", Scope.KEY, "k", Measure.CONCURRENCY, 10)
    for rates, amount in ((one, 8), (two, 2), (one, 0)):
        assert (await rates.lend([Ask("lim_1", slots, "w1", 8)]))[0].amount == amount
    assert not one.is_away
    for rates in (one, two):
        await rates.close()


def test_a_shared_server_that_cannot_be_meant_is_refused(tmp_path: Path) -> None:
    """What the library would only complain about when it is used; the password is not shown."""
    with pytest.raises(StoreError, match="expected valkey://") as caught:
        open_rates(Settings(shared=Secret("valkey://:hunter2@host?colour=red")), tmp_path, lambda: 1)
    assert "hunter2" not in str(caught.value)
