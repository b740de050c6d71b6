"""Filters: a quantity that drifts, followed."""

from __future__ import annotations

from math import sqrt
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenway.routing.filter import HALF_LIFE, LEAST, REVERT, Filter


def fed(values: list[tuple[float, float, float]], gap: float = 1.0) -> Filter:
    """A filter that saw (value, first, second), one every `gap` seconds."""
    filtered = Filter(1.0, 0.1)
    for number, (value, first, second) in enumerate(values, start=1):
        filtered.observe(value, first, second, number * gap)
    return filtered


def test_it_finds_level_and_slopes() -> None:
    """From noisy times of prompts of all sizes it finds what each thousand tokens takes, and what load does."""
    rng = Random(1)
    seen = []
    for _ in range(600):
        first, second = rng.uniform(0, 20), rng.uniform(0, 2)
        seen.append(((0.4 + 0.08 * first + 0.3 * second) * rng.lognormvariate(0, 0.1), first, second))
    filtered = fed(seen)
    assert filtered.predict(0, 0) == pytest.approx(0.4, rel=0.3)
    assert filtered.predict(20, 0) == pytest.approx(2.0, rel=0.15)
    assert filtered.predict(10, 2) == pytest.approx(1.8, rel=0.15)


def test_what_is_seen_often_is_known_better() -> None:
    """The variance falls with each observation."""
    before = Filter(1.0, 0.1)
    variances = [before.variance(0, 0, 1.0)]
    for number in range(1, 6):
        before.observe(1.0, 0, 0, float(number))
        variances.append(before.variance(0, 0, float(number)))
    assert variances == sorted(variances, reverse=True)
    assert variances[-1] < variances[0] / 5


def test_what_was_not_seen_for_long_is_not_known_any_more() -> None:
    """Uncertainty grows with time, to where it was in the beginning and no further."""
    filtered = fed([(1.0, 0, 0)] * 20)
    soon, later, end = (filtered.variance(0, 0, 20 + wait) for wait in (0.0, HALF_LIFE, 100 * HALF_LIFE))
    assert soon < later < end
    assert end == pytest.approx(Filter(filtered.level, filtered.slope1).variance(0, 0, 0), rel=0.01)
    assert later == pytest.approx((soon + end) / 2, rel=0.01)


def test_what_was_left_in_a_bad_state_is_expected_to_recover() -> None:
    """It was quick for an hour and slow for a minute: half an hour later it is expected half-way back, as a factor."""
    filtered = fed([(1.0, 0, 0)] * 60, gap=60.0)
    for number in range(1, 7):
        filtered.observe(8.0, 0, 0, 3600.0 + 10 * number)
    left = filtered.predict(0, 0, 3660.0)
    assert left == pytest.approx(8.0, rel=0.2)
    assert filtered.predict(0, 0, 3660.0 + REVERT) == pytest.approx(sqrt(left), rel=0.15)
    assert filtered.predict(0, 0, 3660.0 + 20 * REVERT) == pytest.approx(1.0, rel=0.15)


def test_that_nobody_looked_does_not_make_a_state_last() -> None:
    """One slow answer before a day's pause is not what the endpoint is like in the long run."""
    filtered = fed([(1.0, 0, 0)] * 60, gap=60.0)
    for at in (3610.0, 3620.0, 90_000.0):
        filtered.observe(8.0, 0, 0, at)
    assert filtered.predict(0, 0, 10 * 90_000.0) < 1.6


def test_one_stray_observation_changes_little() -> None:
    """A single one ten times as long is held back; it is forgotten when the next ones are as ever."""
    filtered = fed([(1.0, 0, 0)] * 30)
    filtered.observe(10.0, 0, 0, 31)
    assert filtered.predict(0, 0) < 1.5
    for at in range(32, 42):
        filtered.observe(1.0, 0, 0, at)
    assert filtered.predict(0, 0) == pytest.approx(1.0, rel=0.1)


@pytest.mark.parametrize("factor", [0.1, 8.0])
def test_a_collapse_is_seen_with_the_second_observation(factor: float) -> None:
    """Two strays of the same kind are no strays."""
    filtered = fed([(1.0, 0, 0)] * 30)
    for at in (31, 32):
        filtered.observe(factor, 0, 0, at)
    assert abs(filtered.predict(0, 0) - factor) < abs(filtered.predict(0, 0) - 1.0)


def test_strays_to_both_sides_are_noise() -> None:
    """One too long and one too short do not add up to a change."""
    filtered = fed([(1.0, 0, 0)] * 30)
    for at, value in ((31, 9.0), (32, 0.01), (33, 9.0), (34, 0.01)):
        filtered.observe(value, 0, 0, at)
    assert 0.4 < filtered.predict(0, 0) < 2.5


def test_a_heavy_observation_counts_as_many() -> None:
    """One that stands for twenty moves it about as far as twenty do."""
    heavy, many = Filter(1.0, 0.1), Filter(1.0, 0.1)
    heavy.observe(1.5, 0, 0, 1.0, weight=20)
    for _ in range(20):
        many.observe(1.5, 0, 0, 1.0)
    assert heavy.predict(0, 0) == pytest.approx(many.predict(0, 0), rel=0.02)
    assert heavy.seen == many.seen == 20


_numbers = st.floats(0.0, 1e6, allow_nan=False)


@given(st.lists(st.tuples(_numbers, st.floats(0, 1000), st.floats(0, 100), st.floats(0, 1e6)), max_size=60))
def test_it_stays_sane_whatever_it_sees(seen: list[tuple[float, float, float, float]]) -> None:
    """Predictions are positive and finite, and no variance is negative, whatever order and size they come in."""
    filtered = Filter(0.5, 0.05)
    for value, first, second, at in seen:
        filtered.observe(value, first, second, at)
        for features in ((0.0, 0.0), (first, second), (1000.0, 100.0)):
            assert LEAST <= filtered.predict(*features) < 1e15
            assert 0.0 <= filtered.variance(*features, at + 1.0) < 1e30
