"""How long the parts of a step take at the rates of the data sheet: bytes over bandwidth, operations over rates.

A step gives a token to every sequence that runs. Its parts, for the busiest chip of a worker: weights that have to be
read (of the experts those that the batch touches: 1 - (1 - k/E)^B of them), cached keys and values, products of
matrices, scores of attention, messages between chips; and beside them prefill, which takes its share of the same
chips where they are not apart. A draft's guesses go through the step as further tokens of their sequences. What of
these rates is really had is for the calibration to say.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from tokenway.planner.serving.cases import Cases, Column, Facts

MESSAGE_SIZE: Final = 2.0
"""Bytes per number between chips: BF16."""

FAR_SIZE: Final = 3.0
"""Bytes per number there and back between domains: FP8 to the experts, BF16 from them (DeepEP, for decoding)."""


class Parts(NamedTuple):
    """Seconds at the rates of the data sheet, of one step with `running` sequences per worker."""

    weights: Column
    cache: Column
    products: Column
    scores: Column
    reduces: Column
    experts: Column
    """Messages with the tokens for experts on other chips, within the scale-up domain."""
    beyond: Column
    """The same to other domains: a token goes to each expert of it there by itself."""


def read(facts: Facts[Column], context: Column) -> Column:
    """Layers times tokens that a new token of a sequence of `context` tokens looks at."""
    full = facts.full_layers * np.minimum(context, facts.attended)
    return full + facts.windowed_layers * np.minimum(context, facts.window)


def touched(facts: Facts[Column], batch: Column) -> Column:
    """The share of the experts that `batch` tokens use between them."""
    return 1.0 - np.power(1.0 - facts.share, batch)


def _copies(cases: Cases) -> tuple[Column, Column]:
    """How often a token is sent to experts where attention is apart: to other chips of its domain, and beyond."""
    chosen = np.minimum(cases.facts.share * cases.facts.experts, cases.ep) * (1.0 - 1.0 / cases.ep)
    chips = cases.tp * cases.dp
    near = np.minimum((cases.facts.domain - 1.0) / np.maximum(chips - 1.0, 1.0), 1.0)
    sent = np.where(cases.dp > 1, chosen, 0.0)
    return sent * near, sent * (1.0 - near)


def prefill_work(cases: Cases, around: float = 0.0) -> Column:
    """Seconds for one request's input on one chip, at its rates, with experts as if they were wider by `around`."""
    facts, fresh = cases.facts, cases.input * (1.0 - cases.cached)
    dense = 2.0 * (facts.attention + facts.always) / facts.attention_rate
    routed = 2.0 * facts.routed * facts.share / facts.expert_rate
    context = cases.input * (1.0 + cases.cached) / 2.0
    scores = facts.prefill_score * read(facts, context) / facts.score_rate
    return fresh * (dense + routed * (1.0 + around / facts.expert_ff) + scores)


def prefill_sent(cases: Cases, tp: Column) -> Column:
    """Seconds in which the chips that share a request's attention add up its results, layer by layer."""
    facts, fresh = cases.facts, cases.input * (1.0 - cases.cached)
    link = np.where(tp > facts.domain, facts.scale_out, facts.scale_up)
    return 4.0 * facts.layers * (tp - 1.0) / tp * fresh * facts.hidden * MESSAGE_SIZE / link


def parts_of(cases: Cases, running: Column) -> Parts:
    """The parts of a step."""
    facts = cases.facts
    chips = cases.tp * cases.dp
    fed = running * (1.0 + cases.guesses)
    local = fed / cases.dp
    context = cases.input + cases.output / 2.0
    looked = read(facts, context)
    weights = (facts.attention * facts.attention_size + facts.always * facts.always_size) / cases.tp
    weights = weights + facts.head * facts.head_size / cases.tp
    weights = weights + facts.routed * facts.routed_size * touched(facts, fed) / chips
    cached = looked * facts.cache_size / np.minimum(cases.tp, facts.splits) + facts.state_size / cases.tp
    cached = cached + facts.full_layers * facts.index_size * context
    cache = running / cases.dp * cached
    products = local * (facts.attention + facts.always) / cases.tp / facts.attention_rate
    products = products + local * facts.head / cases.tp / facts.score_rate
    products = products + fed * facts.routed * facts.share / chips / facts.expert_rate
    vector = local * facts.hidden * MESSAGE_SIZE
    reduces = 4.0 * facts.layers * (cases.tp - 1.0) / cases.tp * vector / facts.scale_up
    near, far = _copies(cases)
    return Parts(
        weights=weights / facts.bandwidth,
        cache=cache / facts.bandwidth,
        products=2.0 * products,
        scores=local * looked * facts.decode_score / cases.tp / facts.score_rate,
        reduces=reduces,
        experts=2.0 * facts.expert_layers * vector * near / facts.scale_up,
        beyond=facts.expert_layers * local * facts.hidden * FAR_SIZE * far / facts.scale_out,
    )
