"""What a format does to a tensor: how far its numbers move, and how many bits are left of them."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf, log10, sqrt
from typing import Final, NamedTuple

import numpy as np

from tokenway.planner.grade.blocks import Scheme
from tokenway.planner.grade.casts import Floats
from tokenway.planner.grade.tensors import Tensor, Weights

_KEPT: Final = ("embd", "embed", "wte", "wpe", "lm_head", "router", "ffn_gate_inp")
"""Parts of names of matrices that deployments in few bits leave as they are: embeddings, the head, routers."""


_HEAD: Final = "output.weight"
"""What GGUF calls the head."""


class Damage(NamedTuple):
    """A tensor's loss, or that of several together. Sums of squares, so that they can be added up.

    `largest` is the largest single error over the root mean square of the numbers.
    """

    name: str
    scheme: str
    numbers: int
    bits: int
    error: float
    power: float
    largest: float

    @property
    def relative(self) -> float:
        """The root mean square error over the root mean square of the numbers."""
        return sqrt(self.error / self.power) if self.power else 0.0

    @property
    def decibels(self) -> float:
        """The same as a ratio of signal to noise; infinite where nothing moved."""
        return 10 * log10(self.power / self.error) if self.error and self.power else inf


def damage(name: str, scheme: Scheme, before: Floats, after: Floats) -> Damage:
    """What became of a tensor in a format."""
    moved = after - before
    error = float(np.vdot(moved, moved))
    power = float(np.vdot(before, before))
    root = sqrt(power / before.size) if before.size else 0.0
    largest = float(np.abs(moved).max(initial=0)) / root if root else 0.0
    return Damage(name, scheme.name, before.size, scheme.stored_bits(before.shape), error, power, largest)


def total(parts: Iterable[Damage], name: str = "all") -> Damage:
    """Several tensors as one; the largest error is the largest beside its own tensor's numbers."""
    found = list(parts)
    return Damage(
        name,
        found[0].scheme,
        sum(each.numbers for each in found),
        sum(each.bits for each in found),
        sum(each.error for each in found),
        sum(each.power for each in found),
        max(each.largest for each in found),
    )


def gradable(weights: Weights) -> list[Tensor]:
    """The matrices that a deployment in few bits stores so."""

    def is_kept(name: str) -> bool:
        return name == _HEAD or any(part in name for part in _KEPT)

    return [each for each in weights.tensors.values() if each.is_matrix and not is_kept(each.name)]


def file_bits(weights: Weights, stored: Damage) -> int:
    """Bits of the file's tensors when those that `stored` counts are in its format and the others as they are."""
    kept = sum(each.raw.size for each in weights.tensors.values()) - sum(each.raw.size for each in gradable(weights))
    return stored.bits + 8 * kept
