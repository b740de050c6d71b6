"""The forward pass against one in plain Python, number by number, and what it refuses."""

from __future__ import annotations

from collections.abc import Mapping
from math import cos, exp, sin, sqrt
from typing import Any

import numpy as np
import pytest

from tests.unit.planner.grade.gguf_maker import HEADS, LAYERS, SHARED, WIDTH, gguf, tiny_model, tiny_pairs, tiny_tensors
from tokenway.local.gguf import U32
from tokenway.planner.errors import PlanError
from tokenway.planner.grade.casts import Floats
from tokenway.planner.grade.forward import Llama, sizes_of
from tokenway.planner.grade.weights import read_weights

IDS = [3, 1, 4, 1, 5, 9, 2, 6]
Vector = list[float]


def product(matrix: Floats, vector: Vector) -> Vector:
    """A matrix times a vector."""
    return [sum(float(a) * b for a, b in zip(line, vector, strict=True)) for line in matrix]


def normed(vector: Vector, weight: Floats) -> Vector:
    """RMS norm."""
    root = sqrt(sum(x * x for x in vector) / len(vector) + 1e-5)
    return [x / root * float(w) for x, w in zip(vector, weight, strict=True)]


def turned(vector: Vector, place: int, size: int) -> Vector:
    """Each head's pairs of neighbours, turned by the place."""
    found = list(vector)
    for at in range(0, len(vector), 2):
        angle = place * 10_000.0 ** (-((at % size) / size))
        a, b = vector[at], vector[at + 1]
        found[at : at + 2] = [a * cos(angle) - b * sin(angle), a * sin(angle) + b * cos(angle)]
    return found


def reference(weights: Mapping[str, Floats], ids: list[int]) -> list[Vector]:
    """The scores of every token at every place, without numpy and without doing places at once."""
    size = WIDTH // HEADS
    states = [[float(x) for x in weights["token_embd.weight"][number]] for number in ids]
    for layer in range(LAYERS):
        of = {name.split(".")[2]: value for name, value in weights.items() if name.startswith(f"blk.{layer}.")}
        keys: list[Vector] = []
        values: list[Vector] = []
        for place, state in enumerate(states):
            before = normed(state, of["attn_norm"])
            query = turned(product(of["attn_q"], before), place, size)
            keys.append(turned(product(of["attn_k"], before), place, size))
            values.append(product(of["attn_v"], before))
            mixed: Vector = []
            for head in range(HEADS):
                here, shared = slice(head * size, (head + 1) * size), head // (HEADS // SHARED)
                there = slice(shared * size, (shared + 1) * size)
                shares = [
                    exp(sum(a * b for a, b in zip(query[here], key[there], strict=True)) / sqrt(size)) for key in keys
                ]
                mixed += [
                    sum(share * value[there][n] for share, value in zip(shares, values, strict=True)) / sum(shares)
                    for n in range(size)
                ]
            state = [a + b for a, b in zip(state, product(of["attn_output"], mixed), strict=True)]  # noqa: PLW2901
            before = normed(state, of["ffn_norm"])
            gate = [x / (1 + exp(-x)) for x in product(of["ffn_gate"], before)]
            inner = [a * b for a, b in zip(gate, product(of["ffn_up"], before), strict=True)]
            states[place] = [a + b for a, b in zip(state, product(of["ffn_down"], inner), strict=True)]
    head_matrix = weights.get("output.weight", weights["token_embd.weight"])
    return [product(head_matrix, normed(state, weights["output_norm.weight"])) for state in states]


def scores(data: bytes) -> tuple[Floats, dict[str, Floats]]:
    """What the model in a file says, and its weights."""
    weights = read_weights(memoryview(data))
    model = Llama(weights)
    hidden = model.start(np.array(IDS))
    for layer in range(model.sizes.layers):
        hidden = model.through(model.layer(layer), hidden)
    found: Floats = model.finish(hidden) @ model.head().T
    return found, {name: tensor.values() for name, tensor in weights.tensors.items()}


def test_the_scores_are_those_of_plain_python() -> None:
    """At every place, for every token."""
    found, weights = scores(tiny_model())
    np.testing.assert_allclose(found, reference(weights, IDS), rtol=2e-4, atol=2e-4)


def test_a_later_token_changes_nothing_before_it() -> None:
    """The first seven places do not see the eighth."""
    model = Llama(read_weights(memoryview(tiny_model())))
    layer = model.layer(0)
    one = model.through(layer, model.start(np.array(IDS)))
    other = model.through(layer, model.start(np.array([*IDS[:-1], 0])))
    np.testing.assert_allclose(one[:-1], other[:-1], atol=1e-6)
    assert not np.allclose(one[-1], other[-1], atol=1e-3)


def test_a_head_of_its_own_is_used() -> None:
    """Where the file has one."""
    tensors = tiny_tensors()
    head = np.random.default_rng(8).standard_normal(tensors[0].shape).astype("<f4")
    tensors.append(type(tensors[0])("output.weight", tensors[0].shape, tensors[0].kind, head.tobytes()))
    found, weights = scores(gguf(tiny_pairs(), tensors))
    np.testing.assert_allclose(found, reference(weights, IDS), rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"general.architecture": "mamba"}, "architecture is mamba"),
        ({"llama.expert_count": U32(8)}, "experts"),
        ({"llama.rope.scaling.type": "yarn"}, "stretched positions"),
        ({"llama.block_count": U32(0)}, "llama.block_count"),
        ({"llama.attention.layer_norm_rms_epsilon": "small"}, "layer_norm_rms_epsilon"),
        ({"llama.block_count": U32(3)}, "lacks the tensor 'blk.2.attn_norm.weight'"),
        ({"llama.attention.head_count": U32(5)}, "do not fit"),
    ],
)
def test_what_cannot_be_computed_is_refused(changes: dict[str, Any], said: str) -> None:
    """Before anything is computed, with the reason."""
    with pytest.raises(PlanError, match=said):
        Llama(read_weights(memoryview(tiny_model(**changes))))


def test_sizes_have_the_usual_where_the_file_says_nothing() -> None:
    """As many heads of keys as of queries, the whole head rotated, a base of ten thousand."""
    pairs = tiny_pairs()
    del pairs["llama.attention.head_count_kv"]
    found = sizes_of(pairs)
    assert (found.shared_heads, found.rotated, found.base) == (HEADS, WIDTH // HEADS, 10_000.0)
