"""Predictions: what they say, and what they keep to."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.planner.serving.asked import deployed, load
from tokenway.planner.hardware import chips
from tokenway.planner.serving.cases import Cases, spread
from tokenway.planner.serving.constants import calibration
from tokenway.planner.serving.deployment import Draft, Pool
from tokenway.planner.serving.predict import Predictions, measured_by, predict, predict_all, predict_many
from tokenway.planner.serving.roofline import parts_of, prefill_work
from tokenway.planner.shapes import shapes


def test_one_and_many_agree() -> None:
    """A prediction is a row of them."""
    asked = [(deployed(model), load(n)) for model in ("llama-3-70b", "gpt-oss-120b") for n in (4, 64)]
    many = predict_many(asked)
    for number, each in enumerate(asked):
        one = predict(*each)
        assert one.tpot == pytest.approx(many.tpot[number])
        assert one.shares[one.bound] == max(one.shares.values())
        assert sum(one.shares.values()) == pytest.approx(1)


@given(
    model=st.sampled_from(["llama-3-8b", "llama-3-70b", "deepseek-r1", "gpt-oss-120b", "qwen3.5-397b"]),
    chip=st.sampled_from(["h200", "b200", "gb300", "mi355x"]),
    pool=st.sampled_from([Pool(tp=1), Pool(tp=8), Pool(tp=4, dp=2, ep=8), Pool(dp=8, ep=8)]),
    input_=st.floats(1, 30_000),
    output=st.floats(2, 8_000),
)
def test_more_at_once_serves_more_and_each_more_slowly(
    model: str, chip: str, pool: Pool, input_: float, output: float
) -> None:
    """As long as all of it runs; beyond, requests only wait."""
    asked = deployed(model, chip, pool=pool)
    found = predict_all(spread(asked, load(1, input_, output), concurrency=np.geomspace(1, 2048, 40)))
    runs = found.running >= 0.999 * np.geomspace(1, 2048, 40)
    assert (np.diff(found.tpot[runs]) >= 0).all()
    assert (np.diff(found.tokens_per_s_gpu[runs]) > -1e-9).all()


def test_requests_follow_from_littles_law() -> None:
    """What is in at once is the rate times how long a request stays."""
    found = predict(deployed(), load(32, 1000, 500))
    assert found.requests_per_s * (found.ttft + 499 * found.tpot) == pytest.approx(32)
    assert found.tokens_per_s_gpu == pytest.approx(found.requests_per_s * 500 / 8)


def test_a_queue_serves_no_faster_than_what_runs() -> None:
    """Twice as many requests at a GPU that is full wait longer, and that is all."""
    full, fuller = (predict(deployed(pool=Pool(tp=1)), load(n, 7000, 900)) for n in (200, 400))
    assert fuller.ttft > 1.5 * full.ttft
    assert fuller.tokens_per_s_gpu == pytest.approx(full.tokens_per_s_gpu)
    assert full.requests_per_s <= full.running / (900 * full.tpot) * (1 + 1e-9)


def test_a_measured_point_recalibrates() -> None:
    """That point is met, others move by the same factor, and the band is narrower."""
    plain = predict(deployed(), load(32))
    measured = measured_by(deployed(), load(32), 1.2 * plain.tpot)
    assert predict(deployed(), load(32), measured).tpot == pytest.approx(1.2 * plain.tpot)
    better = predict(deployed(), load(64), measured)
    assert better.tpot == pytest.approx(1.2 * predict(deployed(), load(64)).tpot)
    assert better.high / better.low < plain.high / plain.low


def test_the_band_is_wider_for_what_the_calibration_does_not_know() -> None:
    """A chip, a model, both."""
    asked = [("llama-3-70b", "h200"), ("llama-3-70b", "b300"), ("llama-3-405b", "h200"), ("llama-3-405b", "b300")]
    found = predict_many([(deployed(*each), load(8)) for each in asked])
    known, chip, model, both = np.log(found.high / found.tpot)
    widths = calibration().widths
    assert (known, chip, model, both) == pytest.approx(
        tuple(np.hypot((widths.known, widths.new_chip, widths.new_model, widths.new_both), widths.drift))
    )


def test_what_does_not_fit_says_so() -> None:
    """R1 in FP8 on eight H100."""
    assert not predict(deployed("deepseek-r1", "h100"), load(1)).fits
    assert predict(deployed("deepseek-r1", "h200"), load(1)).fits


def test_a_draft_helps_where_memory_bounds() -> None:
    """At one request nearly by the tokens of a step; of many less."""
    drafted, plain = deployed(draft=Draft(tokens=2, accepted=0.8, cost=0.02)), deployed()
    few, many = (predict(plain, load(n)).tpot / predict(drafted, load(n)).tpot for n in (1, 400))
    assert 2 < few < 2.5
    assert many < few


BATCHES = np.geomspace(1, 1024, 11)


def _grid(chip: str, numbers: str, model: str) -> tuple[Cases, Predictions]:
    """All layouts by all batches, with prefill beside them."""
    shape = shapes()[model]
    pools = [Pool(tp=1), Pool(tp=8), Pool(tp=16)]
    pools += [Pool(tp=8, ep=8), Pool(dp=8, ep=8), Pool(dp=16, ep=16)] if shape.experts else []
    columns = {name: np.repeat([getattr(pool, name) for pool in pools], len(BATCHES)) for name in ("tp", "dp", "ep")}
    cases = spread(deployed(model, chip, numbers), load(), concurrency=np.tile(BATCHES, len(pools)), **columns)
    return cases, predict_all(cases)


@pytest.mark.parametrize("numbers", ["bf16", "fp8", "nvfp4", "mxfp4", "int4"])
@pytest.mark.parametrize("chip", chips())
def test_every_model_is_plausible_on_every_chip(chip: str, numbers: str) -> None:
    """Finite; slower for each and faster in all with more at once; never more bytes or operations than it has."""
    for model in shapes():
        cases, found = _grid(chip, numbers, model)
        assert np.isfinite(found.tpot).all()
        assert np.isfinite(found.ttft).all()
        tpot, gpu = (column.reshape(-1, len(BATCHES)) for column in (found.tpot, found.tokens_per_s_gpu))
        assert (np.diff(tpot) >= -1e-9 * tpot[:, 1:]).all(), model
        assert (np.diff(gpu) >= -1e-3 * gpu[:, 1:]).all(), model
        parts = parts_of(cases, found.running)
        prefill = found.running / cases.output * prefill_work(cases) / (cases.tp * cases.dp)
        assert ((parts.weights + parts.cache) < found.tpot)[found.fits].all(), model
        assert ((parts.products + parts.scores + prefill) < found.tpot)[found.fits].all(), model


@pytest.mark.parametrize(
    ("newer", "older"),
    [
        *[("gb300", "gb200"), ("gb200", "b200"), ("b300", "b200"), ("b200", "h200"), ("h200", "h100")],
        *[("mi355x", "mi325x"), ("mi325x", "mi300x"), ("mi355x", "h200")],
    ],
)
def test_a_newer_chip_is_no_slower(newer: str, older: str) -> None:
    """With as many running, in eight bits."""
    for model in shapes():
        (_, better), (_, worse) = _grid(newer, "fp8", model), _grid(older, "fp8", model)
        same = better.running == worse.running
        assert (better.tpot <= worse.tpot * (1 + 1e-9))[same].all(), model
        assert (better.most >= worse.most).all(), model
