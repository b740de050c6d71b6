"""Changes of growth: those that there are, and none where there is none."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from tests.unit.planner.demand.simulated import FIRST, daily, demand
from tokenway.planner.demand.choice import choose
from tokenway.planner.demand.regime import regime


def test_a_step_is_found() -> None:
    """With its date and how large it was; growth went on as before."""
    values = demand("exponential", 120, np.random.default_rng(2), spread=0.1)
    values[70:] *= 2
    series = daily(values)
    found = regime(series, choose(series))

    assert found is not None
    assert abs((found.since - FIRST - timedelta(days=70)).days) <= 2
    assert found.step == pytest.approx(2, rel=0.2)
    assert found.before == pytest.approx(found.after, abs=0.006)


def test_growth_that_stops_is_found() -> None:
    """The rates before and after."""
    values = demand("exponential", 160, np.random.default_rng(2), spread=0.05) * np.exp(
        -0.03 * np.maximum(np.arange(160) - 80, 0) + 0.03 * np.minimum(np.arange(160), 80)
    )
    series = daily(values)
    found = regime(series, choose(series))

    assert found is not None
    assert found.before - found.after == pytest.approx(0.06, rel=0.2)


@pytest.mark.parametrize("curve", ["exponential", "linear", "logistic", "log-quadratic"])
def test_a_smooth_curve_has_no_change(curve: str) -> None:
    """Also where it bends."""
    generator = np.random.default_rng(7)
    series = [daily(demand(curve, 90, generator)) for _ in range(10)]

    assert sum(regime(each, choose(each)) is not None for each in series) <= 1


def test_a_short_series() -> None:
    """Has no two parts to compare."""
    series = daily(demand("linear", 50, np.random.default_rng(1)))

    assert regime(series, choose(series)) is None
