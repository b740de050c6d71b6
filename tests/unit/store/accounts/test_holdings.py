"""Holdings: after any changes the same as if they were read anew."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.store.conftest import Clock
from tokenway.model.limits import Measure, Scope, Term
from tokenway.store.accounts.accounts import Accounts
from tokenway.store.accounts.holdings import Holdings
from tokenway.store.accounts.records import (
    CLI,
    FirstStart,
    KeyTerms,
    LimitTerms,
    MemberRole,
    ProjectTerms,
    UserTerms,
)
from tokenway.store.base import StoreError
from tokenway.store.money import grant_in
from tokenway.store.open import Store
from tokenway.store.sqlite import open_sqlite

DAILY = LimitTerms(Measure.USD, 7, Term.DAY)


def whole(accounts: Accounts) -> dict[str, object]:
    """What there is, read anew."""
    held = Holdings()
    accounts.holdings.refresh(held)
    return parts(held)


def parts(held: Holdings) -> dict[str, object]:
    """What can be compared."""
    return {"projects": held.projects, "keys": held.keys, "limits": held.limits, "credits": held.credits}


def test_the_first_reading_is_whole(accounts: Accounts, first: FirstStart) -> None:
    """Keys that have ended are left out."""
    accounts.keys.revoke(accounts.keys.create("ended", by=CLI).row.id, by=CLI)
    limit = accounts.limits.set(Scope.PROJECT, "default", DAILY, by=CLI)
    held = Holdings()
    accounts.holdings.refresh(held)
    assert held.keys == {first.key.row.id: first.key.row}
    assert set(held.projects) == {"default"}
    assert held.limits == {limit.limit.id: limit.limit}
    assert (held.credits, held.number, held.revision) == ({}, 1, accounts.changes.revision())


def test_another_process_hears_of_each_change(
    open_store: Callable[..., Store], accounts: Accounts, first: FirstStart, clock: Clock
) -> None:
    """And only then is something new."""
    other = open_store(clock=clock).accounts
    held = Holdings()
    other.holdings.refresh(held)
    other.holdings.refresh(held)
    assert held.number == 1
    accounts.keys.revoke(first.key.row.id, by=CLI)
    other.holdings.refresh(held)
    assert (held.keys, held.number) == ({}, 2)


def test_what_is_not_in_a_snapshot_makes_nothing_new(accounts: Accounts) -> None:
    """Who signs in does not have all workers told again."""
    held = Holdings()
    accounts.holdings.refresh(held)
    accounts.sessions.create("admin", 60, by=CLI)
    accounts.tokens.create("admin", "t", by=CLI)
    accounts.memberships.set("admin", "default", MemberRole.VIEWER, by=CLI)
    accounts.holdings.refresh(held)
    assert held.number == 1
    assert held.revision == accounts.changes.revision()


def test_a_reading_that_failed_is_made_up_for(accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one takes in what it missed."""
    held = Holdings()
    accounts.holdings.refresh(held)
    made = accounts.keys.create("ci", by=CLI).row
    with monkeypatch.context() as patch:
        patch.setattr(type(accounts.holdings), "_read_credits", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            accounts.holdings.refresh(held)
    accounts.holdings.refresh(held)
    assert made.id in held.keys
    assert held.number == 2


def test_credits_are_what_was_paid_in_and_not_taken_out(accounts: Accounts) -> None:
    """Of every project, prepaid or not: the configuration may say that one is."""
    accounts.projects.create("Lab", by=CLI)
    with accounts.changes.begin(CLI) as change:
        grant_in(change, "lab", 5, "", "")
        grant_in(change, "lab", 6, "", "")
        grant_in(change, "default", 7, "", "")
    held = Holdings()
    accounts.holdings.refresh(held)
    assert held.credits == {"lab": 11, "default": 7}
    accounts.projects.update("lab", ProjectTerms(prepaid=True), by=CLI)
    accounts.holdings.refresh(held)
    assert held.credits == {"lab": 11, "default": 7}
    with accounts.changes.begin(CLI) as change:
        grant_in(change, "lab", 2, "", "")
    accounts.holdings.refresh(held)
    assert held.credits == {"lab": 13, "default": 7}


STEPS = st.lists(st.tuples(st.integers(0, 16), st.integers(0, 5), st.booleans()), max_size=25)
"""What is done, to which of those there are, and whether it is looked at afterwards."""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a store after its first start, with another user and project."""
    path = tmp_path_factory.mktemp("holdings") / "template.db"
    store = open_sqlite(path)
    store.accounts.bootstrap()
    store.accounts.users.create("ann", by=CLI)
    store.accounts.projects.create("lab", by=CLI)
    store.close()
    return path


@given(steps=STEPS)
def test_many_small_readings_are_one_large_one(template: Path, steps: list[tuple[int, int, bool]]) -> None:
    """Whatever is changed in whatever order, and whenever it is looked at."""
    with TemporaryDirectory() as directory:
        store = open_sqlite(Path(shutil.copy(template, directory)))
        try:
            read_step_by_step(store.accounts, steps)
        finally:
            store.close()


def read_step_by_step(accounts: Accounts, steps: list[tuple[int, int, bool]]) -> None:
    """Plays the steps, and compares what is held with what there is."""
    held = Holdings()
    accounts.holdings.refresh(held)
    for number, (step, which, looks) in enumerate(steps):
        # What is there already, has ended or is in use is refused, and changes nothing.
        with contextlib.suppress(StoreError):
            play(accounts, step, which, f"{accounts.changes.revision()}-{number}")
        if looks:
            accounts.holdings.refresh(held)
            assert parts(held) == whole(accounts)
    accounts.holdings.refresh(held)
    assert parts(held) == whole(accounts)


def credit(accounts: Accounts, project: str, amount: int) -> None:
    """Grants a project something."""
    with accounts.changes.begin(CLI) as change:
        grant_in(change, project, amount, "", "")


def play(accounts: Accounts, step: int, which: int, fresh: str) -> None:
    """One change of the newest rows; `fresh` is a name that nobody has."""
    projects = [row.id for row in accounts.projects.page(size=500).rows][-6:]
    users = [row.id for row in accounts.users.page(size=500).rows][-6:]
    keys = [row.id for row in accounts.keys.page(size=500).rows][-6:]
    limits = [row.limit.id for row in accounts.limits.page(size=500).rows][-6:]
    project, user, key, limit = (
        rows[which % len(rows)] if rows else "none" for rows in (projects, users, keys, limits)
    )
    actions: list[Callable[[], object]] = [
        lambda: accounts.projects.create(fresh, by=CLI, terms=ProjectTerms(prepaid=bool(which % 2))),
        lambda: accounts.projects.update(project, ProjectTerms(markup=which, prepaid=bool(which % 2)), by=CLI),
        lambda: accounts.projects.archive(project, by=CLI),
        lambda: accounts.projects.delete(project, by=CLI),
        lambda: accounts.users.create(fresh, by=CLI),
        lambda: accounts.users.update(user, UserTerms(labels={"a": fresh}), by=CLI),
        lambda: accounts.users.archive(user, by=CLI),
        lambda: accounts.users.delete(user, by=CLI),
        lambda: accounts.keys.create(fresh, project=project, by=CLI, terms=KeyTerms(user_id=user), limits=[DAILY]),
        lambda: accounts.keys.rotate(key, by=CLI, overlap=float(which)),
        lambda: accounts.keys.revoke(key, by=CLI),
        lambda: accounts.keys.archive(key, by=CLI),
        lambda: accounts.keys.delete(key, by=CLI),
        lambda: accounts.limits.set(Scope.PROJECT, project, LimitTerms(Measure.TOKENS, which), by=CLI),
        lambda: accounts.limits.set(Scope.USER, user, LimitTerms(Measure.TOKENS, which), by=CLI),
        lambda: accounts.limits.delete(limit, by=CLI),
        lambda: credit(accounts, project, which),
    ]
    actions[step]()
