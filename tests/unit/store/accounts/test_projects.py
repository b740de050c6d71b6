"""Projects: made, changed, ended; removed only when nothing was counted for them."""

from __future__ import annotations

import pytest

from tests.records import reserved, settled
from tests.unit.store.conftest import Clock
from tokenway.metering.ledger import Reserved, Settled
from tokenway.model.limits import Measure, OnOutage, Scope
from tokenway.store.accounts.accounts import Accounts
from tokenway.store.accounts.records import CLI, FirstStart, KeyState, LimitTerms, MemberRole, ProjectRow, ProjectTerms
from tokenway.store.base import Conflict, InUse, Invalid, NotFound, Progress
from tokenway.store.money import grant_in
from tokenway.store.open import Store


def test_a_project_is_found_as_it_was_made(accounts: Accounts, clock: Clock) -> None:
    """What is not said has its default."""
    clock.now += 1
    terms = ProjectTerms(markup=-25_000, prepaid=True, on_outage=OnOutage.REFUSE, labels={"team": "a"})
    made = accounts.projects.create("Search team", by=CLI, terms=terms)
    assert made == ProjectRow(
        "search-team", "Search team", clock.now, -25_000, True, OnOutage.REFUSE, {"team": "a"}, None, 1
    )
    assert accounts.projects.get("search-team") == made
    assert accounts.projects.get("default") == ProjectRow("default", "default", clock.now - 1)


def test_an_id_is_made_of_the_name_and_never_taken_twice(accounts: Accounts) -> None:
    """A number is put behind it; an id that somebody chose himself is taken as it is, or refused."""
    ids = [accounts.projects.create("Search", by=CLI).id for _ in range(3)]
    assert ids == ["search", "search-2", "search-3"]
    assert accounts.projects.create("Search", project="other", by=CLI).id == "other"
    with pytest.raises(Conflict, match="there is a project other already"):
        accounts.projects.create("X", project="other", by=CLI)
    with pytest.raises(Invalid):
        accounts.projects.create("X", project="No Slug", by=CLI)


def test_an_unknown_project_is_told_with_those_there_are(accounts: Accounts) -> None:
    """Ten of them at most."""
    with pytest.raises(NotFound, match=r"no project 'lba'; there are: default$"):
        accounts.projects.get("lba")
    for number in range(12):
        accounts.projects.create(f"a{number:02d}", by=CLI)
    with pytest.raises(NotFound, match=r"a09, …$"):
        accounts.projects.get("lba")


def test_a_change_says_what_was_and_what_is(accounts: Accounts) -> None:
    """Only what differs; the version rises."""
    accounts.projects.update("default", ProjectTerms(markup=5, name="default"), by=CLI)
    found = accounts.projects.get("default")
    assert (found.markup, found.version) == (5, 2)
    (row,) = accounts.audit.page(size=1).rows
    assert (row.action, row.detail) == ("update", {"markup": {"from": 0, "to": 5}})


def test_an_archived_project_ends_its_keys_and_is_not_changed_any_more(accounts: Accounts, clock: Clock) -> None:
    """It stays, and can be looked at; it takes nothing new."""
    accounts.projects.create("Lab", by=CLI)
    mine = accounts.keys.create("k", project="lab", by=CLI).row
    other = accounts.keys.create("k2", by=CLI).row
    clock.now += 5
    archived = accounts.projects.archive("lab", by=CLI)
    assert (archived.archived, archived.version) == (clock.now, 2)
    assert accounts.projects.archive("lab", by=CLI) == archived
    assert accounts.keys.find(mine.id).state(clock.now) is KeyState.REVOKED
    assert accounts.keys.find(mine.id).version == 2
    assert accounts.keys.find(other.id) == other
    with pytest.raises(Conflict, match="is archived"):
        accounts.projects.update("lab", ProjectTerms(name="x"), by=CLI)
    with pytest.raises(Conflict, match="is archived"):
        accounts.keys.create("k3", project="lab", by=CLI)
    assert [row.id for row in accounts.projects.page(archived=False).rows] == ["default"]
    assert [row.id for row in accounts.projects.page(archived=True).rows] == ["lab"]


def test_an_unused_project_goes_with_what_belongs_to_it(accounts: Accounts, first: FirstStart) -> None:
    """Its members and limits; not before its keys."""
    accounts.projects.create("Lab", by=CLI)
    accounts.memberships.set(first.user.id, "lab", MemberRole.VIEWER, by=CLI)
    accounts.limits.set(Scope.PROJECT, "lab", LimitTerms(Measure.USD, 5), by=CLI)
    key = accounts.keys.create("k", project="lab", by=CLI).row
    with pytest.raises(InUse, match="has 1 keys"):
        accounts.projects.delete("lab", by=CLI)
    accounts.keys.delete(key.id, by=CLI)
    accounts.projects.delete("lab", by=CLI)
    with pytest.raises(NotFound):
        accounts.projects.get("lab")
    assert accounts.limits.page().rows == []
    assert [row.project for row in accounts.memberships.page().rows] == ["default"]


def test_what_the_ledger_speaks_of_stays(accounts: Accounts, store: Store) -> None:
    """A reservation is enough, and so is an exchange."""
    records: list[Reserved | Settled] = [reserved(1, project="open"), settled(2, project="done")]
    for number, record in enumerate(records):
        accounts.projects.create(record.project, by=CLI)
        store.ledger.commit(Progress(f"j{number}", "edge-1", "life", 10), [record])
        with pytest.raises(InUse, match="archive it instead"):
            accounts.projects.delete(record.project, by=CLI)
        accounts.projects.archive(record.project, by=CLI)


def test_a_project_whose_money_moved_stays(accounts: Accounts) -> None:
    """Also when nothing was spent."""
    accounts.projects.create("Lab", by=CLI)
    with accounts.changes.begin(CLI) as change:
        grant_in(change, "lab", 5, "for a start", "")
    with pytest.raises(InUse):
        accounts.projects.delete("lab", by=CLI)


def test_projects_are_listed_by_member(accounts: Accounts, first: FirstStart) -> None:
    """Those that a user may look at."""
    accounts.projects.create("Lab", by=CLI)
    assert [row.id for row in accounts.projects.page(user_id=first.user.id).rows] == ["default"]
