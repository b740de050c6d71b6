"""`tokenway migrate`: what the schema is, and what it becomes."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.servers.postgres import PASSWORD
from tokenway.cli.main import run
from tokenway.store.schema import HEAD


def read(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The JSON that was printed."""
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    return found


def test_a_file_is_made_and_left_as_it_is(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """To look makes nothing."""
    path = home / "data" / "tokenway" / "tokenway.db"
    assert run(["migrate", "--check"]) == 1
    assert f"{path} has no tables yet, and this version needs {HEAD}: run" in capsys.readouterr().out
    assert not path.exists()
    assert run(["migrate", "--json"]) == 0
    assert read(capsys) == {"database": str(path), "from": None, "to": HEAD, "needed": HEAD, "current": True}
    assert run(["migrate"]) == run(["migrate", "--check"]) == 0
    sentence = f"The database {path} has the schema {HEAD}, as this version needs it.\n"
    assert capsys.readouterr().out == sentence * 2


def test_a_newer_file_is_refused(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """To look, and to migrate."""
    run(["migrate"])
    with contextlib.closing(sqlite3.connect(home / "data" / "tokenway" / "tokenway.db")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    capsys.readouterr()
    for words in (["migrate"], ["migrate", "--check"]):
        assert run(words) == 1
        captured = capsys.readouterr()
        assert captured.out == ""
        assert "schema 9999, which is newer" in captured.err


@pytest.mark.postgres
def test_a_database_on_a_server(
    home: Path, empty_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Named by the setting; its password is in nothing that is printed."""
    monkeypatch.setenv("TOKENWAY_STORE", empty_url)
    assert run(["migrate", "--check", "--json"]) == 1
    found = read(capsys)
    assert (found["from"], found["to"], found["needed"], found["current"]) == (None, None, HEAD, False)
    assert found["database"].startswith("postgresql://tokenway@127.0.0.1:")
    assert run(["migrate"]) == 0
    assert f"had no tables and has the schema {HEAD} now." in capsys.readouterr().out
    assert run(["keys", "create", "k"]) == run(["keys", "list"]) == 0
    with contextlib.closing(psycopg.connect(empty_url, autocommit=True)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0005'")
    capsys.readouterr()
    assert run(["migrate", "--check"]) == 1
    assert run(["keys", "list"]) == 1
    captured = capsys.readouterr()
    assert "has the schema 0005, and this version needs" in captured.out
    assert "run `tokenway migrate`" in captured.err
    assert PASSWORD not in captured.out + captured.err
