"""Times of tokens and of first ones."""

from __future__ import annotations

import numpy as np
import pytest

from tests.unit.planner.serving.asked import deployed, load
from tokenway.planner.serving.cases import cases_of, spread
from tokenway.planner.serving.constants import calibration
from tokenway.planner.serving.deployment import Draft, Pool
from tokenway.planner.serving.timing import BOUNDS, INDEX_LAYER, first, own_prefill, per_step, started, token, token_of

CONSTANTS = calibration().constants
FIRST = calibration().first


def test_a_token_is_the_sum_of_its_bounds() -> None:
    """And nothing below zero."""
    found = token(cases_of([(deployed("deepseek-r1", pool=Pool(dp=8, ep=8)), load(64))]), CONSTANTS)
    assert found.shares.shape == (len(BOUNDS), 1)
    assert (found.shares >= 0).all()
    assert found.seconds[0] == pytest.approx(found.shares.sum())


def test_prefill_of_others_comes_in_between_on_one_pool_only() -> None:
    """One request's for every `output` tokens of each that runs."""
    together, apart = deployed(), deployed(prefill=Pool(workers=100, tp=8))
    cases = cases_of([(together, load(32, 8000, 400)), (apart, load(32, 8000, 400))])
    shares = token_of(cases, np.array([32.0, 32.0]), CONSTANTS)[BOUNDS.index("prefill")]
    newest = np.exp(-CONSTANTS.quarter * cases.quarters[0])
    assert shares[0] == pytest.approx(newest * 32 / 400 * own_prefill(cases, CONSTANTS)[0] / 8)
    assert shares[1] == 0


def test_memory_bounds_what_runs_and_the_rest_waits() -> None:
    """Of 500 requests to one H200 some forty run; the wait is many times the prefill."""
    cases = cases_of([(deployed(pool=Pool(tp=1)), load(500, 7000, 900))])
    found = token(cases, CONSTANTS)
    assert 30 < found.running[0] < 60
    waits = (500 / found.running[0] - 1) * 900 * found.seconds[0]
    assert first(cases, found, CONSTANTS, FIRST)[0] > FIRST.queue * waits


def test_a_small_prefill_pool_starves_the_other() -> None:
    """What runs at once is what the pool lets in, times how long it stays."""
    cases = cases_of([(deployed(pool=Pool(tp=8), prefill=Pool(tp=1)), load(400, 8000, 200))])
    found = token(cases, CONSTANTS)
    fed = 1 / own_prefill(cases, CONSTANTS)[0]
    assert found.running[0] < 100
    assert found.running[0] == pytest.approx(fed * 200 * found.seconds[0], rel=0.05)


def test_tokens_of_a_step() -> None:
    """One without a draft; two guesses, each right half of the time, make 1 + 1/2 + 1/4."""
    assert per_step(
        cases_of([(deployed(draft=Draft(tokens=2, accepted=0.5)), load()), (deployed(), load())])
    ).tolist() == [
        1.75,
        1,
    ]


def test_starts_cost_more_on_older_chips_and_across_domains() -> None:
    """Of layers with experts; 16 H100 are two domains."""
    asked = (("b200", Pool(tp=8)), ("h200", Pool(tp=8)), ("h200", Pool(dp=16, ep=16)))
    new, old, far = started(
        cases_of([(deployed("deepseek-r1", chip, pool=pool), load()) for chip, pool in asked]), CONSTANTS
    )
    assert new < old < far


@pytest.mark.parametrize("name", ["vllm", "sglang"])
def test_engines_differ_by_a_factor(name: str) -> None:
    """Of all of a token."""
    plain, other = (
        token(cases_of([(deployed(engine=each), load())]), CONSTANTS).seconds[0] for each in ("trtllm", name)
    )
    assert other / plain == pytest.approx(getattr(CONSTANTS, name))


def test_more_at_once_is_slower_for_each() -> None:
    """From one to four thousand, for each kind of layout, with prefill beside and apart."""
    many = np.geomspace(1, 4096, 60)
    for pool in (Pool(tp=8), Pool(tp=8, ep=8), Pool(dp=8, ep=8)):
        for prefill in (None, Pool(workers=2, tp=8)):
            asked = deployed("deepseek-r1", "b200", "nvfp4", pool, prefill=prefill)
            seconds = token(spread(asked, load(), concurrency=many), CONSTANTS).seconds
            assert (np.diff(seconds) > -1e-6 * seconds[1:]).all()


def test_choosing_what_to_read_takes_starts_of_its_own() -> None:
    """V3.2 beside V3, of the same sizes."""
    full, sparse = started(
        cases_of([(deployed(model), load()) for model in ("deepseek-v3", "deepseek-v3.2")]), CONSTANTS
    )
    assert sparse - full == pytest.approx(61 * INDEX_LAYER)
