"""Series: their period, and what is done with gaps, zeros and days that stand far off."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from tests.unit.planner.demand.simulated import FIRST, daily, demand
from tokenway.planner.demand.series import DAY, MONTH, QUARTER, WEEK, Period, later, series_of

DAYS = [FIRST + timedelta(days=number) for number in range(60)]


@pytest.mark.parametrize(
    ("texts", "period"),
    [
        (["2026-01-01", "2026-01-02", "2026-01-03"], DAY),
        (["2026-01-04", "2026-01-11", "2026-01-19", "2026-01-25"], WEEK),
        (["2026-01-01", "2026-02-01", "2026-03-01", "2026-05-01"], MONTH),
        (["2022-05-01", "2022-07-31", "2022-10-30", "2023-01-29"], QUARTER),
        (["2024-05-01", "2025-05-01", "2025-07-01", "2025-10-01", "2026-05-01"], None),
        (["2026-01-01", "2026-01-04", "2026-01-07"], None),
    ],
)
def test_the_period_is_told_by_the_dates(texts: list[str], period: Period | None) -> None:
    """Weeks may be a day off, quarters may be fiscal, a month may be missing; other distances are irregular."""
    series = series_of({date.fromisoformat(text): 1.0 for text in texts})

    assert series.period == period
    if period is MONTH:
        assert series.at.tolist() == [0, 1, 2, 4]
        assert "1 month without a value" in series.notes[0]


def test_gaps_are_places_without_a_value() -> None:
    """The others keep theirs, so that weekdays and the slope stay right."""
    values = {day: 5.0 for day in DAYS if day not in {DAYS[3], DAYS[10]}}
    series = series_of(values)

    assert (len(series.values), series.span) == (58, 59)
    assert series.notes == ("2 days without a value are left out as gaps.",)
    assert series.ahead(2) == [DAYS[-1] + timedelta(days=1), DAYS[-1] + timedelta(days=2)]


def test_zeros() -> None:
    """Before the first use they are cut off; a few are gaps."""
    values = dict.fromkeys(DAYS, 5.0) | {DAYS[0]: 0.0, DAYS[1]: 0.0, DAYS[20]: 0.0}
    series = series_of(values)

    assert series.dates[0] == DAYS[2]
    assert series.notes == (
        f"2 zeros before the first use on {DAYS[2]} are left out.",
        f"1 date ({DAYS[20]}) without any use count as gaps.",
    )


@pytest.mark.parametrize("is_told", [True, False])
def test_who_rests_at_weekends_is_looked_at_by_weeks(*, is_told: bool) -> None:
    """Whether their days are zero or missing: whole weeks up to the last day."""
    values = {day: 10.0 for day in DAYS if day.weekday() < 5}
    if is_told:
        values |= {day: 0.0 for day in DAYS if day.weekday() >= 5}
    series = series_of(values)

    assert series.period is WEEK
    assert set(series.values) == {50.0}
    assert "whole weeks are summed" in series.notes[0]


def test_nothing_but_zeros() -> None:
    """Has no future."""
    series = series_of(dict.fromkeys(DAYS, 0.0))

    assert series.lacks == "there is nothing above zero in it"
    assert series.notes == ("All 60 values are zero.",)
    assert series_of({}).lacks == "there is nothing above zero in it"


def test_what_has_ended() -> None:
    """A model that nobody has asked for two weeks is not forecast by when it was asked."""
    values = {day: 5.0 if day < DAYS[44] else 0.0 for day in DAYS}

    assert series_of(values).lacks == f"there was no use after {DAYS[43]}"
    assert not series_of(values | {DAYS[-1]: 5.0}).ended


def test_too_few() -> None:
    """Says how many there are, and how many it takes."""
    assert daily(np.ones(27)).lacks == "it has 27 days with use, and a forecast takes 28"
    assert daily(np.ones(1)).lacks == "it has 1 day with use, and a forecast takes 28"
    assert not daily(np.ones(28)).lacks


def test_a_day_far_off_is_left_out() -> None:
    """An outage or a load test; not the first days of a steep beginning, and not many."""
    values = demand("exponential", 90, np.random.default_rng(1))
    values[40] = 17.0
    series = daily(values)

    assert len(series.values) == 89
    assert series.notes == (f"1 date ({FIRST + timedelta(days=40)}) far off those around: left out.",)
    assert not daily(10.0 * np.arange(1.0, 90.0)).notes


def test_parts() -> None:
    """What came from a date on, and what was known before a place."""
    series = daily(np.arange(1.0, 61.0))

    assert series.since(DAYS[50]).at.tolist() == list(range(10))
    assert series.until(10).values.tolist() == list(range(1, 11))
    assert series.since(date(2030, 1, 1)).lacks


def test_dates_ahead() -> None:
    """Ends of months stay within them."""
    assert later(date(2026, 1, 31), MONTH, 1) == date(2026, 2, 28)
    assert later(date(2026, 4, 26), QUARTER, 3) == date(2027, 1, 26)
    assert later(date(2026, 4, 26), WEEK, 2) == date(2026, 5, 10)


@pytest.mark.parametrize(("count", "text"), [(1, "1 day"), (9.75, "9.75 days"), (1234.4, "1,234 days")])
def test_so_many_periods(count: float, text: str) -> None:
    """As people write numbers."""
    assert DAY.several(count) == text
