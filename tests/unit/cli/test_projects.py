"""`tokenway projects`, straight in the store."""

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


def test_a_project_from_its_beginning_to_its_end(tokenway: Run) -> None:
    """Made, changed, shown with its members and limits, archived."""
    words = ("Search team", "--markup", "-2.5%", "--prepaid", "--on-outage", "refuse", "--label", "a=b")
    made = data(tokenway, "projects", "create", *words)
    assert (made["id"], made["markup"], made["prepaid"], made["on_outage"], made["labels"]) == (
        "search-team",
        "-0.025",
        True,
        "refuse",
        {"a": "b"},
    )
    changed = data(tokenway, "projects", "update", "search-team", "--markup", "0.1", "--no-prepaid", "--label", "a=")
    assert (changed["markup"], changed["prepaid"], changed["labels"]) == ("0.1", False, {})
    assert (changed["on_outage"], changed["version"]) == ("refuse", 2)

    tokenway("users", "create", "ann")
    tokenway("users", "add-to", "search-team", "ann", "--role", "viewer")
    tokenway("limits", "set", "project", "search-team", "usd", "5")
    shown = data(tokenway, "projects", "show", "search-team")
    assert [(each["name"], each["role"]) for each in shown["members"]] == [("ann", "viewer")]
    assert [each["amount"] for each in shown["limits"]] == ["5"]
    table = tokenway("projects", "show", "search-team").stdout
    assert "markup\t10 %" in table
    assert "members\tann (viewer)" in table

    assert [each["id"] for each in data(tokenway, "projects", "list")] == ["search-team"]
    assert "search-team\tSearch team\tactive" in tokenway("projects", "list").stdout
    assert data(tokenway, "projects", "archive", "search-team")["state"] == "archived"
    assert data(tokenway, "projects", "list") == []
    assert [each["state"] for each in data(tokenway, "projects", "list", "--archived")] == ["archived"]


def test_what_was_done_is_said(tokenway: Run) -> None:
    """In a sentence, each."""
    assert "keys create NAME --project lab" in tokenway("projects", "create", "Lab").stdout
    assert tokenway("projects", "update", "lab", "--name", "L").stdout == "The project lab is at version 2.\n"
    assert "is archived, and its keys have ended" in tokenway("projects", "archive", "lab").stdout
    assert "make one with" in tokenway("projects", "list").stderr


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        (["create", "x", "--markup", "much"], 2, "--markup much is neither a percentage"),
        (["create", "x", "--markup", "0.0000001"], 2, "write e.g. --markup 12.5% or --markup 0.125."),
        (["create", "x", "--markup", "0.00001%"], 2, "--markup 0.00001% is neither a percentage"),
        (["create", "x", "--markup", "15"], 2, "may mean 15 % or 1500 %; write --markup 15% or --markup 1500%."),
        (["create", "x", "--markup", "1"], 2, "write --markup 1% or --markup 100%."),
        (["create", "x", "--markup", "-2.5"], 2, "write --markup -2.5% or --markup -250%."),
        (["create", "x", "--markup", "-101%"], 1, "from -100 %"),
        (["create", "x", "--id", "lab"], 1, "there is a project lab already"),
        (["create", "x", "--id", "No Slug"], 1, "a project's id has"),
        (["create", "x", "--label", "y"], 2, "--label y is not a label"),
        (["show", "nowhere"], 1, "no project 'nowhere'; there are: lab"),
        (["update", "nowhere", "--name", "x"], 1, "no project 'nowhere'"),
        (["archive", "nowhere"], 1, "no project 'nowhere'"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(tokenway: Run, words: list[str], status: int, sentence: str) -> None:
    """Wrong words leave with 2, what the store refuses with 1."""
    tokenway("projects", "create", "lab")
    done = tokenway("projects", *words)
    assert done.returncode == status
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
