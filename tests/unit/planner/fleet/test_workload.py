"""Mixes and targets that cannot be, and months of growth."""

from __future__ import annotations

import datetime as dt
import math

import pytest

from tokenway.planner.errors import PlanError
from tokenway.planner.fleet.workload import Mix, Month, Targets, growing, monthly

MIX = Mix(input=900, output=100, cached=0)


def test_demand_doubles() -> None:
    """A month's tokens are those of its middle day, times its days."""
    months = growing(dt.date(2026, 1, 1), 13, 1e6, 365, 0.5, MIX)
    assert [each.name for each in months[:2]] == ["2026-01", "2026-02"]
    assert months[0].middle == pytest.approx(1e6 * 31 / 1000 * 2 ** (15.5 / 365))
    assert months[12].middle / months[0].middle == pytest.approx(2, rel=0.01)


def test_the_band_grows_with_the_time() -> None:
    """To the factor that was asked for after a year."""
    months = growing(dt.date(2026, 1, 1), 13, 1e6, 0, 0.5, MIX)
    wide = [each.high / each.middle for each in months]
    assert wide == sorted(wide)
    assert wide[12] == pytest.approx(1.5, rel=0.03)
    assert months[3].low * months[3].high == pytest.approx(months[3].middle ** 2)


def test_it_begins_within_a_month() -> None:
    """The month of today is whole, at today's rate at least."""
    [month] = growing(dt.date(2026, 1, 28), 1, 1e6, 30, 0, MIX)
    assert month == Month("2026-01", 31, 31e3, 31e3, 31e3)


def test_a_rate_is_of_all_days() -> None:
    """Requests by seconds."""
    assert Month("x", 30, 0, 0, 0).rate(30 * 86_400 * 5.0) == 5.0


def test_months_of_a_forecast() -> None:
    """Days are added up; a month that is cut off is left out."""
    days = [dt.date(2026, 1, 30) + dt.timedelta(n) for n in range(35)]
    months = monthly([(day, 500.0, 1_000.0, 2_000.0) for day in days], MIX)
    assert months == [Month("2026-02", 28, 14.0, 28.0, 56.0)]


@pytest.mark.parametrize(
    "wrong",
    [
        *[{"input": 0}, {"output": 0.5}, {"cached": 1.0}, {"cached": -0.1}, {"peak": 0.9}, {"burstiness": 0}],
        *[{name: math.nan} for name in ("input", "output", "cached", "peak", "burstiness")],
        *[{name: math.inf} for name in ("input", "output", "peak", "burstiness")],
    ],
)
def test_what_is_no_mix(wrong: dict[str, float]) -> None:
    """Lengths, shares and peaks that no requests have."""
    with pytest.raises(PlanError):
        Mix(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        *[
            {"ttft": 0},
            {"speed": 0},
            {"quantile": 0.999},
            {"quantile": 0.2},
            {"availability": 1.0},
            {"utilisation": 1.5},
        ],
        *[{"ttft": math.nan}, {"ttft": math.inf}, {"speed": math.nan}, {"quantile": math.nan}],
    ],
)
def test_what_is_no_target(wrong: dict[str, float]) -> None:
    """Promises that nobody can keep."""
    with pytest.raises(PlanError):
        Targets(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        *[(0, 1e6, 30, 0.5), (3, 0, 30, 0.5), (3, 1e6, -1, 0.5), (3, 1e6, 30, -0.5), (3, 1e6, 0.01, 0.5)],
        *[(3, value, 30, 0.5) for value in (math.nan, math.inf, 1e30)],
        *[(3, 1e6, math.nan, 0.5), (3, 1e6, math.inf, 0.5), (3, 1e6, 30, math.nan)],
    ],
)
def test_what_is_no_growth(wrong: tuple[int, float, float, float]) -> None:
    """No months, no tokens or more than there are, less than no growth, or no numbers."""
    with pytest.raises(PlanError):
        growing(dt.date(2026, 1, 1), *wrong, MIX)
