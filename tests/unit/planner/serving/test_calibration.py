"""Constants are found again on points that were made with them."""

from __future__ import annotations

import numpy as np
import pytest

from tests.unit.planner.serving.asked import deployed, load
from tokenway.planner.serving.calibration import PLAUSIBLE, SIGMA, fit, taken, weights_of
from tokenway.planner.serving.cases import cases_of
from tokenway.planner.serving.constants import calibration
from tokenway.planner.serving.deployment import Pool
from tokenway.planner.serving.timing import first, token


def _asked() -> list[tuple[str, str, str, Pool]]:
    models = (("llama-3-70b", "fp8"), ("deepseek-v3", "fp8"), ("gpt-oss-120b", "mxfp4"), ("qwen3.5-397b", "fp8"))
    pools = (Pool(tp=8), Pool(tp=4), Pool(dp=8, ep=8), Pool(tp=16))
    return [(*model, chip, pool) for model in models for chip in ("h200", "b200") for pool in pools]


def test_constants_are_found_again() -> None:
    """Those that matter most within a fifth, and what they predict within a few hundredths; the start is elsewhere."""
    true = calibration()
    cases = cases_of(
        [
            (deployed(model, chip, numbers, pool, engine=engine), load(n, input_, 500))
            for model, numbers, chip, pool in _asked()
            for engine in ("trtllm", "vllm")
            for n, input_ in ((4, 500), (32, 500), (256, 500), (32, 8000))
        ]
    )
    tokens = token(cases, true.constants)
    starts = first(cases, tokens, true.constants, true.first)
    found = fit(cases, tokens.seconds, starts, np.ones(len(starts)))
    for name in ("weights", "layer", "vllm", "prefill"):
        assert getattr(found.constants, name) == pytest.approx(getattr(true.constants, name), rel=0.2), name
    again = token(cases, found.constants).seconds
    assert np.median(np.abs(again / tokens.seconds - 1)) < 0.03


def test_a_kind_with_many_points_weighs_by_their_root() -> None:
    """Four of one kind weigh twice as much as one of another, not four times."""
    weights = weights_of(["a"] * 4 + ["b"])
    assert weights[:4].sum() / weights[4] == pytest.approx(2)
    assert weights.mean() == pytest.approx(1)


def test_some_of_the_cases() -> None:
    """By a mask, facts with them."""
    cases = cases_of([(deployed(), load(n)) for n in (1, 2, 3)])
    some = taken(cases, np.array([True, False, True]))
    assert some.concurrency.tolist() == [1, 3]
    assert some.facts.layers.tolist() == [80, 80]


def test_each_constant_has_a_plausible_value_and_a_spread() -> None:
    """In the same units as it is shipped in."""
    assert all(0 < each < 1.5 for each in SIGMA)
    shipped = calibration().constants
    for name, plausible, spread in zip(PLAUSIBLE._fields, PLAUSIBLE, SIGMA, strict=True):
        assert abs(np.log(getattr(shipped, name) / plausible)) < 3.5 * spread, name
