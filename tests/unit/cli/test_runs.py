"""`tokenway runs`: lists and trees from the ledger."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.records import line, settled
from tokenway.cli.main import run
from tokenway.compose.commands import stored
from tokenway.metering.ledger import Trace
from tokenway.store.accounts.records import CLI
from tokenway.store.base import Progress


@pytest.fixture
def keys(home: Path) -> tuple[str, str]:
    """Two keys, `laptop` and `server`, with a run `r` each, and an old run `old`; their ids."""
    now = time.time()

    def call(number: int, name: str, key: str, **changes: Any) -> Any:
        values = {"admitted": now - 60 + number, "lines": (line(cost=1_000),)} | changes
        return settled(number, run=name, key=key, **values)

    with stored(home / "data" / "tokenway", None, {"HOME": str(home)}, make=True) as store:
        store.accounts.ensure_default_project(by=CLI)
        first, second = (store.accounts.keys.create(name, by=CLI).row.id for name in ("laptop", "server"))
        records = [
            call(1, "r", first, finish_reason="tool_calls"),
            call(2, "r", first, trace=Trace("helper", "r", request_class="subagent")),
            call(3, "r", first),
            call(4, "r", second),
            call(5, "~old", first, admitted=now - 20 * 86_400),
        ]
        store.ledger.commit(Progress("j-1", "edge-1", "owner", 100), records)
    return first, second


def table(capsys: pytest.CaptureFixture[str]) -> list[dict[str, str]]:
    """The rows that were printed."""
    titles, *rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    return [dict(zip(titles, row, strict=True)) for row in rows]


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize("words", [["runs"], ["runs", "list"], ["runs", "--since", "7d"]])
def test_the_runs_of_the_last_week(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The latest first, with their keys' names; `list` need not be said."""
    assert run(words) == 0
    newest, other = table(capsys)
    assert (newest["run"], newest["key"], newest["calls"]) == ("r", "server", "1")
    assert (other["key"], other["calls"], other["tokens"]) == ("laptop", "3", "543")
    assert (other["amplified"], other["charged"]) == ("10.6", "$0.000003702")


@pytest.mark.usefixtures("keys")
def test_lists_are_narrowed(capsys: pytest.CaptureFixture[str]) -> None:
    """To a key, a project, a time, a number."""
    assert run(["runs", "--of-key", "laptop", "--since", "all"]) == 0
    assert [row["run"] for row in table(capsys)] == ["r", "~old"]
    assert run(["runs", "--limit", "1"]) == 0
    assert len(table(capsys)) == 1
    assert run(["runs", "--project", "none"]) == 0
    assert "no run of an agent" in capsys.readouterr().err
    assert run(["runs", "--limit", "0"]) == 2
    assert "--limit" in capsys.readouterr().err


def test_a_list_as_json(keys: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """With keys' ids and what providers bill."""
    assert run(["runs", "--since", "all", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["data"]
    assert [(each["id"], each["key"], each["guessed"]) for each in found] == [
        ("r", keys[1], False),
        ("r", keys[0], False),
        ("~old", keys[0], True),
    ]
    assert found[1]["provider_cost"] == "0.000003"


@pytest.mark.usefixtures("keys")
def test_a_tree(capsys: pytest.CaptureFixture[str]) -> None:
    """Of a key where several have a run of that name."""
    assert run(["runs", "show", "r"]) == 2
    assert "laptop (key_" in capsys.readouterr().err
    assert run(["runs", "show", "r", "--of-key", "laptop"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("r  laptop, default\n")
    assert "└─ helper, 1 call " in out
    assert "Amplification 10.6: 543 tokens for 51 that the user saw; 2.0 hidden calls for each answer of 1" in out
    assert run(["runs", "show", "~old"]) == 0
    assert run(["runs", "show", "none"]) == 1
    assert "no run none" in capsys.readouterr().err


def test_a_tree_as_json(keys: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """By the key's id as well."""
    assert run(["runs", "show", "r", "--of-key", keys[1], "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["key"], found["calls"], found["agents"][0]["calls"][0]["id"]) == (keys[1], 1, "gen-000004")


def test_a_name_that_two_keys_have(home: Path, keys: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """Is refused with their ids."""
    with stored(home / "data" / "tokenway", None, {"HOME": str(home)}) as store:
        again = store.accounts.keys.create("laptop", by=CLI).row.id
    assert run(["runs", "--of-key", "laptop"]) == 2
    err = capsys.readouterr().err
    assert keys[0] in err
    assert again in err
