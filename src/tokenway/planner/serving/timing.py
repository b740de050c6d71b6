"""Time of a step, of a token and to the first token: the parts of the roofline with the constants of the calibration.

A token takes the sum of what is read, multiplied, sent and started; of reading weights and multiplying with them, which
overlap, the larger one, rounded where they are alike. On one pool the prefill of others comes in between: one request's
for every `output` tokens of each that runs. A pool of its own for prefill bounds how many requests can be decoding.
Where attention is apart over more than one domain, half batches in turn hide messages behind computing.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from tokenway.planner.serving.capacity import most_running
from tokenway.planner.serving.cases import Cases, Column
from tokenway.planner.serving.constants import Constants, First
from tokenway.planner.serving.roofline import parts_of, prefill_sent, prefill_work

BOUNDS: Final = ("weights", "cache", "compute", "links", "overhead", "prefill")
"""What takes the most of a token: reading weights or the cache, products, messages, starts of kernels, or prefill."""

FAR_SHARE: Final = 0.78
"""Share of the network between domains that messages get: DeepEP's low-latency kernels have 39 of 50 GB/s.

With it, 128 tokens of DeepSeek V3 take within a tenth as long as its table says, over 16 to 256 GPUs. No point says it.
"""

INDEX_LAYER: Final = 20e-6
"""Seconds per layer for choosing what a sparse attention reads: six kernels or so. No point says it."""

FELT: Final = 0.25
"""The share of attention's scores that a step feels: they go along with reading the cache."""

_LINKS: Final = BOUNDS.index("links")
_ROUNDS: Final = 10
_CORNER: Final = 4


class Token(NamedTuple):
    """Seconds per token by what bounds it (first axis: BOUNDS), and how many sequences of a worker run."""

    shares: Column
    running: Column

    @property
    def seconds(self) -> Column:
        """Of all of it."""
        total: Column = self.shares.sum(axis=0)
        return total


def per_step(cases: Cases) -> Column:
    """Tokens that a sequence gets of a step: 1, or (1 - a^(g+1))/(1 - a) of g guesses right with a share of a each."""
    accepted = cases.accepted
    return (1.0 - np.power(accepted, cases.guesses + 1.0)) / (1.0 - accepted)


def prefilling(cases: Cases) -> tuple[Column, Column]:
    """Of a worker that prefills: the chips that share attention, and all of them."""
    is_apart = cases.prefill_gpus > 0
    chips = np.where(is_apart, cases.prefill_gpus / cases.prefill_workers, cases.tp * cases.dp)
    return np.minimum(np.where(is_apart, cases.prefill_tp, cases.tp), np.maximum(chips, 1.0)), chips


def own_prefill(cases: Cases, constants: Constants) -> Column:
    """Seconds of one request's prefill, times the chips that it keeps busy."""
    tp, _ = prefilling(cases)
    work = prefill_work(cases, constants.around) / constants.prefill
    return work + prefill_sent(cases, tp) * tp / constants.prefill_reduces


def started(cases: Cases, constants: Constants) -> Column:
    """Seconds of a step that no size changes, without those of messages beyond one domain."""
    facts = cases.facts
    layer = constants.layer + constants.doubling * np.log2(cases.tp)
    added = facts.expert_layers * constants.expert_layer + facts.layers * facts.latent * constants.latent_layer
    added = added * np.where(facts.older > 0, constants.older, 1.0)
    chosen = facts.full_layers * (facts.index_size > 0) * INDEX_LAYER
    packed = facts.packed * np.where(facts.experts > 0, facts.expert_layers, facts.layers)
    recurrent = facts.linear_layers * constants.recurrent_layer
    return facts.layers * layer + added + chosen + packed * constants.packed_layer + recurrent


