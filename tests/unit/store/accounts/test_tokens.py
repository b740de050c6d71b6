"""Tokens of the control API, and sessions of browsers."""

from __future__ import annotations

import pytest

from tests.records import NOON
from tests.unit.store.conftest import Clock
from tokenway.model.secret import Secret
from tokenway.store.accounts.accounts import Accounts
from tokenway.store.accounts.records import CLI, FirstStart
from tokenway.store.accounts.secret_texts import digest_of
from tokenway.store.base import Invalid, NotFound


def test_a_token_speaks_for_its_user_until_it_ends(accounts: Accounts, first: FirstStart, clock: Clock) -> None:
    """By itself at its time, or when it is revoked; what is none is nobody's."""
    made = accounts.tokens.create("admin", "ci", by=CLI, expires=NOON + 10)
    assert made.secret.reveal().startswith("twc-")
    found = accounts.tokens.use(made.secret)
    assert found is not None
    assert (found[0].id, found[1]) == (made.row.id, first.user)
    assert accounts.tokens.use(Secret("twc-wrong")) is None
    clock.now += 10
    assert accounts.tokens.use(made.secret) is None
    other = accounts.tokens.create("admin", "ci", by=CLI)
    assert accounts.tokens.revoke(other.row.id, by=CLI).revoked == clock.now
    assert accounts.tokens.use(other.secret) is None
    clock.now += 1
    assert accounts.tokens.revoke(other.row.id, by=CLI).revoked == clock.now - 1
    with pytest.raises(NotFound):
        accounts.tokens.revoke("tok_x", by=CLI)


def test_its_use_is_written_down_once_a_minute(accounts: Accounts, clock: Clock) -> None:
    """Also after the clock has stepped back; that is no change of an account."""
    made = accounts.tokens.create("admin", "ci", by=CLI)
    number = accounts.changes.revision()
    seen = []
    for step in (0, 59, 1, -3600):
        clock.now += step
        accounts.tokens.use(made.secret)
        seen.append(accounts.tokens.get(made.row.id).last_used)
    assert seen == [NOON, NOON, NOON + 60, NOON - 3540]
    assert accounts.changes.revision() == number


def test_tokens_are_listed_by_user(accounts: Accounts, first: FirstStart) -> None:
    """The first start's too."""
    bob = accounts.users.create("bob", by=CLI)
    made = accounts.tokens.create("bob", "ci", by=CLI).row
    assert accounts.tokens.page(user_id=bob.id).rows == [made]
    assert {row.id for row in accounts.tokens.page().rows} == {made.id, first.token.row.id}
    with pytest.raises(NotFound):
        accounts.tokens.create("nobody", "ci", by=CLI)
    with pytest.raises(Invalid):
        accounts.tokens.create("bob", "", by=CLI)


def test_a_session_lasts_until_it_ends(accounts: Accounts, first: FirstStart, clock: Clock) -> None:
    """By itself, or when its user signs out, here or everywhere."""
    secret, row = accounts.sessions.create("admin", 60, by=CLI)
    assert row.digest == digest_of(secret)
    assert accounts.sessions.find(secret) == (row, first.user)
    assert accounts.sessions.find(Secret("tws-wrong")) is None
    assert accounts.sessions.end(secret, by=CLI)
    assert not accounts.sessions.end(secret, by=CLI)
    assert accounts.sessions.find(secret) is None

    several = [accounts.sessions.create("admin", 60, by=CLI)[0] for _ in range(2)]
    assert accounts.sessions.end_all("admin", by=CLI) == 2
    assert accounts.sessions.end_all("admin", by=CLI) == 0
    assert [accounts.sessions.find(each) for each in several] == [None, None]

    late, _ = accounts.sessions.create("admin", 60, by=CLI)
    clock.now += 60
    assert accounts.sessions.find(late) is None
    assert (accounts.sessions.purge(), accounts.sessions.purge()) == (1, 0)


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), 1e9])
def test_a_session_has_an_end(accounts: Accounts, seconds: float) -> None:
    """In a moment that will come within a year."""
    with pytest.raises(Invalid):
        accounts.sessions.create("admin", seconds, by=CLI)
