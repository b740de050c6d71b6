"""A Llama in numpy: what the model says about the next token, at every place of a text at once.

Weights pass by one layer at a time, so that several versions of a model can be run beside each other in the memory
of one of its layers. The architecture is `llama` as GGUF files have it: RMS norms, rotated pairs of neighbours in
queries and keys, keys and values shared by groups of heads, a gated feed-forward part.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from tokenway.planner.errors import PlanError
from tokenway.planner.grade.casts import Floats
from tokenway.planner.grade.tensors import Pairs, Tensor, Weights

Ids = npt.NDArray[np.int64]
Matrices = Mapping[str, Floats]
"""A layer's weights by their short names (`attn_q`, `ffn_up`)."""

ARCHITECTURE: Final = "llama"
NORMS: Final = ("attn_norm", "ffn_norm")
LINEAR: Final = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")


class Sizes(NamedTuple):
    """What the file says about the model's shape."""

    layers: int
    width: int
    heads: int
    shared_heads: int
    """Heads of keys and values."""
    rotated: int
    """Numbers of a head that its place rotates."""
    base: float
    epsilon: float
    context: int


def sizes_of(about: Pairs) -> Sizes:
    """Reads them. Raises PlanError for another architecture and for what it says that is not computed here."""
    architecture = about.get("general.architecture")
    if architecture != ARCHITECTURE:
        raise PlanError(
            f"The model's architecture is {architecture or 'not given'}; perplexity is computed for {ARCHITECTURE}."
        )

    def number(name: str, default: float | None = None) -> float:
        value = about.get(f"{ARCHITECTURE}.{name}", default)
        if not isinstance(value, int | float) or value <= 0:
            raise PlanError(f"The file does not say what {ARCHITECTURE}.{name} is: it is damaged or incomplete.")
        return value

    if about.get("llama.expert_count") or about.get("llama.rope.scaling.type", "none") != "none":
        raise PlanError("The model has experts or stretched positions; perplexity is not computed for these.")
    width, heads = int(number("embedding_length")), int(number("attention.head_count"))
    shared = int(number("attention.head_count_kv", heads))
    if width % heads or heads % shared:
        raise PlanError(f"The file's {heads} heads do not fit its width of {width} or its {shared} heads of keys.")
    return Sizes(
        layers=int(number("block_count")),
        width=width,
        heads=heads,
        shared_heads=shared,
        rotated=int(number("rope.dimension_count", width // heads)),
        base=float(number("rope.freq_base", 10_000.0)),
        epsilon=float(number("attention.layer_norm_rms_epsilon")),
        context=int(number("context_length")),
    )


class Llama:
    """The model of a file, ready to be run layer by layer."""

    def __init__(self, weights: Weights) -> None:
        """Raises PlanError where the file is of another architecture or lacks tensors."""
        self.sizes = sizes_of(weights.about)
        self._tensors = weights.tensors
        for name in ("token_embd.weight", "output_norm.weight", *self.layer_names(self.sizes.layers - 1)):
            self._tensor(name)
        factors = weights.tensors.get("rope_freqs.weight")
        self._stretch = factors.values() if factors else np.ones(self.sizes.rotated // 2, np.float32)

    @staticmethod
    def layer_names(layer: int) -> list[str]:
        """The names of a layer's tensors in the file."""
        return [f"blk.{layer}.{name}.weight" for name in (*NORMS, *LINEAR)]

    def layer(self, layer: int) -> dict[str, Floats]:
        """A layer's weights as they are in the file."""
        return {name.split(".")[2]: self._tensor(name).values() for name in self.layer_names(layer)}

    def start(self, ids: Ids) -> Floats:
        """What goes into the first layer."""
        return self._tensor("token_embd.weight").rows(ids)

    def through(self, matrices: Matrices, hidden: Floats) -> Floats:
        """What comes out of a layer with these weights."""
        normed = self._norm(hidden, matrices["attn_norm"])
        middle: Floats = hidden + self._attention(matrices, normed) @ matrices["attn_output"].T
        normed = self._norm(middle, matrices["ffn_norm"])
        gate: Floats = normed @ matrices["ffn_gate"].T
        with np.errstate(over="ignore"):  # a gate far below zero is shut: divided by infinity
            gate /= 1 + np.exp(-gate)
        gate *= normed @ matrices["ffn_up"].T
        found: Floats = middle + gate @ matrices["ffn_down"].T
        return found

    def head(self) -> Floats:
        """The matrix from the last layer to the vocabulary: its own, or that of the embeddings."""
        return self._tensor("output.weight" if "output.weight" in self._tensors else "token_embd.weight").values()

    def finish(self, hidden: Floats) -> Floats:
        """What the head is multiplied with."""
        return self._norm(hidden, self._tensor("output_norm.weight").values())

    def _tensor(self, name: str) -> Tensor:
        if name not in self._tensors:
            raise PlanError(f"The file lacks the tensor {name!r}: it is incomplete, or one of several parts.")
        return self._tensors[name]

    def _norm(self, hidden: Floats, weight: Floats) -> Floats:
        power = np.mean(np.square(hidden), axis=-1, keepdims=True)
        normed: Floats = hidden / np.sqrt(power + np.float32(self.sizes.epsilon)) * weight
        return normed

    def _attention(self, matrices: Matrices, normed: Floats) -> Floats:
        length, of = len(normed), self.sizes
        queries = (normed @ matrices["attn_q"].T).reshape(length, of.heads, -1).transpose(1, 0, 2)
        keys = (normed @ matrices["attn_k"].T).reshape(length, of.shared_heads, -1).transpose(1, 0, 2)
        values = (normed @ matrices["attn_v"].T).reshape(length, of.shared_heads, -1).transpose(1, 0, 2)
        queries, keys = self._rotated(queries), self._rotated(keys)
        later = np.triu(np.full((length, length), -np.inf, np.float32), 1)
        found = np.empty_like(queries)
        for head in range(of.heads):  # one at a time: a text's square of weights is the largest thing here
            shared = head * of.shared_heads // of.heads
            weights = queries[head] @ keys[shared].T / np.float32(np.sqrt(queries.shape[-1])) + later
            weights = np.exp(weights - weights.max(axis=-1, keepdims=True))
            found[head] = (weights / weights.sum(axis=-1, keepdims=True)) @ values[shared]
        return found.transpose(1, 0, 2).reshape(length, -1)

    def _rotated(self, heads: Floats) -> Floats:
        """Turns each pair of neighbours by an angle that grows with the place, the first pairs fastest."""
        pairs = self.sizes.rotated // 2
        speeds = self.sizes.base ** (-np.arange(pairs) / pairs) / self._stretch
        angles = np.arange(heads.shape[1])[:, None] * speeds
        cosine, sine = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
        turned = heads.copy()
        even, odd = heads[..., 0 : 2 * pairs : 2], heads[..., 1 : 2 * pairs : 2]
        turned[..., 0 : 2 * pairs : 2] = even * cosine - odd * sine
        turned[..., 1 : 2 * pairs : 2] = even * sine + odd * cosine
        return turned
