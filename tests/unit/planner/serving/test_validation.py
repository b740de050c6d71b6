"""Splits and what is counted in them."""

from __future__ import annotations

import numpy as np
import pytest

from tokenway.planner.serving.points import points
from tokenway.planner.serving.validation import (
    after_2025,
    by_one_point,
    coverage,
    errors,
    left_out,
    parts,
    sample_of,
    untouched,
)

SAMPLE = sample_of(points()[::12])
"""Every twelfth point: enough to find constants, and fast."""


def test_splits_are_of_whole_groups() -> None:
    """No group is on both sides."""
    for labels in (untouched(SAMPLE.points), parts(SAMPLE.points)):
        sides: dict[str, set[int]] = {}
        for point, label in zip(SAMPLE.points, labels, strict=True):
            sides.setdefault(point.group, set()).add(int(label))
        assert all(len(side) == 1 for side in sides.values())
    assert 0.25 < untouched(points()).mean() < 0.42
    assert set(parts(SAMPLE.points).tolist()) == set(range(5))


def test_points_that_cannot_be_are_not_learned_from() -> None:
    """235 GB on one H200, and more prefill than its data sheet allows."""
    sample = sample_of(points())
    odd = [point for point, usable in zip(sample.points, sample.usable, strict=True) if not usable]
    assert {(point.model, point.engine) for point in odd} == {("qwen3-235b", "vllm"), ("llama-3-8b", "vllm")}
    assert len(odd) < 0.03 * len(sample.points)


def test_errors_by_hand() -> None:
    """Twice as slow is 100 %, half as slow 50 %."""
    found = errors(np.array([1.0, 1.0, 1.0]), np.array([2.0, 0.5, 1.1]))
    assert found.points == 3
    assert found[1:] == pytest.approx((0.5, 0.9, 0.1))


def test_what_is_left_out_is_not_learned_from() -> None:
    """The times of a label make no difference to its predictions."""
    labels = [point.chip == "h100" for point in SAMPLE.points]
    rows = np.array(labels)
    changed = SAMPLE._replace(tpot=np.where(rows, SAMPLE.tpot * 3, SAMPLE.tpot))
    assert left_out(changed, labels)[0][rows] == pytest.approx(left_out(SAMPLE, labels)[0][rows])


def test_coverage_takes_its_width_from_the_others() -> None:
    """Perfect elsewhere, the width is nothing, and what is off is not held."""
    predicted = SAMPLE.tpot.copy()
    labels = ["a" if number < len(predicted) // 4 else "b" for number in range(len(predicted))]
    predicted[: len(predicted) // 4] *= 2
    assert coverage(SAMPLE, predicted, labels) == pytest.approx(0.75, abs=0.01)


def test_one_point_of_a_configuration() -> None:
    """Off by a factor of its own each: one point mends all others, and does not count itself."""
    sample = sample_of(points()[:300])
    factor = {kind: 1 + 0.1 * n for n, kind in enumerate(sorted({point.kind for point in sample.points}))}
    predicted = sample.tpot * np.array([factor[point.kind] for point in sample.points])
    better, others = by_one_point(sample, predicted)
    assert better[others] == pytest.approx(sample.tpot[others])
    assert 0.3 < others.mean() < 1


def test_what_was_measured_later_is_not_learned_from() -> None:
    """Nor when it was: its predictions are by constants, and of engines, from before."""
    is_late, predicted = after_2025(SAMPLE)
    assert 0.1 < is_late.mean() < 0.5
    changed = SAMPLE._replace(
        tpot=np.where(is_late, SAMPLE.tpot * 3, SAMPLE.tpot),
        cases=SAMPLE.cases._replace(quarters=np.where(is_late, 99.0, SAMPLE.cases.quarters)),
    )
    assert after_2025(changed)[1] == pytest.approx(predicted)
