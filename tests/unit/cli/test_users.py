"""`tokenway users`, straight in the store."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.conftest import Run, Terminal
from tokenway.compose.commands import stored
from tokenway.model.secret import Secret
from tokenway.store.accounts import passwords


def data(tokenway: Run, *words: str) -> Any:
    """The JSON of a command that is done."""
    done = tokenway(*words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def lets_in(home: Path, name: str, password: str) -> bool:
    """Whether somebody can sign in so."""
    with stored(home / "data" / "tokenway", None, {"HOME": str(home)}) as store:
        return passwords.check(store.accounts.users.candidate(name).password, Secret(password)).is_right


def test_a_new_users_password_is_printed_once_and_alone(home: Path, tokenway: Run) -> None:
    """It is the only thing on standard output, and it lets him in."""
    done = tokenway("users", "create", "Ann@Example.org", "--role", "admin")
    assert lets_in(home, "ann@example.org", done.stdout.strip())
    assert done.stdout.strip() not in done.stderr
    shown = data(tokenway, "users", "show", "ann@example.org")
    assert (shown["role"], shown["has_password"], shown["kind"]) == ("admin", True, "person")
    assert "argon2" not in json.dumps(shown)


def test_programs_and_people_without_a_password(tokenway: Run) -> None:
    """Nothing is printed for them."""
    assert data(tokenway, "users", "create", "bot", "--service")["password"] is None
    assert data(tokenway, "users", "create", "bob", "--no-password")["has_password"] is False
    assert tokenway("users", "create", "carl", "--no-password").stdout == ""
    assert tokenway("users", "password", "bot", "--generate").returncode == 1


def test_a_password_is_read_from_a_pipe_or_made(home: Path, tokenway: Run) -> None:
    """One line; too short a one is refused, and so is none."""
    tokenway("users", "create", "ann")
    assert tokenway("users", "password", "ann", stdin="correct horse\n").returncode == 0
    assert lets_in(home, "ann", "correct horse")
    made = tokenway("users", "password", "ann", "--generate").stdout.strip()
    assert lets_in(home, "ann", made)
    assert "8 to 256" in tokenway("users", "password", "ann", stdin="short\n").stderr
    assert tokenway("users", "password", "ann", stdin="").returncode == 2
    assert lets_in(home, "ann", made)


def test_a_password_is_asked_for_twice_on_a_terminal(
    home: Path, tokenway: Run, terminal: Callable[..., Terminal]
) -> None:
    """It is not shown; two that differ change nothing."""
    tokenway("users", "create", "ann")
    for second, status in (("correct horse", 0), ("another horse", 2)):
        at = terminal("users", "password", "ann")
        at.sees("New password: ")
        at.types("correct horse\r")
        at.sees("Once more: ")
        at.types(f"{second}\r")
        assert at.ends() == status
        assert "horse" not in at.seen
    assert lets_in(home, "ann", "correct horse")


def test_members_come_and_go(tokenway: Run) -> None:
    """With a role, which can be changed."""
    tokenway("projects", "create", "lab")
    tokenway("users", "create", "ann")
    assert data(tokenway, "users", "add-to", "lab", "ann")["role"] == "member"
    assert tokenway("users", "add-to", "lab", "ann", "--role", "admin").stdout == "ann is admin in the project lab.\n"
    assert [each["role"] for each in data(tokenway, "users", "show", "ann")["memberships"]] == ["admin"]
    assert "projects\tlab (admin)" in tokenway("users", "show", "ann").stdout
    assert [each["name"] for each in data(tokenway, "users", "list", "--project", "lab")] == ["ann"]
    assert "no member of the project lab any more" in tokenway("users", "remove-from", "lab", "ann").stdout
    assert data(tokenway, "users", "list", "--project", "lab") == []


def test_a_user_is_changed_and_archived(tokenway: Run) -> None:
    """Until then he is on the list; afterwards only when asked for."""
    tokenway("users", "create", "root", "--role", "admin")
    tokenway("users", "create", "ann", "--label", "a=b")
    changed = data(tokenway, "users", "update", "ann", "--name", "anna", "--identity", "i s", "--label", "a=")
    assert (changed["name"], changed["identity"], changed["labels"], changed["version"]) == ("anna", "i s", {}, 2)
    assert data(tokenway, "users", "update", "anna", "--identity", "none")["identity"] is None
    assert "anna is at version 4" in tokenway("users", "update", "anna", "--role", "admin").stdout
    assert "anna\tperson\tadmin\tactive" in tokenway("users", "list").stdout
    assert "is archived; their keys" in tokenway("users", "archive", "anna").stdout
    assert [each["name"] for each in data(tokenway, "users", "list")] == ["root"]
    assert len(data(tokenway, "users", "list", "--archived")) == 2


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        (["create", "root"], 1, "a user is called root already"),
        (["create", "a b"], 1, "has no blanks"),
        (["create", "x", "--role", "king"], 2, "--role"),
        (["show", "nobody"], 1, "no user 'nobody'; `tokenway users list` shows all"),
        (["archive", "root"], 1, "is the only admin"),
        (["add-to", "nowhere", "root"], 1, "no project 'nowhere'"),
        (["list", "--project", "nowhere"], 1, "no project 'nowhere'"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(tokenway: Run, words: list[str], status: int, sentence: str) -> None:
    """Wrong words leave with 2, what the store refuses with 1."""
    tokenway("users", "create", "root", "--role", "admin")
    done = tokenway("users", *words)
    assert done.returncode == status
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
