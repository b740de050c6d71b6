"""Shares against published figures, and how often the tests raise an alarm between equals."""

from __future__ import annotations

import numpy as np
import pytest

from tokenway.planner.grade.intervals import Array, Interval, chance_of_difference, excess, newcombe, wilson


def test_wilson_by_the_book() -> None:
    """Newcombe 1998, table I: 81 of 263 gives 0.2553 to 0.3662; 0 of 20 gives 0 to 0.1611."""
    assert wilson(81 / 263, 263)[1:] == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson(0, 20)[1:] == pytest.approx((0.0, 0.1611), abs=1e-4)


def test_newcombe_by_the_book() -> None:
    """Newcombe 1998, table II, method 10: 56 of 70 beside 48 of 80 differ by 0.2, from 0.0524 to 0.3339."""
    found = newcombe(wilson(48 / 80, 80), wilson(56 / 70, 70))
    assert found == pytest.approx((0.2, 0.0524, 0.3339), abs=1e-4)


def distances(points: Array) -> Array:
    """How far each answer is from each, for answers that are points on a line (prompts x answers)."""
    return np.abs(points[:, :, None] - points[:, None, :])


def test_parts_by_hand() -> None:
    """One prompt, answers at 0 and 1 of one endpoint, at 5 and 7 of the other."""
    found = excess(distances(np.array([[0.0, 1, 5, 7]])), np.random.default_rng(1))
    assert (found.between, found.within) == (5.5, 1.5)
    assert found.more.value == 4


@pytest.mark.parametrize("rounds", [2, 3])
def test_equal_endpoints_are_as_far_apart_as_each_from_itself(rounds: int) -> None:
    """On average, whatever the noise; an alarm at 5 % goes off in at most 8 of 100 cases (200 simulations)."""
    chance = np.random.default_rng(2)
    alarms = 0
    values = []
    for _ in range(200):
        own = chance.gamma(0.5, 1, (40, 1))  # prompts differ in how noisy they are
        found = excess(distances(own * chance.standard_normal((40, 2 * rounds))), chance)
        alarms += found.chance <= 0.05
        values.append(found.more.value)
    assert alarms <= 16
    assert abs(float(np.mean(values))) < 0.02


def test_a_shift_is_seen() -> None:
    """One that is half of the noise, on forty prompts."""
    chance = np.random.default_rng(3)
    points = chance.standard_normal((40, 4)) + np.array([0, 0, 1.5, 1.5])
    found = excess(distances(points), chance)
    assert found.chance < 0.01
    assert found.more.low > 0


def test_what_was_never_seen_may_still_happen() -> None:
    """No distance in sixty prompts leaves up to one in twenty."""
    found = excess(np.zeros((60, 4, 4)), np.random.default_rng(4))
    assert found.more == Interval(0, 0, 0.05)
    assert found.chance == 1


def test_rightness_of_equals_and_of_others() -> None:
    """The alarm at 5 % keeps to it between equals and goes off for a fifth fewer right answers."""
    chance = np.random.default_rng(5)
    skill = chance.random((60, 1))
    equals = [(chance.random((60, 4)) < skill).astype(np.float64) for _ in range(200)]
    alarms = sum(chance_of_difference(right, chance) <= 0.05 for right in equals)
    assert alarms <= 16
    worse = (chance.random((60, 4)) < np.array([0.9, 0.9, 0.6, 0.6])).astype(np.float64)
    assert chance_of_difference(worse, chance) < 0.01
