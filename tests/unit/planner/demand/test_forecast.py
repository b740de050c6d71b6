"""Paths and bands. How often these hold what comes: tests/simulation/test_demand.py."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

import numpy as np
import pytest

from tests.unit.planner.demand.simulated import FIRST, daily, demand
from tokenway.planner.demand.choice import choose
from tokenway.planner.demand.forecast import Forecast, bands_of, forecast
from tokenway.planner.demand.series import series_of


def _forecast(
    days: int = 120, ahead: int = 60, **options: float
) -> tuple[Forecast, np.ndarray[tuple[int], np.dtype[np.float64]]]:
    values = demand("exponential", days, np.random.default_rng(1), ahead=ahead, **options)
    series = daily(values[:days])
    return forecast(series, choose(series), ahead, np.random.default_rng(2)), values[days:]


def test_bands_lie_within_each_other_and_widen() -> None:
    """Each day, and the farther the wider."""
    bands = _forecast()[0].bands
    ordered = [bands.low95, bands.low80, bands.low50, bands.median, bands.high50, bands.high80, bands.high95]

    assert all((low <= high).all() for low, high in pairwise(ordered))
    relative = bands.high80 / bands.low80
    assert relative[-7:].mean() > relative[:7].mean()


def test_weekdays_go_on() -> None:
    """A Saturday has the level of Saturdays."""
    found, came = _forecast(ahead=28, spread=0.02)

    assert np.abs(np.log(found.bands.median / came)).mean() < 0.05


def test_the_same_chance_gives_the_same_paths() -> None:
    """A report can be made again."""
    assert np.array_equal(_forecast()[0].paths, _forecast()[0].paths)


def test_growth_is_not_trusted_for_ever() -> None:
    """Four times in 120 days would be 64 times in another 360: the median says less, the upper end of 95 % does not."""
    found, _ = _forecast(ahead=360, spread=0.05)
    grown = found.bands.at(-1)["median"] / found.series.values[-7:].mean()

    assert 5 < grown < 50
    assert found.bands.at(-1)["high95"] / found.series.values[-7:].mean() > 40


def test_months_are_summed_by_paths() -> None:
    """What was seen of a month counts; a month that is cut off says how many days it has."""
    found, _ = _forecast(days=100, ahead=45)
    assert found.dates[0] == FIRST + timedelta(days=100) == date(2026, 4, 15)
    april, may = found.sums()

    assert (april.month, april.days, april.is_whole) == ("2026-04", 30, True)
    assert april.seen == pytest.approx(found.series.values[-14:].sum())
    assert april.bands.at(0)["low95"] > april.seen
    assert (may.days, may.is_whole, may.seen) == (29, False, 0.0)
    # Days do not all go the same way at once: a sum's band is narrower than the sum of bands.
    days = slice(16, 45)
    assert may.bands.at(0)["high95"] < found.bands.high95[days].sum()
    assert may.bands.at(0)["median"] == pytest.approx(found.bands.median[days].sum(), rel=0.05)
    assert may.data()["month"] == "2026-05"


def test_months_of_weeks() -> None:
    """Each week counts for the month of its date, for so many days; the last month has to be filled."""
    points = {FIRST + timedelta(weeks=n): 7e6 * 1.001**n * (1 + 0.01 * (n % 3)) for n in range(30)}
    series = series_of(points)
    found = forecast(series, choose(series), 13, np.random.default_rng(1))
    months = found.sums()

    assert [each.month for each in months] == ["2026-08", "2026-09", "2026-10"]
    assert months[1].bands.at(0)["median"] == pytest.approx(30e6, rel=0.1)


def test_quarters_have_no_months() -> None:
    """Only their own sums."""
    series = series_of({date(2022 + n // 4, 1 + n % 4 * 3, 1): 5.0 + n for n in range(17)})
    found = forecast(series, choose(series), 4, np.random.default_rng(1))

    assert found.sums() == []
    assert found.dates[-1] == date(2027, 1, 1)


def test_wider_bands() -> None:
    """By their factors, on the logarithms, and never inside a narrower one."""
    bands = bands_of(np.exp(np.random.default_rng(1).normal(size=(4000, 1))))
    wider = bands.widened((3.0, 1.0, 1.0))

    assert np.log(wider.high50) == pytest.approx(np.log(bands.median) + 3 * np.log(bands.high50 / bands.median))
    assert wider.high80 == wider.high50
    assert wider.high95 == max(wider.high50, bands.high95)
    assert wider.median == bands.median
    assert np.ravel(bands.widened((1.0, 1.0, 1.0))) == pytest.approx(np.ravel(bands))


@pytest.mark.parametrize("curve", ["linear", "logistic", "log-quadratic"])
def test_other_curves_are_followed(curve: str) -> None:
    """A line goes on as one, a ceiling holds, an acceleration does not go on."""
    values = demand(curve, 150, np.random.default_rng(1), ahead=30, spread=0.03)
    series = daily(values[:150])
    found = forecast(series, choose(series), 30, np.random.default_rng(2))
    inside = (found.bands.low95 < values[150:]) & (values[150:] < found.bands.high95)

    assert inside.mean() > 0.75
    assert found.bands.high80[-1] < 2 * found.bands.low80[-1]
