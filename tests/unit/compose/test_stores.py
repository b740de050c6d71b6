"""`tokenway.compose.stores`: which database the settings mean."""

from __future__ import annotations

from pathlib import Path

from tokenway.compose.stores import database_path, open_store
from tokenway.model.secret import Secret
from tokenway.model.settings import Settings
from tokenway.store.accounts.records import CLI


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
