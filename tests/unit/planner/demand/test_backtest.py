"""Forecasts of the past: what they were off, and how much wider bands have to be."""

from __future__ import annotations

import numpy as np
import pytest

from tests.unit.planner.demand.simulated import daily, demand
from tokenway.planner.demand import backtest as module
from tokenway.planner.demand.backtest import NONE, backtest
from tokenway.planner.demand.examples import example


def test_a_series_that_does_what_is_expected() -> None:
    """Bands hold about what they promise and are hardly widened; drift does worse than weekdays do."""
    tested = backtest(daily(demand("exponential", 120, np.random.default_rng(2))), 30, np.random.default_rng(1))

    assert (tested.cuts, tested.ahead) == (module.CUTS, 30)
    assert tested.within[1] > 0.65
    assert tested.factors[1] < 1.4
    near, _, far = tested.distances
    assert (near.ahead, far.ahead) == (7, 30)
    assert far.forecast < far.drift
    assert far.forecast < far.same


def test_a_series_that_surprises_widens_its_bands() -> None:
    """A level that jumps was in no forecast."""
    values = demand("exponential", 120, np.random.default_rng(2))
    values[80:] *= 3
    tested = backtest(daily(values), 30, np.random.default_rng(1))

    assert tested.within[1] < 0.7
    assert tested.factors[1] > 1.4


def test_it_looks_no_farther_than_a_quarter_of_the_series() -> None:
    """Farther forecasts of the past would be made of too little."""
    tested = backtest(daily(demand("linear", 80, np.random.default_rng(2))), 365, np.random.default_rng(1))

    assert tested.ahead == 20


def test_too_short_a_series() -> None:
    """Is not tested, and its bands stay."""
    series = daily(np.ones(40)).until(18)

    assert backtest(series, 30, np.random.default_rng(1)) == NONE


@pytest.mark.parametrize(("name", "most"), [("nvidia", 0.35), ("capex", 0.35), ("openrouter", 0.5)])
def test_public_series(name: str, most: float) -> None:
    """Four periods ahead it errs no more than the best rules that were tried (23 to 40 % for each)."""
    tested = backtest(example(name).series, 4, np.random.default_rng(3), cuts=12)

    assert tested.distances[-1].ahead == 4
    assert tested.distances[-1].forecast < most
