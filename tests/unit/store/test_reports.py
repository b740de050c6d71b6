"""Usage from the roll-ups: groups, periods, filters, pages."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest

from tests.records import NOON, line, settled
from tokenway.store.base import Progress
from tokenway.store.open import Store
from tokenway.store.reports import ReportFilter, period_of

HOUR, DAY = 3600.0, 86400.0
ALL = ReportFilter()
_ids = count(1)


@pytest.fixture
def store(open_store: Callable[..., Store]) -> Store:
    """Two projects with three models over two days."""
    opened = open_store()
    calls = [
        ("a", "m1", NOON, 10),
        ("a", "m1", NOON + HOUR, 20),
        ("a", "m2", NOON + DAY, 40),
        ("b", "m3", NOON + DAY, 80),
    ]
    records = [
        settled(
            next(_ids),
            project=project,
            key=f"key_{project}",
            model=model,
            at=at,
            admitted=at,
            charged=charged,
            lines=(line(cost=charged),),
        )
        for project, model, at, charged in calls
    ]
    opened.ledger.commit(Progress("j", "w", "o", 1), records)
    return opened


def charged(
    store: Store, by: list[str], which: ReportFilter = ALL, interval: str | None = None
) -> dict[tuple[object, ...], int]:
    """What each group was charged."""
    rows = store.reports.usage(by, which, interval=interval)
    return {(*row.group, *(() if row.begins is None else (row.begins,))): row.sums["charged"] for row in rows}


def test_groups(store: Store) -> None:
    """By anything, and by nothing."""
    assert charged(store, ["project"]) == {("a",): 70, ("b",): 80}
    assert charged(store, ["project", "model"]) == {("a", "m1"): 30, ("a", "m2"): 40, ("b", "m3"): 80}
    assert charged(store, []) == {(): 150}
    (row,) = store.reports.usage([], ALL)
    assert (row.sums["calls"], row.sums["attempts"], row.sums["input_uncached"]) == (4, 4, 400)


def test_filters(store: Store) -> None:
    """Everything that is said must fit; no project is not all projects."""
    assert charged(store, ["model"], ReportFilter(projects=("a",))) == {("m1",): 30, ("m2",): 40}
    assert charged(store, ["model"], ReportFilter(key="key_b")) == {("m3",): 80}
    assert charged(store, ["model"], ReportFilter(model="m1", projects=("b",))) == {}
    assert charged(store, [], ReportFilter(projects=())) == {}


def test_intervals_and_periods(store: Store) -> None:
    """Whole buckets: an hour that is begun counts whole, a day where both ends are days."""
    noon_day = NOON // DAY * DAY
    assert charged(store, [], interval="day") == {(noon_day,): 30, (noon_day + DAY,): 120}
    assert charged(store, [], interval="hour") == {(NOON,): 10, (NOON + HOUR,): 20, (NOON + DAY,): 120}
    assert charged(store, [], ReportFilter(since=NOON + 1, until=NOON + HOUR)) == {(): 10}
    assert charged(store, [], ReportFilter(since=NOON + HOUR + 1)) == {(): 140}
    assert charged(store, [], ReportFilter(since=noon_day + DAY)) == {(): 120}
    period = period_of(ReportFilter(since=NOON + 1, until=NOON + 2), None)
    assert (period.grain, period.since, period.until) == (3600, NOON, NOON + HOUR)
    assert period_of(ReportFilter(since=0.0), None).grain == 86400
    assert period_of(ALL, "minute").grain == 60


def test_pages(store: Store) -> None:
    """Each group once, in order."""
    seen: list[tuple[str, ...]] = []
    after: list[str | int] | None = None
    while rows := store.reports.usage(["project", "model"], ALL, interval="day", after=after, count=1):
        seen += [row.group for row in rows]
        begins = rows[0].begins
        assert begins is not None
        after = [int(begins // DAY), *rows[0].group]
    assert seen == [("a", "m1"), ("a", "m2"), ("b", "m3")]
