"""Curves through logarithms: what was put in comes out."""

from __future__ import annotations

import numpy as np
import pytest

from tests.unit.planner.demand.simulated import daily, demand
from tokenway.planner.demand.series import Floats
from tokenway.planner.demand.trends import (
    EXPONENTIAL,
    LINEAR,
    LOGISTIC,
    POWER,
    QUADRATIC,
    candidates,
    design_of,
    fit,
    g,
    near,
)

DAYS = np.arange(100.0)
MEAN = 1e6


@pytest.mark.parametrize(
    ("name", "values", "shape"),
    [
        (EXPONENTIAL, np.exp(0.02 * DAYS), [0.02]),
        (QUADRATIC, np.exp(0.02 * DAYS - 1e-4 * DAYS**2), [0.02, -1e-4]),
        (POWER, (1 + DAYS) ** 0.7, [0.7]),
        (LINEAR, 1 + 4 * DAYS / 99, [np.log(5)]),
        (LINEAR, 1 - 0.5 * DAYS / 99, [np.log(0.5)]),
        (LOGISTIC, 1 / (1 + np.exp(-9 * (DAYS / 99 - 0.6))), [0.6, np.log(9)]),
    ],
)
def test_a_curve_without_errors_is_found(name: str, values: Floats, shape: list[float]) -> None:
    """Its parameters, and that it hardly errs."""
    series = daily(MEAN * values)
    trend = fit(name, series.logs, design_of(series))

    assert trend.shape == pytest.approx(shape, rel=2e-2)
    assert trend.sse < 1e-4


def test_weekdays_have_levels_of_their_own() -> None:
    """From three weeks on; with fewer days one level is all there is."""
    series = daily(demand("exponential", 60, np.random.default_rng(1), spread=1e-6))
    trend = fit(EXPONENTIAL, series.logs, design_of(series))

    assert np.exp(trend.levels - trend.levels[0]) == pytest.approx([1, 1.05, 1.05, 1, 0.95, 0.6, 0.55], rel=1e-3)
    assert design_of(series.until(20)).levels.shape == (20, 1)


def test_a_logistic_takes_sixty_days() -> None:
    """Fewer say nothing of a ceiling."""
    assert LOGISTIC not in candidates(daily(np.ones(59)))
    assert LOGISTIC in candidates(daily(np.ones(60)))


def test_no_acceleration_is_trusted_to_last() -> None:
    """Beyond the data a log-quadratic goes on with its last slope."""
    ahead = g(QUADRATIC, np.array([[0.1, 0.01]]), np.array([10.0, 11.0, 12.0]), 10.0)[0]

    assert np.diff(ahead) == pytest.approx([0.3, 0.3])


def test_a_falling_line_stays_above_zero() -> None:
    """A count cannot be less."""
    assert np.isfinite(g(LINEAR, np.array([[-5.0]]), np.array([0.0, 500.0]), 10.0)).all()


def test_the_grid_around_a_curve_stays_where_curves_are() -> None:
    """However wide its parameters spread."""
    series = daily(demand("logistic", 90, np.random.default_rng(1)))
    grid = near(fit(LOGISTIC, series.logs, design_of(series)), np.array([100.0, 100.0]))

    assert grid.shape == (225, 2)
    assert (grid.min(axis=0) >= [-0.5, 0.0]).all()
    assert (grid.max(axis=0) <= [1.5, 4.2]).all()
