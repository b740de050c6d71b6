"""Pages: no row twice, none left out, whatever comes and goes meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.store.conftest import Clock
from tokenway.store.accounts.accounts import Accounts
from tokenway.store.accounts.paging import cursor_of
from tokenway.store.accounts.records import CLI, KeyFilter
from tokenway.store.base import Invalid
from tokenway.store.sqlite import open_sqlite

NUMBERS = count()
EVENTS = st.lists(st.sampled_from(["page", "insert", "delete", "tick", "step back"]), max_size=40)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Accounts, Clock]]:
    """One store for all examples; each has a project of its own."""
    clock = Clock()
    store = open_sqlite(tmp_path_factory.mktemp("paging") / "t.db", clock=clock)
    yield store.accounts, clock
    store.close()


@given(before=st.integers(0, 12), size=st.integers(1, 5), events=EVENTS)
def test_a_list_that_changes_shows_each_row_that_stays_once(
    shared: tuple[Accounts, Clock], before: int, size: int, events: list[str]
) -> None:
    """Rows are made in one moment or at others, some go, some come, also with a clock that steps back."""
    accounts, clock = shared
    project = accounts.projects.create("paging", project=f"p{next(NUMBERS)}", by=CLI).id
    coming = iter(events)

    def make() -> str:
        return accounts.keys.create("k", project=project, by=CLI).row.id

    there = [make() for _ in range(before)]
    stays = set(there)
    seen: list[str] = []
    cursor: str | None = None
    is_over = False
    while (event := next(coming, None)) is not None or not is_over:
        if event in {"page", None} and not is_over:
            page = accounts.keys.page(KeyFilter(project=project), cursor=cursor, size=size)
            assert len(page.rows) <= size
            seen.extend(row.id for row in page.rows)
            cursor, is_over = page.next, page.next is None
        elif event == "insert":
            there.append(make())
        elif event == "delete" and there:
            stays.discard(there[0])
            accounts.keys.delete(there.pop(0), by=CLI)
        elif event in {"tick", "step back"}:
            clock.now += 1 if event == "tick" else -2
    assert len(seen) == len(set(seen))
    assert stays <= set(seen)


def test_the_cursor_goes_on_where_the_page_ended(accounts: Accounts) -> None:
    """A full last page has no next one."""
    for number in range(3):
        accounts.projects.create(f"p{number}", by=CLI)
    first = accounts.projects.page(size=2)
    assert first.next is not None
    second = accounts.projects.page(cursor=first.next, size=2)
    assert second.next is None
    ids = [row.id for row in (*first.rows, *second.rows)]
    assert sorted(ids) == ["default", "p0", "p1", "p2"]


@pytest.mark.parametrize("cursor", ["", "x", "é", "!!!!", "bnVsbA", "WzEsMl0", cursor_of(1.0, "a\0"), "A" * 10_000])
def test_a_cursor_that_is_none_is_refused(accounts: Accounts, cursor: str) -> None:
    """It comes from outside."""
    with pytest.raises(Invalid) as caught:
        accounts.projects.page(cursor=cursor)
    assert caught.value.field == "cursor"


@pytest.mark.parametrize("size", [0, -1, 501])
def test_a_page_has_1_to_500_rows(accounts: Accounts, size: int) -> None:
    """Neither nothing nor everything."""
    with pytest.raises(Invalid, match="1 to 500") as caught:
        accounts.projects.page(size=size)
    assert caught.value.field == "limit"
