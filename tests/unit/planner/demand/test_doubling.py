"""Doubling times and their intervals. How often these hold the truth: tests/simulation/test_demand.py."""

from __future__ import annotations

import math
from datetime import date

import numpy as np
import pytest

from tests.unit.planner.demand.simulated import daily, demand
from tokenway.planner.demand.choice import choose
from tokenway.planner.demand.doubling import (
    Doubling,
    block_of,
    doubling,
    is_one_exponential,
    paces,
    time_of,
)
from tokenway.planner.demand.series import series_of


def test_a_known_doubling_time() -> None:
    """Demand that is four times as high after 150 days doubles in 75."""
    series = daily(demand("exponential", 151, np.random.default_rng(3)))
    found = doubling(series, choose(series), np.random.default_rng(1))
    low, high = found.within80

    assert found.periods == pytest.approx(75, rel=0.1)
    assert low < 75 < high
    assert found.within95[0] < low
    assert high < found.within95[1]


def test_longer_series_say_it_more_exactly() -> None:
    """The interval narrows."""
    widths = []
    for days in (40, 160):
        series = daily(demand("exponential", days, np.random.default_rng(3)))
        found = doubling(series, choose(series), np.random.default_rng(1))
        widths.append((found.rates80[1] - found.rates80[0]) / found.rate)

    assert widths[1] < widths[0] / 1.5


@pytest.mark.parametrize(
    ("rates", "ends"),
    [
        ((0.1, 0.2), (math.log(2) / 0.2, math.log(2) / 0.1)),
        ((-0.1, 0.2), (math.log(2) / 0.2, math.inf)),
        ((-0.2, -0.1), (-math.log(2) / 0.2, -math.log(2) / 0.1)),
        ((-0.2, 0.0), (math.inf, math.inf)),
    ],
)
def test_ends_of_an_interval(rates: tuple[float, float], ends: tuple[float, float]) -> None:
    """A rate of zero within is an end at infinity; below zero it halves."""
    assert Doubling(0.0, rates, rates).within80 == pytest.approx(ends)
    assert time_of(0.0) == math.inf


def test_blocks_are_weeks_of_days() -> None:
    """And of other series the cube root of their number."""
    assert block_of(daily(np.ones(90))) == 7
    quarters = series_of({date(2022 + n // 4, 1 + n % 4 * 3, 1): 1.0 for n in range(17)})
    assert block_of(quarters) == 3


def test_paces_between_reports() -> None:
    """Twice as much in two months is a doubling time of two months; a fall has a negative one."""
    series = series_of({date(2025, 1, 1): 5.0, date(2025, 3, 1): 10.0, date(2025, 12, 1): 5.0, date(2026, 1, 9): 5.0})
    first, second, third = paces(series)

    assert (first.factor, first.doubling) == pytest.approx((2.0, first.periods))
    assert second.doubling == pytest.approx(-second.periods)
    assert third.doubling == math.inf


def test_one_exponential_through_reports() -> None:
    """A tenth up or down is how reports are; four times is not."""
    days = [date(2025, 1, 1), date(2025, 3, 1), date(2025, 8, 1), date(2025, 12, 1), date(2026, 7, 1)]
    months = [(day - days[0]).days / 30 for day in days]
    straight = [100 * 1.3**month * (1.1 if n % 2 else 0.9) for n, month in enumerate(months)]

    assert is_one_exponential(series_of(dict(zip(days, straight, strict=True))))
    assert not is_one_exponential(series_of(dict(zip(days, [1.0, 8, 9, 9, 9], strict=True))))
    assert is_one_exponential(series_of({days[0]: 1.0, days[1]: 9.0}))
