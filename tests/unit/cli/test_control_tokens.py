"""`tokenway control-tokens`, straight in the store."""

from __future__ import annotations

import json
from typing import Any

from tests.unit.cli.conftest import Run


def data(tokenway: Run, *words: str) -> Any:
    """The JSON of a command that is done."""
    done = tokenway(*words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_token_is_printed_once_and_ends(tokenway: Run) -> None:
    """Alone on standard output; the list knows its beginning."""
    tokenway("users", "create", "ann")
    done = tokenway("control-tokens", "create", "ci", "--user", "ann", "--expires", "30d")
    secret = done.stdout.strip()
    assert secret.startswith("twc-")
    assert secret not in done.stderr
    (row,) = data(tokenway, "control-tokens", "list", "--user", "ann")
    assert (row["prefix"], row["state"]) == (secret[:8], "active")
    assert row["expires"].endswith("Z")
    table = tokenway("control-tokens", "list").stdout
    assert f"{secret[:8]}…" in table
    assert secret not in table
    assert "has ended" in tokenway("control-tokens", "revoke", row["id"]).stdout
    assert data(tokenway, "control-tokens", "revoke", row["id"])["state"] == "revoked"


def test_a_token_needs_a_user(tokenway: Run) -> None:
    """Whose name it speaks in; without the option it is bad usage."""
    tokenway("users", "create", "ann")
    assert tokenway("control-tokens", "create", "ci").returncode == 2
    done = tokenway("control-tokens", "create", "ci", "--user", "bob")
    assert (done.returncode, done.stdout) == (1, "")
    assert "no user 'bob'" in done.stderr
    assert tokenway("control-tokens", "list", "--user", "bob").returncode == 1
    assert data(tokenway, "control-tokens", "create", "ci", "--user", "ann")["token"].startswith("twc-")
