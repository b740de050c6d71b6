"""Tensors as files of weights store them, and their numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tokenway.planner.grade.casts import E4M3, E5M2, Floats, decode

Raw = npt.NDArray[np.uint8]


class Kind(NamedTuple):
    """One way of storing: `block` numbers in `size` bytes; `unpack` takes rows of so many bytes to rows of numbers."""

    name: str
    block: int
    size: int
    unpack: Callable[[Raw], Floats]

    @property
    def bits(self) -> float:
        """Bits per number, scales included."""
        return 8 * self.size / self.block


class Tensor(NamedTuple):
    """`shape` is outermost first; `raw` are its bytes, still where the file is."""

    name: str
    shape: tuple[int, ...]
    kind: Kind
    raw: Raw

    @property
    def numbers(self) -> int:
        """How many numbers."""
        return prod(self.shape)

    @property
    def is_matrix(self) -> bool:
        """Whether it is what formats of few bits are meant for: norms and biases stay as they are."""
        return len(self.shape) >= 2

    def values(self) -> Floats:
        """Its numbers."""
        rows = self.raw.reshape(-1, self.kind.size)
        return self.kind.unpack(rows).reshape(self.shape)

    def rows(self, which: npt.NDArray[np.int64]) -> Floats:
        """Those rows of a matrix, the others left packed."""
        chosen = self.raw.reshape(self.shape[0], -1)[which]
        return self.kind.unpack(chosen.reshape(-1, self.kind.size)).reshape(-1, *self.shape[1:])


Pairs = Mapping[str, object]


class Weights(NamedTuple):
    """A file: of which `format` it is, what it says about itself, and its tensors in its order."""

    format: str
    about: Pairs
    tensors: Mapping[str, Tensor]

    @property
    def size(self) -> int:
        """Bytes of all tensors."""
        return sum(each.raw.size for each in self.tensors.values())


def _numbers(kind: str) -> Callable[[Raw], Floats]:
    def unpack(rows: Raw) -> Floats:
        return np.ascontiguousarray(rows).view(kind).astype(np.float32)

    return unpack


def _bfloat16(rows: Raw) -> Floats:
    halves = np.ascontiguousarray(rows).view("<u2").astype(np.uint32)
    return (halves << np.uint32(16)).view(np.float32)


F64 = Kind("F64", 1, 8, _numbers("<f8"))
F32 = Kind("F32", 1, 4, _numbers("<f4"))
F16 = Kind("F16", 1, 2, _numbers("<f2"))
BF16 = Kind("BF16", 1, 2, _bfloat16)
F8_E4M3 = Kind("F8_E4M3", 1, 1, lambda rows: decode(rows, E4M3))
F8_E5M2 = Kind("F8_E5M2", 1, 1, lambda rows: decode(rows, E5M2))
