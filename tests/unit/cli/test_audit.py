"""`tokenway audit`, straight from the store."""

from __future__ import annotations

import json
from typing import Any

from tests.unit.cli.conftest import Run
from tokenway.cli.audit import told


def test_what_was_changed_is_listed_newest_first(tokenway: Run) -> None:
    """With who did it; by project, resource and number."""
    tokenway("projects", "create", "Lab")
    tokenway("keys", "create", "laptop")
    tokenway("keys", "create", "ci", "--project", "lab")
    rows = json.loads(tokenway("audit", "list", "--json").stdout)
    assert [(row["actor"], row["resource"], row["project"]) for row in rows] == [
        ("cli", "key", "lab"),
        ("cli", "key", "default"),
        ("cli", "project", "default"),
        ("cli", "project", "lab"),
    ]
    assert rows[0]["detail"]["name"] == "ci"
    some = json.loads(tokenway("audit", "list", "--project", "lab", "--resource", "key", "--json").stdout)
    assert [row["id"] for row in some] == [rows[0]["id"]]
    assert len(json.loads(tokenway("audit", "list", "--limit", "2", "--json").stdout)) == 2
    assert json.loads(tokenway("audit", "list", "--actor", "system", "--since", "1h", "--json").stdout) == []
    table = tokenway("audit", "list").stdout
    assert "\tcli\tcreate\tproject\tlab\tlab\tname: Lab" in table


def test_changes_are_told_in_words() -> None:
    """Money in dollars, limits and markups as people write them, and what it was before."""
    limit = {"id": "lim_1", "scope": "key", "subject": "key_1", "measure": "usd", "amount": 5_000_000_000}
    bound = limit | {"term": "month", "rolling": False, "per_run": False}
    changed = {"scope": "user", "subject": "usr_1", "measure": "usd", "amount": {"from": 10**9, "to": 2 * 10**9}}
    for detail, words in (
        ({"name": "Lab", "labels": {}}, "name: Lab"),
        ({"markup": {"from": 0, "to": 125_000}, "prepaid": True}, "markup: 0 % → 12.5 %; prepaid: yes"),
        ({"max_cost": 500_000_000, "models": ["gpt-*", "local"]}, "max cost: $0.5; models: gpt-*, local"),
        ({"expires": 1_800_000_000.4, "limits": [bound]}, "expires: 2027-01-15T08:00:00Z; limits: $5 a month"),
        ({"expires": None, "overlap": 60.0, "labels": {"a": "b"}}, "expires: –; overlap: 60 s; labels: a=b"),
        (bound, "$5 a month for key key_1"),
        (changed, "usd for user usr_1: $1 → $2"),
        (changed | {"measure": "requests", "amount": {"from": 1, "to": 2}}, "requests for user usr_1: 1 → 2"),
        ({}, ""),
    ):
        assert told(detail) == words


def test_more_than_a_page_is_listed(tokenway: Run) -> None:
    """As many as were asked for."""
    tokenway("projects", "create", "Lab", "--markup", "12.5%")
    for number in range(3):
        tokenway("projects", "update", "lab", "--name", f"l{number}")
    rows: list[Any] = []
    for limit in (1, 3, 4, 9):
        rows = json.loads(tokenway("audit", "list", "--limit", str(limit), "--json").stdout)
        assert len(rows) == min(limit, 4)
    assert rows[-1]["detail"]["markup"] == "0.125"


def test_bad_words_are_told(tokenway: Run) -> None:
    """With the option."""
    tokenway("projects", "create", "Lab")
    for words, sentence in ((["--limit", "0"], "--limit 0 is no number"), (["--since", "x"], "--since x is not")):
        done = tokenway("audit", "list", *words)
        assert done.returncode == 2
        assert sentence in done.stderr
