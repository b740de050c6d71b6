"""Accounts as a whole: every change is in the audit log, once."""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter, signature
from typing import Any

import pytest

from tokenway.model.limits import Measure, Scope
from tokenway.model.secret import Secret
from tokenway.store.accounts import passwords
from tokenway.store.accounts.accounts import Accounts
from tokenway.store.accounts.records import (
    CLI,
    FirstStart,
    KeyTerms,
    LimitTerms,
    MemberRole,
    ProjectTerms,
    Role,
    SignUpTerms,
    UserTerms,
)

PASSWORD = Secret("correct horse")
PARTS = ("projects", "users", "memberships", "keys", "limits", "tokens", "sessions")
READS = {"get", "find", "page", "names", "of", "of_identity", "candidate", "role"}
"""Methods that change nothing."""
SILENT = {
    "tokens.use": "it remembers the minute in which a token was used, which is no change of the account",
    "sessions.purge": "it drops what has ended by itself",
}

Call = Callable[[Accounts], Any]
CALLS: dict[str, Call] = {
    "projects.create": lambda it: it.projects.create("Lab", by=CLI),
    "projects.update": lambda it: it.projects.update("default", ProjectTerms(markup=5), by=CLI),
    "projects.archive": lambda it: it.projects.archive("default", by=CLI),
    "projects.delete": lambda it: it.projects.delete("spare", by=CLI),
    "users.create": lambda it: it.users.create("bob", by=CLI, password=PASSWORD),
    "users.update": lambda it: it.users.update("ann", UserTerms(name="anna", role=Role.ADMIN), by=CLI),
    "users.set_password": lambda it: it.users.set_password("ann", PASSWORD, by=CLI),
    "users.keep_rehashed": lambda it: it.users.keep_rehashed(
        it.users.candidate("admin"), passwords.hashed(PASSWORD), by=CLI
    ),
    "users.archive": lambda it: it.users.archive("ann", by=CLI),
    "users.delete": lambda it: it.users.delete("ann", by=CLI),
    "memberships.set": lambda it: it.memberships.set("ann", "default", MemberRole.ADMIN, by=CLI),
    "memberships.remove": lambda it: it.memberships.remove("ann", "spare", by=CLI),
    "keys.create": lambda it: it.keys.create("ci", by=CLI, limits=[LimitTerms(Measure.USD, 5)]),
    "keys.update": lambda it: it.keys.update("default", KeyTerms(max_cost=5), by=CLI),
    "keys.rotate": lambda it: it.keys.rotate("default", by=CLI, overlap=5),
    "keys.revoke": lambda it: it.keys.revoke("default", by=CLI),
    "keys.archive": lambda it: it.keys.archive("default", by=CLI),
    "keys.delete": lambda it: it.keys.delete("default", by=CLI),
    "limits.set": lambda it: it.limits.set(Scope.MODEL, "m", LimitTerms(Measure.USD, 5), by=CLI),
    "limits.delete": lambda it: it.limits.delete(it.limits.page().rows[0].limit.id, by=CLI),
    "tokens.create": lambda it: it.tokens.create("ann", "t", by=CLI),
    "tokens.revoke": lambda it: it.tokens.revoke(it.tokens.page().rows[0].id, by=CLI),
    "sessions.create": lambda it: it.sessions.create("ann", 60, by=CLI),
    "sessions.end": lambda it: it.sessions.end(it.sessions.create("ann", 60, by=CLI)[0], by=CLI),
    "sessions.end_all": lambda it: it.sessions.end_all("admin", by=CLI),
}
SEVERAL = {"sessions.end": 2}
"""Calls that need another change first, and are two."""


def writers(accounts: Accounts) -> set[str]:
    """Every public method of every part that is not known to change nothing."""
    return {
        f"{part}.{name}"
        for part in PARTS
        for name in vars(type(getattr(accounts, part)))
        if not name.startswith("_") and name not in READS
    }


def test_every_method_that_changes_something_is_tried_here(accounts: Accounts) -> None:
    """A new one must come into the list, and say who does it."""
    assert writers(accounts) == CALLS.keys() | SILENT.keys()
    for path in CALLS:
        part, name = path.split(".")
        by = signature(getattr(getattr(accounts, part), name)).parameters["by"]
        assert (by.kind, by.default) == (Parameter.KEYWORD_ONLY, Parameter.empty)


@pytest.mark.parametrize("path", sorted(CALLS))
def test_every_change_has_one_row_in_the_log(accounts: Accounts, first: FirstStart, path: str) -> None:
    """With who made it; no secret nor the digest of one is in it."""
    accounts.projects.create("spare", by=CLI)
    accounts.users.create("ann", by=CLI)
    accounts.memberships.set("ann", "spare", MemberRole.VIEWER, by=CLI)
    accounts.limits.set(Scope.PROJECT, "default", LimitTerms(Measure.USD, 5), by=CLI)
    session, row = accounts.sessions.create("admin", 60, by=CLI)
    before = {each.id for each in accounts.audit.page().rows}
    made = CALLS[path](accounts)
    rows = [each for each in accounts.audit.page().rows if each.id not in before]
    assert [each.actor for each in rows] == ["cli"] * SEVERAL.get(path, 1)
    text = repr(rows)
    for secret in secrets_in(made) | {session.reveal(), row.digest, first.key.row.digest, PASSWORD.reveal(), "argon2"}:
        assert secret not in text


def secrets_in(made: object) -> set[str]:
    """The secret of what was just made, and its digest."""
    secret = getattr(made, "secret", None)
    return {secret.reveal(), made.row.digest} if isinstance(secret, Secret) and hasattr(made.row, "digest") else set()  # type: ignore[attr-defined]


def test_signing_up_has_a_row_for_each_thing_it_makes(accounts: Accounts) -> None:
    """User, project, membership, credits and key, in one change."""
    number = accounts.changes.revision()
    accounts.sign_up("bob", PASSWORD, SignUpTerms(grant=5), address="10.0.0.1")
    assert accounts.changes.revision() == number + 1
    resources = [row.resource for row in accounts.audit.page(size=5).rows]
    assert resources == ["key", "credits", "membership", "project", "user"]
