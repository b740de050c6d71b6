"""The audit log, read."""

from __future__ import annotations

import pytest

from tests.records import NOON
from tests.unit.store.conftest import Clock
from tokenway.store.accounts.accounts import Accounts
from tokenway.store.accounts.audit import AuditFilter
from tokenway.store.accounts.records import CLI, SYSTEM, Actor
from tokenway.store.base import Invalid


@pytest.fixture
def log(accounts: Accounts, clock: Clock) -> Accounts:
    """Three projects, made a second apart by three actors."""
    for name, actor in (("a", CLI), ("b", SYSTEM), ("c", Actor("usr_1", "10.0.0.1"))):
        clock.now += 1
        accounts.projects.create(name, by=actor)
    return accounts


@pytest.mark.parametrize(
    ("which", "subjects"),
    [
        (AuditFilter(since=NOON + 1), ["c", "b", "a"]),
        (AuditFilter(since=NOON + 1, until=NOON + 3), ["b", "a"]),
        (AuditFilter(project="b"), ["b"]),
        (AuditFilter(actor="usr_1"), ["c"]),
        (AuditFilter(resource="project"), ["c", "b", "a", "default"]),
        (AuditFilter(action="create", resource="project", subject="a"), ["a"]),
        (AuditFilter(action="delete"), []),
    ],
)
def test_the_newest_comes_first(log: Accounts, which: AuditFilter, subjects: list[str]) -> None:
    """Of what fits everything that is said."""
    assert [row.subject for row in log.audit.page(which).rows] == subjects


def test_pages_go_back_to_the_first_change(log: Accounts) -> None:
    """Each row once, while others are added."""
    seen, cursor = [], None
    while True:
        page = log.audit.page(cursor=cursor, size=2)
        seen += [row.id for row in page.rows]
        log.projects.create("more", by=CLI)
        if (cursor := page.next) is None:
            break
    assert seen == sorted(set(seen), reverse=True)
    assert len(seen) == 8  # five of the first start


@pytest.mark.parametrize("cursor", ["", "x", "aud_é", "aud_\0"])
def test_a_cursor_that_is_none_is_refused(log: Accounts, cursor: str) -> None:
    """It comes from outside."""
    with pytest.raises(Invalid):
        log.audit.page(cursor=cursor)
