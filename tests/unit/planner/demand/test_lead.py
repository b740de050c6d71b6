"""Leaders, and how little they prove."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from tests.unit.planner.demand.simulated import daily
from tokenway.planner.demand.examples import example
from tokenway.planner.demand.lead import by_quarter, lead
from tokenway.planner.demand.series import Series, series_of

CAPEX = example("capex").series


def _quarters(growth: list[float], name: str) -> Series:
    values = np.exp(np.cumsum(growth))
    return series_of({date(2015 + n // 4, 1 + n % 4 * 3, 1): float(v) for n, v in enumerate(values)}, name=name)


def test_a_true_leader_is_found_at_its_lag() -> None:
    """Growth that comes two quarters later."""
    growth = np.random.default_rng(1).normal(0.1, 0.1, 40)
    echo = np.concatenate([[0.1, 0.1], growth[:-2]]) + np.random.default_rng(2).normal(0, 0.03, 40)
    found = lead(_quarters(growth.tolist(), "A"), _quarters(echo.tolist(), "B"))

    assert found.best is not None
    assert (found.best.quarters, found.best.pairs) == (2, 37)
    assert found.best.correlation > 0.85
    assert found.chance is not None
    assert found.chance < 0.001
    assert "weak evidence, and no cause" in found.sentence


def test_chance_counts_the_lags_that_were_tried() -> None:
    """Two series that only rise have levels that go together, and growth that does not."""
    first, second = (np.random.default_rng(seed).normal(0.1, 0.05, 20).tolist() for seed in (3, 4))
    found = lead(_quarters(first, "A"), _quarters(second, "B"))

    assert found.levels is not None
    assert found.levels > 0.9
    assert found.chance is not None
    assert found.chance > 0.05
    assert "weak evidence" not in found.sentence


def test_capital_spending_did_not_lead_revenue() -> None:
    """Though both rose: at no lag does growth follow."""
    found = lead(CAPEX, example("nvidia").series)

    assert found.quarters == 17
    assert found.levels == pytest.approx(0.87, abs=0.02)
    assert found.sentence.startswith("Growth of NVIDIA's data-centre revenue follows that of capital spending of four")
    assert "at none of 5 lags" in found.sentence


def test_two_quarters_are_no_evidence() -> None:
    """Which is said, and no correlation."""
    found = lead(CAPEX, example("openrouter").series)

    assert (found.lags, found.chance) == ((), None)
    assert "no evidence either way" in found.sentence


def test_quarters() -> None:
    """A fiscal one counts for where most of it is, days for their mean, a quarter that is not whole not at all."""
    nvidia = by_quarter(example("nvidia").series)
    assert nvidia[4 * 2022] == 3.75
    days = daily(np.ones(120), date(2026, 1, 1))
    assert by_quarter(days) == {4 * 2026: 1.0}
    assert by_quarter(series_of({date(2026, 1, 4) + timedelta(weeks=n): 2.0 for n in range(13)})) == {4 * 2026: 2.0}
