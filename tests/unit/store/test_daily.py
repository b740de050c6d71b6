"""What was used day by day, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pytest

from tests.records import NOON, line, settled
from tokenway.metering.ledger import Record, Trace
from tokenway.model.probe import PROBE, asked_as
from tokenway.model.usage import BUCKETS, Usage
from tokenway.store.base import Progress
from tokenway.store.daily import DayOfModel, DayOfPeople, HourOfTokens, tokens_of
from tokenway.store.open import Store

DAY = 86_400
USAGE = Usage(input_uncached=100, cache_read=20, cache_write_1h=3, output_text=51, reasoning=10, requests=1, images=2)
"""184 tokens."""


@pytest.fixture
def store(open_store: Callable[..., Store]) -> Store:
    """Two days: on the first two keys, one of them Ann's, on the second one key; and probes, which are nobody's."""
    opened = open_store(clock=lambda: NOON + 2 * DAY)
    told = [line(usage=USAGE)]
    records: list[Record] = [
        settled(1, lines=tuple(told)),
        settled(2, key="key_b", user="ann", model="big", lines=tuple(told)),
        settled(3, key="key_c", user="ann", at=NOON + 3_600, lines=tuple(told), run="r", trace=Trace(agent="")),
        settled(4, key="key_c", user="ann", run="r", finish_reason="tool_calls", lines=tuple(told)),
        settled(5, at=NOON + DAY, project="other", lines=tuple(told)),
        settled(6, key=asked_as("mock"), project=PROBE, model=asked_as("mock"), run="probe"),
    ]
    opened.ledger.commit(Progress("j", "w", "o", 1), records)
    return opened


def test_days_of_models(store: Store) -> None:
    """Each with its buckets; days before and after are left out."""
    first = store.daily.models(until=NOON + DAY / 2)
    whole = Usage(*(3 * getattr(USAGE, name) for name in BUCKETS))

    assert first == [DayOfModel(date(2026, 1, 1), "big", 1, USAGE), DayOfModel(date(2026, 1, 1), "mock", 3, whole)]
    assert store.daily.models(since=NOON) == [DayOfModel(date(2026, 1, 2), "mock", 1, USAGE)]
    assert tokens_of(USAGE) == 184


def test_days_of_people(store: Store) -> None:
    """A user with two keys is one; runs stand with the day on which they began."""
    assert store.daily.people() == [
        DayOfPeople(date(2026, 1, 1), 2, 4, 1, 2, 1),
        DayOfPeople(date(2026, 1, 2), 1, 1),
    ]


def test_one_project(store: Store) -> None:
    """Of one project alone; probes only for who asks for theirs."""
    assert [each.day for each in store.daily.people(project="other")] == [date(2026, 1, 2)]
    assert [each.calls for each in store.daily.models(project=PROBE)] == [1]
    assert store.daily.people(project=PROBE)[0].runs == 1


def test_hours(store: Store) -> None:
    """Of tokens alone: pictures and searches are none."""
    noon = int(NOON)
    assert store.daily.hours() == [
        HourOfTokens(noon, 3 * 184),
        HourOfTokens(noon + 3_600, 184),
        HourOfTokens(noon + DAY, 184),
    ]
