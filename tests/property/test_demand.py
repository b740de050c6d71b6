"""Whatever series comes: an answer, and figures that JSON has words for."""

from __future__ import annotations

import json
from datetime import timedelta

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.planner.demand.simulated import FIRST
from tokenway.planner.demand.answer import Beside, answer
from tokenway.planner.demand.examples import example
from tokenway.planner.demand.lead import lead
from tokenway.planner.demand.series import series_of
from tokenway.planner.demand.study import study

AMOUNTS = st.one_of(st.just(0.0), st.floats(1e-6, 1e24), st.floats(1e6, 2e6))
STEPS = st.sampled_from((1, 1, 2, 7, 30, 91))


@settings(max_examples=30)
@given(values=st.lists(AMOUNTS, max_size=90), step=STEPS, gap=st.integers(2, 60), days=st.integers(1, 3_650))
def test_any_series_has_an_answer(values: list[float], step: int, gap: int, days: int) -> None:
    """With gaps, zeros, leaps over thirty powers of ten, and far ahead: nothing infinite, and bands in order."""
    dates = [FIRST + timedelta(days=step * number) for number in range(len(values))]
    points = {day: value for number, (day, value) in enumerate(zip(dates, values, strict=True)) if number % gap}
    series = series_of(points)
    studied = study(series, days)
    report = answer(studied, beside=Beside(lead=lead(example("capex").series, series)))

    assert json.dumps(report.data(), allow_nan=False)
    assert (studied.found is None) == bool(studied.lacks)
    if studied.found is not None:
        bands = studied.found.forecast.bands
        assert (bands.low95 <= bands.median).all()
        assert (bands.median <= bands.high95).all()
        assert np.isfinite(bands.high95).all()
