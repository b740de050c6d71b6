"""The model of serving against what was measured: points left out, MLPerf, a production day, a cost."""

from __future__ import annotations

from datetime import date

import msgspec
import numpy as np
import pytest

from benchmarks.planner.mlperf import results
from tests.unit.planner.serving.asked import deployed
from tokenway.planner.hardware import chip_of, chips
from tokenway.planner.serving.deployment import Load, Pool
from tokenway.planner.serving.disaggregated import input_rate, split
from tokenway.planner.serving.pareto import curve, sweep
from tokenway.planner.serving.points import points
from tokenway.planner.serving.predict import predict
from tokenway.planner.serving.validation import (
    by_one_point,
    coverage,
    errors,
    left_out,
    parts,
    sample_of,
    untouched,
)

MEDIAN, NINTH = 0.15, 0.40
DAY = 86_400


@pytest.mark.slow
def test_points_left_out_are_predicted() -> None:
    """By groups and by models: median within 15 %, nine in ten within 40 %, and the band holds about four of five."""
    sample = sample_of(points())
    groups, models = list(parts(sample.points)), [point.model for point in sample.points]
    by_group, by_model = left_out(sample, groups)[0], left_out(sample, models)[0]
    for predicted, held in (
        (by_group, coverage(sample, by_group, groups)),
        (by_model, coverage(sample, by_model, models)),
    ):
        found = errors(sample.tpot, predicted)
        assert found.median <= MEDIAN
        assert found.ninth <= NINTH
        assert 0.7 < held < 0.9
    better, others = by_one_point(sample, by_model)
    plain = errors(sample.tpot[others], by_model[others])
    assert errors(sample.tpot[others], better[others]).median < 0.5 * plain.median


@pytest.mark.slow
def test_blackwell_is_predicted_from_hopper_and_a_third_from_the_others() -> None:
    """Constants that never saw what they are tried on."""
    sample = sample_of(points())
    is_hopper = np.array([chips()[point.chip].architecture == "hopper" for point in sample.points])
    for learned in (is_hopper, ~untouched(sample.points)):
        found = errors(sample.tpot[~learned], sample.by(~learned, sample.found_on(learned))[0])
        assert found.median <= MEDIAN
        assert found.ninth <= NINTH


@pytest.mark.slow
def test_mlperf_offline() -> None:
    """Nine in ten rows within a factor of two."""
    ratios = np.array([result.ratio for result in results()])
    assert len(ratios) == 35
    assert np.mean((ratios > 0.5) & (ratios < 2)) >= 0.9


def test_a_day_of_deepseek() -> None:
    """On 27 February 2025, 608 billion tokens in, 56.3 % of them cached, and 168 billion out took 1,814 H800.

    EP32 for prefill and EP144 to decode, a cache in BF16, 20 to 22 tokens/s for each user at a mean context of 4,989,
    which is 4,383 tokens in and 1,211 out. A machine of eight did 73,700 tokens/s in, and another 14,800 out.
    """
    h800 = msgspec.structs.replace(chip_of("h800")[1], scale_up_gb_s=200.0)
    deployment = deployed("deepseek-v3", "h800", "fp8/fp8/bf16", Pool(dp=144, ep=144))
    deployment = msgspec.structs.replace(deployment, chip=h800)
    asked = Load(input=4383, output=1211, concurrency=144 * 88, cached=0.563)
    pools = split(deployment, asked, Pool(dp=32, ep=32))
    found = predict(pools.deployment, asked)
    assert 20 < found.tokens_per_s_user < 22
    assert 8 * found.running / found.tpot / 144 == pytest.approx(14_800, rel=0.1)
    assert 8 * input_rate(pools.deployment, asked) == pytest.approx(73_700, rel=0.15)
    assert 1_000 < 168e9 / DAY / found.tokens_per_s_gpu < 2_500


def test_sglang_over_nine_machines() -> None:
    """EP72 on H100 with 256 sequences a GPU of 2,000 tokens in: 22,282 tokens/s a machine, in May 2025."""
    deployment = deployed(
        "deepseek-v3", "h100", "fp8", Pool(dp=72, ep=72), prefill=Pool(workers=10**6), engine="sglang"
    )
    deployment = msgspec.structs.replace(deployment, released=date(2025, 5, 5))
    found = predict(deployment, Load(input=2000, output=100, concurrency=72 * 256))
    assert 8 * 256 / found.tpot == pytest.approx(22_282, rel=0.1)


def test_the_cost_of_r1_on_h200() -> None:
    """At 8k/1k and 50 tokens/s for each user InferenceX measured 108 tokens/s a GPU: $3.63 a million at $1.41 a GPU."""
    asked = Load(input=0.9 * 8192, output=0.9 * 1024, concurrency=1)
    best = max(curve(sweep(deployed("deepseek-r1"), asked, apart=apart).found).at(50) for apart in (False, True))
    assert 1.41 / 3600 / best * 1e6 == pytest.approx(3.63, rel=0.4)


def test_the_order_of_chips_for_r1() -> None:
    """Eight H100 do not hold it in FP8; at 50 tokens/s a newer chip does more, and four bits more than eight."""
    asked = Load(input=0.9 * 8192, output=0.9 * 1024, concurrency=1)
    rows = (
        ("h100", "fp8"),
        ("h200", "fp8"),
        ("b200", "fp8"),
        ("b200", "nvfp4"),
        ("gb200", "nvfp4"),
        ("gb300", "nvfp4"),
    )
    found = [curve(sweep(deployed("deepseek-r1", *row), asked).found).at(50) for row in rows]
    assert found[0] == 0
    assert found == sorted(found)
