"""`tokenway audit`, straight from the store."""

from __future__ import annotations

import json

from tests.unit.cli.conftest import Run


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
    assert '\tcli\tcreate\tproject\tlab\tlab\t{"name": "Lab"}' in table


def test_more_than_a_page_is_listed(tokenway: Run) -> None:
    """As many as were asked for."""
    tokenway("projects", "create", "Lab")
    for number in range(3):
        tokenway("projects", "update", "lab", "--name", f"l{number}")
    for limit in (1, 3, 4, 9):
        rows = json.loads(tokenway("audit", "list", "--limit", str(limit), "--json").stdout)
        assert len(rows) == min(limit, 4)


def test_bad_words_are_told(tokenway: Run) -> None:
    """With the option."""
    tokenway("projects", "create", "Lab")
    for words, sentence in ((["--limit", "0"], "--limit 0 is no number"), (["--since", "x"], "--since x is not")):
        done = tokenway("audit", "list", *words)
        assert done.returncode == 2
        assert sentence in done.stderr
