"""Changes: counted, in the audit log, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.unit.store.conftest import Clock
from tokenway.store.accounts.accounts import Accounts
from tokenway.store.accounts.changes import Changes, first_id
from tokenway.store.accounts.records import CLI, Actor, KeyTerms, ProjectTerms
from tokenway.store.base import Conflict
from tokenway.store.open import Store


def test_a_change_is_counted_and_says_who_made_it(accounts: Accounts, clock: Clock) -> None:
    """By whom, from where, when, what."""
    clock.now += 5
    number = accounts.changes.revision()
    accounts.projects.create("Lab", by=Actor("usr_1", "10.0.0.1"), terms=ProjectTerms(markup=100))
    assert accounts.changes.revision() == number + 1
    row = accounts.audit.page(size=1).rows[0]
    assert (row.actor, row.address, row.at) == ("usr_1", "10.0.0.1", clock.now)
    assert (row.action, row.resource, row.subject, row.project) == ("create", "project", "lab", "lab")
    assert row.detail == {"name": "Lab", "markup": 100}
    assert row.id == first_id(number + 1) + "00"


def test_a_change_that_fails_leaves_nothing(accounts: Accounts) -> None:
    """Neither its row nor its number nor what it said of itself."""
    before = (accounts.changes.revision(), accounts.audit.page().rows)

    def fail() -> None:
        with accounts.changes.begin(CLI) as change:
            change.record("create", "project", "x")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert (accounts.changes.revision(), accounts.audit.page().rows) == before


def test_a_change_that_changes_nothing_is_not_counted(accounts: Accounts) -> None:
    """Otherwise every worker would be told the same again."""
    before = accounts.changes.revision()
    accounts.projects.update("default", ProjectTerms(name="default"), by=CLI)
    with accounts.changes.begin(CLI):
        pass
    assert accounts.changes.revision() == before
    assert accounts.projects.get("default").version == 1


def test_who_has_seen_another_version_is_told(accounts: Accounts) -> None:
    """The second of two who edit the same state; and nothing of what he said is done."""
    seen = accounts.projects.get("default").version
    accounts.projects.update("default", ProjectTerms(markup=1), by=CLI, version=seen)
    with pytest.raises(Conflict, match="at version 2 and not 1"):
        accounts.projects.update("default", ProjectTerms(markup=2), by=CLI, version=seen)
    found = accounts.projects.get("default")
    assert (found.markup, found.version) == (1, 2)


def test_of_many_who_change_one_version_one_does(
    open_store: Callable[..., Store], accounts: Accounts, clock: Clock
) -> None:
    """Each by a connection of his own, at the same time; the numbers of the changes are all different."""
    accounts.keys.create("ci", by=CLI)
    stores = [open_store(clock=clock) for _ in range(4)]

    def rename(store: Store) -> bool:
        try:
            store.accounts.keys.update("ci", KeyTerms(max_cost=7), by=CLI, version=1)
        except Conflict:
            return False
        store.accounts.projects.create("p", by=CLI)
        return True

    before = accounts.changes.revision()
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(rename, stores))
    assert sorted(done) == [False, False, False, True]
    assert accounts.keys.find("ci").version == 2
    assert accounts.changes.revision() == before + 2


def test_an_id_is_made_of_the_given_randomness(store: Store, clock: Clock) -> None:
    """64 bits of it."""
    changes = Changes(store.database, clock, lambda count: bytes(range(count)))
    with changes.begin(CLI) as change:
        assert change.new_id("key") == "key_0001020304050607"
