"""`tokenway limits`, straight in the store."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.cli.conftest import Run


def data(tokenway: Run, *words: str) -> Any:
    """The JSON of a command that is done."""
    done = tokenway(*words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_limit_is_set_changed_listed_and_taken_away(tokenway: Run) -> None:
    """Keys and users are meant by name; setting it again changes its amount."""
    key = data(tokenway, "keys", "create", "laptop")["id"]
    made = data(tokenway, "limits", "set", "key", "laptop", "usd", "5.10", "--term", "month")
    assert (made["subject"], made["amount"], made["term"], made["rolling"]) == (key, "5.1", "month", False)
    said = tokenway("limits", "set", "key", "laptop", "usd", "7", "--term", "month").stdout
    assert said == f"{made['id']}: the key laptop has at most $7 a month.\n"
    data(tokenway, "limits", "set", "model", "gpt-4o", "tokens", "600", "--term", "day", "--rolling")
    data(tokenway, "limits", "set", "project", "default", "loops", "3", "--per-run")
    assert [each["scope"] for each in data(tokenway, "limits", "list")] == ["key", "model", "project"]
    assert [each["scope"] for each in data(tokenway, "limits", "list", "--project", "default")] == ["key", "project"]
    listed = data(tokenway, "limits", "list", "--scope", "key", "--subject", "laptop")
    assert [(each["id"], each["version"]) for each in listed] == [(made["id"], 2)]
    assert "model\tgpt-4o\t600 tokens in any day" in tokenway("limits", "list").stdout
    assert "not bounded by $7 a month any more" in tokenway("limits", "delete", made["id"]).stdout
    assert data(tokenway, "limits", "list", "--scope", "key") == []


def test_a_users_limit_is_set_by_his_name(tokenway: Run) -> None:
    """The id is what is stored."""
    user = data(tokenway, "users", "create", "ann")["id"]
    assert data(tokenway, "limits", "set", "user", "ann", "usd", "1", "--per-run")["subject"] == user


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        (["set", "key", "nobody", "usd", "1"], 1, "no key 'nobody'"),
        (["set", "project", "nowhere", "usd", "1"], 1, "no project 'nowhere'"),
        (["set", "project", "default", "usd", "much"], 2, "much is not an amount of dollars"),
        (["set", "project", "default", "requests", "0.5"], 2, "0.5 is not a number of requests"),
        (["set", "project", "default", "depth", "3"], 1, "must be per run"),
        (["set", "project", "default", "usd", "1", "--term", "minute"], 1, "money is bounded by"),
        (["set", "planet", "earth", "usd", "1"], 2, "SCOPE"),
        (["delete", "lim_x"], 1, "no limit 'lim_x'"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(tokenway: Run, words: list[str], status: int, sentence: str) -> None:
    """Wrong words leave with 2, what the store refuses with 1."""
    tokenway("keys", "create", "laptop")
    done = tokenway("limits", *words)
    assert done.returncode == status
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
