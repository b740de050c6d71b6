"""How many sequences the memory of a worker holds beside the weights.

A chip keeps a tenth of its memory free, and 3.5 GB of the rest hold the engine's own programs, graphs and buffers
(aiconfigurator's and vLLM's defaults).
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from tokenway.planner.serving.cases import Cases, Column

USED_SHARE: Final = 0.9
ENGINE_BYTES: Final = 3.5e9


class Memory(NamedTuple):
    """Bytes per chip: of weights, of one sequence on the chips that hold its cache, and free for such."""

    weights: Column
    sequence: Column
    free: Column


def memory_of(cases: Cases) -> Memory:
    """What a chip holds; a cache that tensor parallelism cannot split any further is on each chip again."""
    facts = cases.facts
    dense = facts.attention * facts.attention_size + facts.always * facts.always_size
    dense = dense + 2.0 * facts.head * facts.head_size
    weights = dense / cases.tp + facts.routed * facts.routed_size / (cases.tp * cases.dp)
    context = cases.input + cases.output / 2.0
    kept = facts.full_layers * context + facts.windowed_layers * np.minimum(context, facts.window)
    sequence = kept * facts.cache_size / np.minimum(cases.tp, facts.splits) + facts.state_size / cases.tp
    return Memory(weights, sequence, facts.memory * USED_SHARE - ENGINE_BYTES - weights)


def most_running(cases: Cases) -> Column:
    """Sequences that a worker holds at once; below one where the model does not fit."""
    memory = memory_of(cases)
    return np.maximum(memory.free, 0.0) / memory.sequence * cases.dp
