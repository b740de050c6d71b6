"""Sweeps and their curves."""

from __future__ import annotations

import time

import numpy as np
import pytest

from tests.unit.planner.serving.asked import deployed, load
from tokenway.planner.hardware import chip_of
from tokenway.planner.serving.deployment import Load, Pool
from tokenway.planner.serving.pareto import curve, layouts, sweep
from tokenway.planner.serving.predict import predict
from tokenway.planner.shapes import shape_of


def test_layouts_of_a_domain() -> None:
    """Dense models share each layer; those with experts have them whole too; 72 GPUs only where there are such."""
    dense, chip = shape_of("llama-3-70b")[1], chip_of("h200")[1]
    assert [pool.tp for pool in layouts(dense, chip)] == [1, 2, 4, 8]
    found = layouts(shape_of("deepseek-r1")[1], chip_of("gb200")[1])
    assert Pool(dp=72, ep=72) in found
    assert Pool(tp=8, ep=8) in found
    assert all(pool.chips <= 72 for pool in found)


def test_a_sweep_is_its_predictions() -> None:
    """Each case is what is predicted for it alone."""
    asked = deployed("deepseek-r1")
    found = sweep(asked, load(1, 1000, 500), [Pool(tp=8), Pool(dp=8, ep=8)], batches=(1.0, 64.0))
    for case in range(4):
        alone = predict(found.deployment(asked, case), Load(input=1000, output=500, concurrency=(1, 64)[case % 2]))
        assert found.found.tpot[case] == pytest.approx(alone.tpot)


@pytest.mark.parametrize("apart", [False, True])
def test_no_case_beats_the_curve(apart: bool) -> None:
    """Faster for users is always less from a GPU along it, and every other case is at or below it."""
    found = sweep(deployed("deepseek-r1"), load(1, 7000, 900), apart=apart).found
    best = curve(found)
    assert (np.diff(best.user) > 0).all()
    assert (np.diff(best.gpu) < 0).all()
    for user, gpu in zip(found.tokens_per_s_user[found.fits], found.tokens_per_s_gpu[found.fits], strict=True):
        assert ((best.user >= user) & (best.gpu >= gpu)).any()


def test_between_its_points_a_curve_falls() -> None:
    """At a point it is that point; beyond the fastest there is nothing."""
    best = curve(sweep(deployed("deepseek-r1"), load(1, 7000, 900)).found)
    assert best.at(float(best.user[2])) == pytest.approx(best.gpu[2])
    asked = np.linspace(best.user[0], best.user[-1], 50)
    assert (np.diff([best.at(float(user)) for user in asked]) <= 1e-9).all()
    assert best.at(1.01 * float(best.user[-1])) == 0


def test_a_bound_on_the_first_token_takes_cases_away() -> None:
    """And one that nothing keeps leaves none."""
    found = sweep(deployed("deepseek-r1"), load(1, 7000, 900)).found
    assert len(curve(found, ttft=1.0).case) < len(curve(found).case)
    assert curve(found, ttft=1e-6).at(10) == 0


def test_thousands_take_a_fraction_of_a_second() -> None:
    """A search of a fleet has two seconds for some hundreds of these."""
    began = time.perf_counter()
    found = sweep(deployed("deepseek-r1", "gb200"), load(), batches=list(np.geomspace(1, 4096, 400)))
    curve(found.found)
    assert len(found.pool) > 5000
    assert time.perf_counter() - began < 0.5
