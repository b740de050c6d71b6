"""Parts of a step by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tests.unit.planner.serving.asked import deployed, load
from tokenway.planner.serving.cases import cases_of
from tokenway.planner.serving.deployment import Draft, Load, Pool
from tokenway.planner.serving.roofline import parts_of, prefill_sent, prefill_work, read, touched
from tokenway.planner.shapes import shape_of


def test_a_dense_model_by_hand() -> None:
    """Llama 3 70B in FP8 on one H200, eight sequences of 1,000 tokens in the middle of their output."""
    cases = cases_of([(deployed(pool=Pool(tp=1)), Load(input=900, output=200, concurrency=8))])
    parts, shape = parts_of(cases, np.array([8.0])), shape_of("llama-3-70b")[1]
    body = shape.attention + shape.always
    assert parts.weights[0] == pytest.approx((body + 2 * shape.head) / 4.8e12)
    assert parts.cache[0] == pytest.approx(8 * 1000 * 163_840 / 4.8e12)
    assert parts.products[0] == pytest.approx(2 * 8 * (body / 1979e12 + shape.head / 989e12))
    assert parts.scores[0] == pytest.approx(8 * 1000 * 80 * 4 * 64 * 128 / 989e12)
    assert parts.reduces[0] == parts.experts[0] == parts.beyond[0] == 0
    assert prefill_work(cases)[0] == pytest.approx(900 * (2 * body / 1979e12 + 80 * 4 * 64 * 128 * 450 / 989e12))


def test_tensors_split_heads_but_not_latents() -> None:
    """Eight chips read an eighth of Llama's cache each, all of DeepSeek's; attention apart splits it by sequences."""
    for model, pool, share in (
        ("llama-3-70b", Pool(tp=8), 8),
        ("deepseek-v3", Pool(tp=8), 1),
        ("deepseek-v3", Pool(dp=8, ep=8), 8),
    ):
        some, alone = (
            parts_of(cases_of([(deployed(model, pool=each), load())]), np.array([32.0])).cache[0]
            for each in (pool, Pool(tp=1))
        )
        assert alone / some == pytest.approx(share)


def test_experts_that_a_batch_touches() -> None:
    """Of R1's 256, 32 tokens touch 64 %."""
    facts = cases_of([(deployed("deepseek-v3"), load())]).facts
    assert touched(facts, np.array([32.0]))[0] == pytest.approx(0.638, abs=0.002)


def test_windows_and_sparse_attention_bound_what_is_read() -> None:
    """Half of gpt-oss's layers look back 128; V3.2 reads 2,048 and the keys by which it chooses them."""
    cases = cases_of([(deployed("gpt-oss-120b", numbers="mxfp4"), load()), (deployed("deepseek-v3.2"), load())])
    assert read(cases.facts, np.array([1000.0, 10_000.0])).tolist() == [18 * 1000 + 18 * 128, 61 * 2048]
    assert cases.facts.index_size.tolist() == [0, 128]


def test_what_a_prefix_cache_spares() -> None:
    """Half of it cached: half of the products, but the scores of the other half are against all of it."""
    fresh, half = prefill_work(cases_of([(deployed(), load(input_=8000, cached=share)) for share in (0.0, 0.5)]))
    assert 0.5 < half / fresh < 0.55


def test_prefill_adds_up_results_where_chips_share_attention() -> None:
    """Two all-reduces a layer of Llama 3 70B's 8,192 numbers in BF16, 7/8 there and 7/8 back; alone none."""
    cases = cases_of([(deployed(), load(input_=1000))])
    alone, eight, far = (prefill_sent(cases, np.array([float(tp)]))[0] for tp in (1, 8, 16))
    assert alone == 0
    assert eight == pytest.approx(1000 * 80 * 4 * 8192 * 2 * 7 / 8 / 450e9)
    assert far == pytest.approx(1000 * 80 * 4 * 8192 * 2 * 15 / 16 / 50e9)


def test_narrow_experts_are_prefilled_as_if_they_were_wider() -> None:
    """R1's of 2,048 with as much around them take twice as long; dense layers as long as ever."""
    cases = cases_of([(deployed("deepseek-v3"), load()), (deployed(), load())])
    plain, wider = prefill_work(cases), prefill_work(cases, 2048.0)
    shape = shape_of("deepseek-v3")[1]
    assert wider[0] - plain[0] == pytest.approx(1000 * 2 * shape.routed / 32 / 1979e12)
    assert wider[1] == plain[1]


def test_messages_to_experts_stay_in_the_domain_where_they_can() -> None:
    """None go beyond one; over two H200 machines 8 of 15 other chips are in the other one."""
    inside, across = (
        parts_of(cases_of([(deployed("deepseek-v3", pool=Pool(dp=n, ep=n)), load(256))]), np.array([256.0]))
        for n in (8, 16)
    )
    assert inside.beyond[0] == 0
    copies = 8 * 15 / 16 * 8 / 15
    assert across.beyond[0] == pytest.approx(58 * (256 / 16) * 7168 * 3 * copies / 50e9)
    assert across.experts[0] == pytest.approx(58 * (256 / 16) * 7168 * 4 * 8 * 15 / 16 * 7 / 15 / 450e9)


def test_guesses_go_through_the_step() -> None:
    """Twice as many tokens are multiplied with one guess each; the cache is read once."""
    plain, drafted = (
        parts_of(cases_of([(deployed(draft=draft), load())]), np.array([32.0])) for draft in (None, Draft(tokens=1))
    )
    assert drafted.products[0] == pytest.approx(2 * plain.products[0])
    assert drafted.cache[0] == plain.cache[0]
