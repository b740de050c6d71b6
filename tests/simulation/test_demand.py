"""Forecasts of demand whose truth is known: intervals hold what they promise, and curves are not mistaken."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from tests.unit.planner.demand.simulated import daily, demand
from tokenway.planner.demand.choice import choose
from tokenway.planner.demand.study import study
from tokenway.planner.demand.trends import EXPONENTIAL, LINEAR, LOGISTIC

DAYS = 56
AHEAD = 28
SEED = 6


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_bands_hold_what_they_promise() -> None:
    """Of 500 exponential series: the 80 % interval of the doubling time, and the 80 % bands of the forecast."""
    generator = np.random.default_rng(SEED)
    true = math.log(4) / (DAYS - 1)
    held: Counter[str] = Counter()
    middles = []
    for number in range(500):
        values = demand(
            "exponential",
            DAYS,
            generator,
            ahead=AHEAD,
            spread=(0.1, 0.2)[number % 2],
            likeness=(0.0, 0.3, 0.6)[number % 3],
        )
        found = study(daily(values[:DAYS]), AHEAD, generator).found
        assert found is not None
        low, high = found.doubling.rates80
        held["doubling"] += low < true < high
        middles.append(found.doubling.rate / true)
        bands = found.forecast.bands
        for day in (1, 7, 14, AHEAD):
            held[f"day {day}"] += bands.low80[day - 1] < values[DAYS + day - 1] < bands.high80[day - 1]
    print({name: count / 500 for name, count in held.items()}, np.quantile(middles, [0.1, 0.5, 0.9]))

    assert all(350 <= count <= 450 for count in held.values()), held
    assert np.median(middles) == pytest.approx(1.0, abs=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("likeness", [0.0, 0.5])
@pytest.mark.parametrize("curve", [LINEAR, LOGISTIC])
def test_what_is_not_exponential_is_not_called_so(curve: str, likeness: float) -> None:
    """At most one of ten; while most exponential series of the same length are called so, or left open."""
    generator = np.random.default_rng(SEED)
    called = Counter(choose(daily(demand(curve, 120, generator, likeness=likeness))).verdict for _ in range(150))
    print(curve, likeness, called)

    assert called[EXPONENTIAL] <= 15


@pytest.mark.slow
def test_what_is_exponential_is_called_so() -> None:
    """The test above would be passed by calling nothing exponential."""
    generator = np.random.default_rng(SEED)
    called = Counter(choose(daily(demand(EXPONENTIAL, 120, generator))).verdict for _ in range(100))
    print(called)

    assert called[EXPONENTIAL] >= 60
    assert called[LINEAR] + called[LOGISTIC] <= 5
