"""Memberships: one for each user and project."""

from __future__ import annotations

import pytest

from tests.unit.store.conftest import Clock
from tokenway.store.accounts.accounts import Accounts
from tokenway.store.accounts.records import CLI, FirstStart, MemberRole
from tokenway.store.base import Conflict, NotFound


def test_a_member_has_one_role(accounts: Accounts) -> None:
    """Setting it again changes it, and saying the same changes nothing."""
    ann = accounts.users.create("ann", by=CLI)
    made = accounts.memberships.set("ann", "default", MemberRole.VIEWER, by=CLI)
    assert accounts.memberships.role(ann.id, "default") is MemberRole.VIEWER
    changed = accounts.memberships.set(ann.id, "default", MemberRole.ADMIN, by=CLI)
    assert (changed.role, changed.created) == (MemberRole.ADMIN, made.created)
    number = accounts.changes.revision()
    accounts.memberships.set(ann.id, "default", MemberRole.ADMIN, by=CLI)
    assert accounts.changes.revision() == number
    assert accounts.memberships.role(ann.id, "default") is MemberRole.ADMIN


def test_who_is_removed_is_no_member(accounts: Accounts) -> None:
    """Once; the second time there is nobody to remove."""
    ann = accounts.users.create("ann", by=CLI)
    made = accounts.memberships.set("ann", "default", MemberRole.VIEWER, by=CLI)
    assert accounts.memberships.remove("ann", "default", by=CLI) == made
    assert accounts.memberships.role(ann.id, "default") is None
    with pytest.raises(NotFound, match="ann is no member of the project default"):
        accounts.memberships.remove("ann", "default", by=CLI)


def test_both_ends_must_be_there_and_in_force(accounts: Accounts) -> None:
    """A user and a project that are not archived."""
    accounts.users.create("ann", by=CLI)
    with pytest.raises(NotFound, match="no project"):
        accounts.memberships.set("ann", "nowhere", MemberRole.VIEWER, by=CLI)
    with pytest.raises(NotFound, match="no user"):
        accounts.memberships.set("nobody", "default", MemberRole.VIEWER, by=CLI)
    accounts.projects.create("Lab", by=CLI)
    accounts.projects.archive("lab", by=CLI)
    with pytest.raises(Conflict, match="archived"):
        accounts.memberships.set("ann", "lab", MemberRole.VIEWER, by=CLI)


def test_they_are_listed_by_project_and_by_user(accounts: Accounts, first: FirstStart, clock: Clock) -> None:
    """By pages, also where all were made in one moment."""
    accounts.projects.create("Lab", by=CLI)
    users = [accounts.users.create(f"u{number}", by=CLI).id for number in range(3)]
    for user in users:
        accounts.memberships.set(user, "lab", MemberRole.MEMBER, by=CLI)
    accounts.memberships.set(users[0], "default", MemberRole.ADMIN, by=CLI)
    seen, cursor = [], None
    while True:
        page = accounts.memberships.page(project="lab", cursor=cursor, size=1)
        seen += [row.user_id for row in page.rows]
        if (cursor := page.next) is None:
            break
    assert seen == sorted(users)
    assert {row.project for row in accounts.memberships.page(user_id=users[0]).rows} == {"lab", "default"}
    assert [row.project for row in accounts.memberships.page(user_id=first.user.id).rows] == ["default"]
    assert accounts.memberships.page(project="lab").rows[0].created == clock.now
