"""Everything of a series in one go."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from tests.unit.planner.demand.simulated import daily, demand
from tokenway.planner.demand.series import DAY, MONTH, QUARTER, WEEK, Period
from tokenway.planner.demand.study import periods_ahead, study


def test_a_study_is_the_same_each_time() -> None:
    """What is drawn has a seed."""
    series = daily(demand("exponential", 80, np.random.default_rng(1)))
    first, second = study(series, 14).found, study(series, 14).found

    assert first is not None
    assert second is not None
    assert first.forecast.bands.at(13) == second.forecast.bands.at(13)
    assert first.forecast.factors == first.backtest.factors
    assert first.doubling == second.doubling
    assert first.used is series


def test_too_little() -> None:
    """Has a reason and nothing else."""
    studied = study(daily(np.ones(9)))

    assert studied.found is None
    assert studied.lacks == "it has 9 days with use, and a forecast takes 28"


def test_after_a_clear_change_only_what_came_since_counts() -> None:
    """But months are made up with all that was seen of them."""
    values = demand("exponential", 150, np.random.default_rng(2), spread=0.1)
    values[100:] *= 4
    series = daily(values)
    found = study(series, 60).found

    assert found is not None
    assert found.regime is not None
    assert found.used.dates[0] == found.regime.since
    assert found.forecast.series is series
    assert found.backtest.ahead <= 12
    june = found.forecast.sums()[0]
    assert june.seen == pytest.approx(sum(values[(date(2026, 6, 1) - series.dates[0]).days :]))


@pytest.mark.parametrize(
    ("period", "days", "count"),
    [
        (DAY, 365, 365),
        (DAY, None, 90),
        (WEEK, None, 13),
        (WEEK, 8, 2),
        (MONTH, 365, 12),
        (QUARTER, None, 4),
        (QUARTER, 1, 1),
    ],
)
def test_days_in_periods(period: Period, days: int | None, count: int) -> None:
    """Rounded up, and a season without a number."""
    assert periods_ahead(period, days) == count
