"""Pools apart."""

from __future__ import annotations

import numpy as np
import pytest

from tests.unit.planner.serving.asked import deployed, load
from tokenway.planner.serving.cases import spread
from tokenway.planner.serving.constants import calibration
from tokenway.planner.serving.deployment import Pool
from tokenway.planner.serving.disaggregated import balanced, handover, input_rate, split
from tokenway.planner.serving.predict import predict, predict_all
from tokenway.planner.serving.timing import own_prefill


def test_a_split_keeps_pace() -> None:
    """All of the load decodes at once, and with a worker less for prefill it does not."""
    asked = load(128, 7000, 900)
    found = split(deployed("deepseek-r1", pool=Pool(workers=4, tp=8)), asked, Pool(tp=4))
    pool = found.deployment.prefill
    assert pool is not None
    assert pool.workers == np.ceil(found.prefill_per_decode * 32 / 4)
    assert predict(found.deployment, asked).running == pytest.approx(128, rel=0.02)


def test_longer_inputs_need_more_for_prefill_and_cached_ones_less() -> None:
    """Nearly in proportion."""
    short, long, cached = (
        split(deployed(pool=Pool(workers=8, tp=8)), asked, Pool(tp=8)).prefill_per_decode
        for asked in (load(256, 1000, 500), load(256, 8000, 500), load(256, 8000, 500, cached=0.75))
    )
    assert long > 4 * short
    assert cached < 0.5 * long


def test_a_cache_is_handed_over_by_the_link() -> None:
    """R1 at 8,000 tokens in FP8: 281 MB at 50 GB/s; in one domain at 900."""
    far, near = (
        handover(deployed("deepseek-r1", chip, prefill=Pool(tp=8)), load(1, 8000)) for chip in ("h200", "gb200")
    )
    assert far == pytest.approx(61 * 576 * 8000 / 50e9)
    assert near == pytest.approx(61 * 576 * 8000 / 900e9)


def test_the_rate_of_input() -> None:
    """Cached tokens count as served. DeepSeek's own fleet had 9,212 tokens/s of input a GPU, 56.3 % of it cached."""
    rate = input_rate(deployed("deepseek-v3", "h800", pool=Pool(dp=32, ep=32)), load(1, 4500, 1000, cached=0.563))
    assert rate == pytest.approx(9212, rel=0.6)


def test_balanced_cases_keep_pace_by_fractions_of_gpus() -> None:
    """As many GPUs prefill as the requests take of them."""
    cases = balanced(spread(deployed("deepseek-r1"), load(1, 7000, 900), concurrency=[4.0, 64.0]), 8.0)
    found = predict_all(cases)
    assert found.running.tolist() == pytest.approx([4, 64], rel=0.02)
    flow = found.running / (900 * found.tpot)
    assert cases.prefill_gpus.tolist() == pytest.approx(
        (flow * own_prefill(cases, calibration().constants)).tolist(), rel=0.02
    )
