"""Errors drawn anew are like those that there were."""

from __future__ import annotations

import numpy as np
import pytest

from tokenway.planner.demand.noise import likeness, noise_of


def _errors(part: float, count: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    generator = np.random.default_rng(5)
    found = np.zeros(count)
    for place in range(1, count):
        found[place] = part * found[place - 1] + generator.normal()
    return found


@pytest.mark.parametrize("part", [0.0, 0.6])
def test_likeness_is_measured_and_put_back(part: float) -> None:
    """In what is drawn neighbours are as alike, and the spread is the same."""
    errors = _errors(part, 2000)
    noise = noise_of(errors, np.arange(2000.0), 2, block=7)
    drawn = noise.draw(50, 400, np.random.default_rng(6))
    alike = np.mean([np.corrcoef(row[1:], row[:-1])[0, 1] for row in drawn])

    assert noise.likeness == pytest.approx(part, abs=0.05)
    assert alike == pytest.approx(part, abs=0.05)
    assert drawn.std() == pytest.approx(errors.std(), rel=0.06)


def test_what_follows_begins_with_the_last_one() -> None:
    """A high last error fades by the likeness, from period to period."""
    noise = noise_of(_errors(0.6, 2000), np.arange(2000.0), 2, block=7)
    after = noise.draw_after(np.full(4000, 10.0), 5, np.random.default_rng(7)).mean(axis=0)

    assert after == pytest.approx(10 * noise.likeness ** np.arange(1, 6), abs=0.15)


def test_neighbours_across_a_gap_are_none() -> None:
    """Only places next to each other count."""
    errors = np.tile([1.0, -1.0], 20)

    assert likeness(errors, np.arange(40.0) * 2, 1) == 0.0
    assert likeness(np.zeros(40), np.arange(40.0), 1) == 0.0


def test_blocks_stay_together() -> None:
    """Within one, what is new follows as it did."""
    errors = np.arange(70.0)
    noise = noise_of(errors, np.arange(70.0) * 2, 1, block=7)
    drawn = noise.draw_fresh(3, 14, np.random.default_rng(1))
    steps = np.diff(np.argsort(noise.fresh)[np.searchsorted(np.sort(noise.fresh), drawn)], axis=1) % 70

    assert (steps[:, :6] == 1).all()
    assert (steps[:, 7:] == 1).all()
