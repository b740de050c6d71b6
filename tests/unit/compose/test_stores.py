"""`tokenway.compose.stores`: which database the settings mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from tokenway.compose.paths import node_id
from tokenway.compose.stores import Schema, database_path, migrate, open_store, schema_of
from tokenway.model.errors import ConfigError
from tokenway.model.secret import Secret
from tokenway.model.settings import Settings
from tokenway.store.accounts.records import CLI
from tokenway.store.base import StoreError
from tokenway.store.schema import HEAD


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
