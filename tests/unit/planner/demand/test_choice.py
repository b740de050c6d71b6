"""Which curve a series follows, and when one cannot tell. How often it is wrong: tests/simulation/test_demand.py."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.unit.planner.demand.simulated import CURVES, daily, demand
from tokenway.planner.demand.choice import CANNOT_TELL, SMALL, SMALL_FOR_EXPONENTIAL, aicc, bend, choose, latest
from tokenway.planner.demand.trends import EXPONENTIAL, LINEAR, QUADRATIC, Trend


@pytest.mark.parametrize("curve", list(CURVES))
def test_a_clear_curve_is_named(curve: str) -> None:
    """With small errors each is found, and the margin is large."""
    choice = choose(daily(demand(curve, 150, np.random.default_rng(2), spread=0.03, likeness=0.0)))

    assert choice.verdict == curve
    assert choice.margin > 10
    assert choice.behind[curve] == 0
    assert sum(choice.weights.values()) == pytest.approx(1)


def test_with_large_errors_one_cannot_tell() -> None:
    """And says between which."""
    choice = choose(daily(demand("linear", 40, np.random.default_rng(3), spread=0.4)))

    assert choice.verdict == CANNOT_TELL
    assert LINEAR in choice.rivals
    assert len(choice.rivals) > 1
    assert choice.sentence.startswith("Cannot tell which curve it follows: ")


def test_aicc_by_hand() -> None:
    """It is n ln(SSE/n) + 2p + 2p(p+1)/(n-p-1); without a point to spare it is infinite."""
    errors = np.array([1.0, -1.0, 1.0, -1.0, 2.0, -2.0])
    trend = Trend("", np.zeros(1), np.zeros(1), errors, 3)

    assert aicc(trend) == pytest.approx(6 * math.log(2) + 6 + 12)
    assert aicc(trend._replace(parameters=5)) == math.inf


def test_likeness_of_neighbours_takes_more_margin() -> None:
    """Each of them tells less."""
    apart, alike = (
        choose(daily(demand(EXPONENTIAL, 200, np.random.default_rng(4), likeness=part))) for part in (0.0, 0.7)
    )

    assert apart.small == pytest.approx(SMALL_FOR_EXPONENTIAL, rel=0.4)
    assert alike.small > 3 * SMALL
    assert alike.likeness == pytest.approx(0.7, abs=0.15)


def test_the_exponential_is_not_held_back_by_curves_that_contain_it() -> None:
    """They cannot be far behind: what counts are the others."""
    choice = choose(daily(1e6 * np.exp(0.02 * np.arange(100)) * np.exp(np.random.default_rng(1).normal(0, 0.05, 100))))

    assert choice.behind[QUADRATIC] < choice.small
    assert choice.verdict == EXPONENTIAL


@pytest.mark.parametrize(
    ("sign", "said"), [(1, "accelerating: its rate of growth rises"), (-1, "slowing: its rate of growth falls")]
)
def test_a_bend_is_named_by_its_direction(sign: int, said: str) -> None:
    """And measured from beginning to end."""
    t = np.arange(120.0)
    choice = choose(daily(1e6 * np.exp(0.05 * t + sign * 2e-4 * t**2)))

    assert said in choice.sentence
    assert bend(choice) == pytest.approx(sign * 2 * 2e-4 * 119)
    assert latest(choice) == pytest.approx(0.05 + bend(choice), rel=1e-2)


def test_decline_is_called_so() -> None:
    """Also exponential, and no growth."""
    noise = np.random.default_rng(1).normal(0, 0.02, 100)
    assert "exponential decline" in choose(daily(1e6 * np.exp(-0.02 * np.arange(100) + noise))).sentence
