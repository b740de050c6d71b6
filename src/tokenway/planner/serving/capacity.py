"""How many sequences the memory of a worker holds beside the weights.

Engines that are set up to be measured use nearly all of it, and let a request in when its whole output has room: with
98 %, less 1 GB for programs and graphs, the queues of Llama 3 70B come out as they were measured (47 running on one
H200 at 8k/1k where 49 are said here, 75 and 94 on one B200 at 1k/8k in FP8 and FP4 where 77 and 98 are), and R1 in FP8
fits four B200 and four GB200, as it did.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from tokenway.planner.serving.cases import Cases, Column

USED_SHARE: Final = 0.98
ENGINE_BYTES: Final = 1e9


class Memory(NamedTuple):
    """Bytes per chip: of weights, of one sequence on the chips that hold its cache, and free for such."""

    weights: Column
    sequence: Column
    free: Column


def memory_of(cases: Cases) -> Memory:
    """What a chip holds.

    Experts and embeddings are shared out among all; a cache that tensor parallelism cannot split any further is on
    each chip again.
    """
    facts = cases.facts
    dense = facts.attention * facts.attention_size + facts.always * facts.always_size
    dense = dense + facts.head * facts.head_size
    shared = facts.routed * facts.routed_size + facts.head * facts.head_size
    weights = dense / cases.tp + shared / (cases.tp * cases.dp)
    context = cases.input + cases.output
    kept = facts.full_layers * context + facts.windowed_layers * np.minimum(context, facts.window)
    sequence = kept * facts.cache_size / np.minimum(cases.tp, facts.splits) + facts.state_size / cases.tp
    return Memory(weights, sequence, facts.memory * USED_SHARE - ENGINE_BYTES - weights)


def most_running(cases: Cases) -> Column:
    """Sequences that a worker holds at once; below one where the model does not fit."""
    memory = memory_of(cases)
    return np.maximum(memory.free, 0.0) / memory.sequence * cases.dp
