"""`tokenway nodes`: who was heard of when, and who is declared gone."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.unit.cli.books import make_books, tokenway
from tokenway.store.sqlite import open_sqlite


def beat(folder: Path, node: str, at: float) -> None:
    """A machine says that it lives."""
    store = open_sqlite(folder / "tokenway.db", clock=lambda: at, node=node)
    store.nodes.beat(name=f"host-{node}", started=at, workers=2, release="1.0")
    store.close()


def test_a_machine_is_listed_and_declared_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that lives is not; what was done stays to be seen until the others have acted on it."""
    monkeypatch.chdir(tmp_path)
    books = make_books(tmp_path)
    assert tokenway(books, "nodes", "list") == 0
    assert "No machine has said that it lives." in capsys.readouterr().err
    beat(books, "0000000a", time.time())
    beat(books, "0000000b", time.time() - 3_600)

    def states() -> dict[str, str]:
        assert tokenway(books, "nodes", "list", "--json") == 0
        return {each["id"]: each["state"] for each in json.loads(capsys.readouterr().out)}

    assert states() == {"0000000a": "live", "0000000b": "silent"}
    assert tokenway(books, "nodes", "retire", "0000000a") == 1
    assert "it lives, stop it first" in capsys.readouterr().err
    assert tokenway(books, "nodes", "retire", "0000000c") == 1
    assert "there is no machine 0000000c" in capsys.readouterr().err
    assert tokenway(books, "nodes", "retire", "0000000b") == 0
    assert "The machine 0000000b (host-0000000b) is declared gone." in capsys.readouterr().out
    assert states() == {"0000000a": "live", "0000000b": "retired"}
    assert tokenway(books, "nodes", "retire", "0000000b", "--json") == 0
    assert json.loads(capsys.readouterr().out)["retired"] is not None
    assert tokenway(books, "nodes", "list") == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert rows[0] == ["id", "name", "state", "seen", "started", "release", "workers"]
    assert [row[2] for row in rows[1:]] == ["live", "retired"]
