"""Times of tokens and of first ones."""

from __future__ import annotations

import numpy as np
import pytest

from tests.unit.planner.serving.asked import deployed, load
from tokenway.planner.serving.cases import cases_of, spread
from tokenway.planner.serving.constants import calibration
from tokenway.planner.serving.deployment import Draft, Pool
from tokenway.planner.serving.timing import (
    BOUNDS,
    INDEX_LAYER,
    by_halves,
    first,
    own_prefill,
    per_step,
    prefilling,
    started,
    step_of,
    token,
    token_of,
)

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


def test_starts_cost_more_on_older_chips() -> None:
    """Of layers with experts and latent attention."""
    new, old = started(
        cases_of([(deployed("deepseek-r1", chip, pool=Pool(tp=8)), load()) for chip in ("b200", "h200")]), CONSTANTS
    )
    assert new < old


def test_messages_take_a_least_time() -> None:
    """Where attention is apart, and more beyond a domain: 16 H200 are two."""
    pools = (Pool(tp=8, ep=8), Pool(dp=8, ep=8), Pool(dp=16, ep=16))
    cases = cases_of([(deployed("deepseek-r1", pool=pool), load(0.001)) for pool in pools])
    shared, apart, far = step_of(cases, np.full(3, 0.001), CONSTANTS)[BOUNDS.index("links")]
    assert shared == pytest.approx(0, abs=1e-6)
    assert apart == pytest.approx(58 * CONSTANTS.apart_layer, rel=0.01)
    assert far == pytest.approx(apart + 61 * CONSTANTS.outer_layer, rel=0.01)


def test_between_domains_half_batches_hide_messages() -> None:
    """While one computes: with many sequences faster than one after the other, and never slower."""
    many = np.geomspace(1, 256, 20)
    pools = spread(deployed("deepseek-r1", "h200", pool=Pool(dp=32, ep=32)), load(), concurrency=many * 32)
    whole, halves = (of(pools, many * 32, CONSTANTS).sum(axis=0) for of in (step_of, by_halves))
    engine = np.exp(-CONSTANTS.quarter * pools.quarters)
    alone = pools._replace(prefill_gpus=np.full(20, 1e6))
    assert token_of(alone, many * 32, CONSTANTS).sum(axis=0) == pytest.approx(engine * np.minimum(whole, halves))
    assert halves[0] > whole[0]
    assert halves[-1] < 0.8 * whole[-1]


def test_half_batches_by_hand() -> None:
    """The longer of computing and messages counts; starts, and weights that all halves touch, twice."""
    cases = cases_of([(deployed("deepseek-r1", "h200", pool=Pool(dp=32, ep=32)), load(32 * 256))])
    running = np.array([32.0 * 256])
    half, both = step_of(cases, running / 2, CONSTANTS)[:, 0], by_halves(cases, running, CONSTANTS)[:, 0]
    links = BOUNDS.index("links")
    assert both.sum() == pytest.approx(2 * max(half[links], half.sum() - half[links]))
    assert both[BOUNDS.index("overhead")] == pytest.approx(2 * half[BOUNDS.index("overhead")])


def test_the_first_token_comes_later_where_few_chips_share_attention() -> None:
    """Eight chips prefill the same in all, but one request eight times slower where each has its own."""
    asked = [(deployed("deepseek-r1", pool=pool), load(1, 8000)) for pool in (Pool(tp=8, ep=8), Pool(dp=8, ep=8))]
    cases = cases_of(asked)
    shared, apart = first(cases, token(cases, CONSTANTS), CONSTANTS, FIRST)
    assert apart > 2 * shared


def test_which_chips_prefill() -> None:
    """The pool's own, or those of a worker for that; where none is told of, up to eight share attention."""
    asked = [
        (deployed(pool=Pool(tp=4)), load()),
        (deployed(pool=Pool(tp=4), prefill=Pool(workers=3, tp=2, dp=4)), load()),
    ]
    tp, chips = prefilling(cases_of(asked))
    assert (tp.tolist(), chips.tolist()) == ([4, 2], [4, 8])
    tp, chips = prefilling(spread(deployed(), load(), prefill_gpus=[4.0, 16.0]))
    assert (tp.tolist(), chips.tolist()) == ([4, 8], [4, 16])


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
