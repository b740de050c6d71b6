"""`tokenway keys`: made, listed, replaced and ended, straight in the store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tokenway.cli.main import run
from tokenway.compose.commands import stored
from tokenway.compose.paths import CREDENTIALS


@pytest.fixture
def data(home: Path) -> Path:
    """The data directory that the environment points to; not made yet."""
    return home / "data" / "tokenway"


def read(capsys: pytest.CaptureFixture[str]) -> object:
    """The JSON that was printed."""
    return json.loads(capsys.readouterr().out)


def made(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    """The JSON of `keys create` with these words."""
    assert run(["keys", "create", *words, "--json"]) == 0
    found = read(capsys)
    assert isinstance(found, dict)
    return found


def test_a_new_key_is_printed_once_and_alone(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output is the key; afterwards only its beginning can be seen, and the file has no trace of it."""
    assert run(["keys", "create", "laptop"]) == 0
    captured = capsys.readouterr()
    secret = captured.out.strip()
    assert secret.startswith("tw-")
    assert "not shown again" in captured.err
    assert secret not in captured.err
    run(["keys", "list"])
    listed = capsys.readouterr().out
    assert f"{secret[:8]}…" in listed
    assert secret not in listed
    assert all(secret.encode() not in path.read_bytes() for path in data.iterdir())


def test_the_json_of_a_key_has_every_limit(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Budget is an exact decimal string, times are RFC 3339 in UTC."""
    found = made(capsys, "ci", "--budget", "5.10", "--period", "month", "--expires", "30d")
    assert found["key"].startswith("tw-")
    assert (found["name"], found["project"], found["state"]) == ("ci", "default", "active")
    assert (found["budget_usd"], found["budget_period"]) == ("5.1", "month")
    assert found["expires"].endswith("Z")


def test_a_key_made_before_the_first_start_leaves_the_first_start_to_come(data: Path) -> None:
    """The first start still makes its admin and its own key."""
    assert run(["keys", "create", "early"]) == 0
    with stored(data, None, {}) as store:
        assert store.accounts.bootstrap() is not None
    assert not (data / CREDENTIALS).exists()


def test_a_revoked_key_has_ended(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Revoking by name ends the key at once, and the list says so."""
    made(capsys, "laptop")
    assert run(["keys", "revoke", "laptop"]) == 0
    assert "has ended" in capsys.readouterr().out
    run(["keys", "list", "--json"])
    rows = read(capsys)
    assert isinstance(rows, list)
    assert [row["state"] for row in rows] == ["revoked"]


def test_a_rotated_key_is_listed_once(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its id is the old one and its secret new; the list tells when the former secret ends."""
    first = made(capsys, "ci")
    assert run(["keys", "rotate", "ci", "--overlap", "1h", "--json"]) == 0
    second = read(capsys)
    assert isinstance(second, dict)
    assert second["key"] != first["key"]
    run(["keys", "list", "--json"])
    rows = read(capsys)
    assert isinstance(rows, list)
    assert [(row["id"], row["state"], row["prefix"]) for row in rows] == [(first["id"], "active", second["key"][:8])]
    assert rows[0]["former_ends"].endswith("Z")


def test_without_a_store_there_is_nothing_to_list(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Listing does not make an empty database, and says what to do."""
    assert run(["keys", "list"]) == 1
    assert "start the gateway once, or name its directory with --data-dir" in capsys.readouterr().err
    assert not data.exists()


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        (["create", "x", "--budget", "much"], 2, "--budget much is not an amount of dollars"),
        (["create", "x", "--budget", "-1"], 2, "--budget -1 is not an amount of dollars"),
        (["create", "x", "--expires", "soon"], 2, "--expires soon is not a duration"),
        (["create", "x", "--period", "year"], 2, "--period"),
        (["create", "x", "--project", "nope"], 1, "no project 'nope'"),
        (["revoke", "nobody"], 1, "no key 'nobody'; `tokenway keys list` shows all"),
        (["rotate", "laptop", "--overlap", "x"], 2, "--overlap x is not a duration"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    data: Path, capsys: pytest.CaptureFixture[str], words: list[str], status: int, sentence: str
) -> None:
    """Wrong words leave with 2, what the store refuses with 1, each with a sentence."""
    made(capsys, "laptop")
    assert run(["keys", *words]) == status
    assert sentence in capsys.readouterr().err


def test_the_configuration_says_where_the_store_is(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`store: sqlite:///…` is where keys go, as it is for the gateway."""
    (home / "tokenway.yaml").write_text(f"store: sqlite:///{home}/elsewhere.db\n")
    made(capsys, "laptop")
    assert (home / "elsewhere.db").exists()
    assert not list((home / "data").rglob("*.db"))


def test_a_broken_configuration_is_not_worked_around(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A key must not land in another store than the gateway's because a setting is misspelled."""
    (home / "tokenway.yaml").write_text("stroe: x\n")
    assert run(["keys", "create", "laptop"]) == 1
    assert "`tokenway check`" in capsys.readouterr().err
    assert not (home / "data").exists()


def test_a_key_has_all_that_was_said_of_it(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Limits, labels, and what it may be used for; what is not said later stays."""
    assert run(["users", "create", "ann", "--json"]) == 0
    ann = read(capsys)
    assert isinstance(ann, dict)
    words = ["--user", "ann", "--label", "team=blue", "--max-cost", "0.5", "--models", "gpt-*,mock", "--rpm", "60"]
    found = made(capsys, "ci", *words, "--addresses", "10.0.0.1", "--endpoints", "openai", "--budget", "5")
    assert found["user"] == ann["id"]
    assert (found["labels"], found["max_cost_usd"]) == ({"team": "blue"}, "0.5")
    assert (found["models"], found["endpoints"], found["addresses"]) == (["gpt-*", "mock"], ["openai"], ["10.0.0.1/32"])
    assert len(found["limits"]) == 2

    other = ["--models", "all", "--user", "none", "--label", "a=b", "--rpm", "5"]
    assert run(["keys", "update", "ci", *other, "--json"]) == 0
    changed = read(capsys)
    assert isinstance(changed, dict)
    assert (changed["models"], changed["user"], changed["version"]) == (None, None, 2)
    assert changed["labels"] == {"team": "blue", "a": "b"}
    assert changed["addresses"] == ["10.0.0.1/32"]
    assert {each["measure"]: each["amount"] for each in changed["limits"]} == {"usd": "5", "requests": "5"}
    run(["keys", "show", "ci"])
    shown = capsys.readouterr().out
    assert "models\tall\n" in shown
    assert "max cost\t$0.5\n" in shown
    assert "labels\ta=b,team=blue\n" in shown


def test_keys_are_listed_by_what_is_asked(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """User, label, state; an archived one is out of the way of all others."""
    run(["users", "create", "ann"])
    assert capsys.readouterr().out
    made(capsys, "a", "--user", "ann")
    made(capsys, "b", "--label", "team=blue")
    made(capsys, "c")
    assert run(["keys", "archive", "c"]) == 0
    assert "is archived" in capsys.readouterr().out
    for words, names in (
        (["--user", "ann"], ["a"]),
        (["--label", "team"], ["b"]),
        (["--label", "team=blue"], ["b"]),
        (["--label", "team=red"], []),
        (["--state", "active"], ["a", "b"]),
        (["--state", "archived"], ["c"]),
    ):
        run(["keys", "list", *words, "--json"])
        rows = read(capsys)
        assert isinstance(rows, list)
        assert sorted(row["name"] for row in rows) == names
