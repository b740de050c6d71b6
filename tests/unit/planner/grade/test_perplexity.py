"""Perplexity of a small model, its change by format, and whether the intervals hold what they say."""

from __future__ import annotations

from dataclasses import replace
from math import exp

import numpy as np
import pytest

from tests.unit.planner.grade.gguf_maker import LAYERS, TEXT, gguf, tiny_model, tiny_pairs, tiny_tensors
from tokenway.planner.errors import PlanError
from tokenway.planner.grade.blocks import SCHEMES
from tokenway.planner.grade.forward import Llama
from tokenway.planner.grade.perplexity import AS_STORED, Reading, block_means, change, measure
from tokenway.planner.grade.tokens import Tokenizer
from tokenway.planner.grade.weights import read_weights

WEIGHTS = read_weights(memoryview(tiny_model()))
IDS = np.array(Tokenizer(WEIGHTS.about).encode(TEXT))
SCHEMES_OF = [SCHEMES[name] for name in ("fp16", "fp8-row", "mxfp4")]


def of_losses(losses: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Reading:
    """A reading with these losses."""
    return Reading(losses.astype(np.float32), np.zeros(len(losses), np.float32), np.ones(len(losses), np.float32))


def test_the_loss_is_that_of_a_whole_pass() -> None:
    """Window by window, each token but the first of a window, with the text's own scores."""
    told: list[str] = []
    found = measure(Llama(WEIGHTS), IDS, [], told.append, window=50).readings[AS_STORED]
    model, expected = Llama(WEIGHTS), []
    for at in range(0, len(IDS) - 1, 50):
        cut = IDS[at : at + 50]
        hidden = model.start(cut)
        for layer in range(LAYERS):
            hidden = model.through(model.layer(layer), hidden)
        scores = (model.finish(hidden) @ model.head().T).astype(np.float64)
        shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        expected += [-np.log(shares[n, cut[n + 1]]) for n in range(len(cut) - 1)]
    np.testing.assert_allclose(found.losses, expected, rtol=1e-3, atol=1e-4)
    assert found.perplexity == pytest.approx(exp(np.mean(expected)), rel=1e-4)
    assert told == ["layer 1 of 2", "layer 2 of 2", "predictions"]


def test_fewer_bits_move_the_predictions_further() -> None:
    """Divergence is nought for the weights as stored, and grows; every matrix has its error."""
    found = measure(Llama(WEIGHTS), IDS, SCHEMES_OF, lambda _: None)
    apart = [float(found.readings[name].divergence.mean()) for name in (AS_STORED, "fp16", "fp8-row", "mxfp4")]
    assert apart == sorted(apart)
    assert apart[0] == 0
    assert apart[3] > 10 * apart[2] > 0
    assert found.readings[AS_STORED].same_top.all()
    assert len(found.damages) == 3 * 7 * LAYERS
    assert {each.scheme for each in found.damages} == {"fp16", "fp8-row", "mxfp4"}


def test_a_format_that_keeps_every_number_changes_nothing() -> None:
    """Weights that are float16 numbers already, stored as float16."""
    found = measure(Llama(WEIGHTS), IDS, [SCHEMES["fp16"]], lambda _: None)
    ratio = change(found.readings["fp16"], found.readings[AS_STORED], np.random.default_rng(1))
    assert ratio.ratio == pytest.approx(1, abs=1e-3)


def test_a_short_text_is_refused() -> None:
    """With how much is needed."""
    with pytest.raises(PlanError, match="has 10 tokens; a perplexity needs 64"):
        measure(Llama(WEIGHTS), IDS[:10], [], lambda _: None)


def test_a_model_that_gives_no_numbers_is_refused() -> None:
    """A norm of infinity, as a damaged file may have it."""
    tensors = [
        replace(each, data=np.full(each.shape, np.inf, "<f4").tobytes()) if each.name == "output_norm.weight" else each
        for each in tiny_tensors()
    ]
    weights = read_weights(memoryview(gguf(tiny_pairs(), tensors)))
    with pytest.raises(PlanError, match="not finite"), np.errstate(all="ignore"):
        measure(Llama(weights), IDS, [], lambda _: None)


def test_a_gate_far_below_zero_is_shut() -> None:
    """Without a warning, which tests would turn into an error, and without spoiling the numbers."""
    model = Llama(WEIGHTS)
    layer = {name: values * np.float32(1e4 if name == "ffn_gate" else 1) for name, values in model.layer(0).items()}
    assert np.isfinite(model.through(layer, model.start(IDS[:8]))).all()


def test_a_clear_change_is_told_and_noise_is_not() -> None:
    """A tenth of a nat more at every token, beside losses that differ by chance only."""
    chance = np.random.default_rng(3)
    before = chance.gamma(2, 2, 800)
    worse = change(of_losses(before + 0.1 + chance.normal(0, 0.3, 800)), of_losses(before), chance)
    alike = change(of_losses(before + chance.normal(0, 0.3, 800)), of_losses(before), chance)
    assert worse.is_told
    assert worse.low < exp(0.1) < worse.high
    assert not alike.is_told


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """Neighbours are alike (an autoregression): at least 85 of 100 intervals of 95 % hold the mean."""
    chance = np.random.default_rng(4)
    held = 0
    for _ in range(100):
        noise = chance.normal(0, 0.2, 700)
        for at in range(1, 700):
            noise[at] += 0.5 * noise[at - 1]
        means = block_means(noise + 0.05, chance)
        low, high = np.quantile(means, [0.025, 0.975])
        held += low <= 0.05 <= high
    assert held >= 85