def step_of(cases: Cases, running: Column, constants: Constants) -> Column:
    """Seconds of a step one part after the other, by what bounds it (BOUNDS without prefill)."""
    parts = parts_of(cases, running)
    read, multiplied = parts.weights / constants.weights, parts.products / constants.products
    both = np.power(read, _CORNER) + np.power(multiplied, _CORNER)
    core = np.power(both, 1.0 / _CORNER)
    is_read = np.power(read, _CORNER) / both
    scores = FELT * parts.scores / constants.products
    outer = cases.facts.layers * constants.outer_layer * (cases.tp * cases.dp > cases.facts.domain)
    sent = np.maximum(parts.experts / constants.messages, parts.beyond / FAR_SHARE)
    apart = cases.facts.expert_layers * constants.apart_layer * (cases.dp > 1)
    links = parts.reduces / constants.reduces + sent + outer + apart
    overhead = started(cases, constants) + constants.sequence * running / cases.dp
    step = (core * is_read, parts.cache / constants.cache, core * (1.0 - is_read) + scores, links, overhead)
    every: Column = np.stack(np.broadcast_arrays(*step))
    return every


def by_halves(cases: Cases, running: Column, constants: Constants) -> Column:
    """The same of two half batches in turn: while one computes, the other's messages are on their way.

    The longer of the two counts, twice; of messages what computing does not hide. Weights are read twice, and kernels
    start twice (DeepSeek-V3, arXiv 2412.19437 §3.4).
    """
    half = 2.0 * step_of(cases, running / 2.0, constants)
    computed = half.sum(axis=0) - half[_LINKS]
    half[_LINKS] = np.maximum(half[_LINKS] - computed, 0.0)
    return half


def token_of(cases: Cases, running: Column, constants: Constants) -> Column:
    """Seconds per token with so many sequences per worker, by what bounds it.

    Where attention is apart over more than one domain, engines run two half batches when that is faster.
    """
    step = step_of(cases, running, constants)
    is_far = (cases.dp > 1) & (cases.tp * cases.dp > cases.facts.domain)
    if np.any(is_far):
        half = by_halves(cases, running, constants)
        step = np.where(is_far & (half.sum(axis=0) < step.sum(axis=0)), half, step)
    engine = np.where(cases.vllm > 0, constants.vllm, np.where(cases.sglang > 0, constants.sglang, 1.0))
    engine = engine * np.exp(-constants.quarter * cases.quarters)
    drafted = (1.0 + cases.guesses * cases.guess_cost) / per_step(cases)
    prefill = own_prefill(cases, constants) / (cases.tp * cases.dp)
    between = np.where(cases.prefill_gpus > 0, 0.0, running / cases.output * prefill)
    every: Column = engine * np.concatenate([step * drafted, np.broadcast_to(between, step.shape[1:])[None]])
    return every


def token(cases: Cases, constants: Constants) -> Token:
    """Seconds per token with as many sequences running as the load, memory and the prefill pool let run."""
    is_apart = cases.prefill_gpus > 0
    most = np.minimum(cases.concurrency / cases.workers, np.maximum(most_running(cases), 1.0))
    running = most
    shares = token_of(cases, running, constants)
    if np.any(is_apart):
        fed = cases.prefill_gpus / np.maximum(own_prefill(cases, constants), 1e-12) / cases.workers
        for _ in range(_ROUNDS):
            let = np.where(is_apart, np.minimum(most, fed * cases.output * shares.sum(axis=0)), running)
            running = np.sqrt(running * let)
            shares = token_of(cases, running, constants)
    return Token(shares, running)


def first(cases: Cases, found: Token, constants: Constants, of: First) -> Column:
    """Seconds to the first token of a mean request.

    The starts of a pass that no graph has captured; its own prefill, by the chips that share its attention; a few
    steps; a share of the prefill of all that came at once; and where more are in than run, the wait for a place.
    """
    workers = np.where(cases.prefill_gpus > 0, cases.prefill_workers, cases.workers)
    tp, chips = prefilling(cases)
    own = own_prefill(cases, constants)
    many, run = cases.concurrency / workers, found.running * cases.workers / workers
    seconds = found.seconds
    wait = np.maximum(many - run, 0.0) / np.maximum(run, 1e-9) * cases.output * seconds
    engine = np.where(cases.vllm > 0, of.vllm, np.where(cases.sglang > 0, of.sglang, 1.0))
    passed = of.starts * started(cases, constants) + of.own * own / tp + of.steps * seconds
    every: Column = engine * (passed + of.others * own / chips * many) + of.queue * wait
    return every
