"""Formats of weights: elements of few bits, and the scales that blocks of them share.

Rounding is plain: to the nearest, with scales from the largest magnitude of a block. What calibrates on data (GPTQ,
AWQ, learned clipping) loses less with the same bits; the figures here are what a format costs without it.

Sources: OCP Microscaling Formats 1.0, §6.3 (the scale of a block is the power of two below its largest magnitude,
over that of the element's largest number); NVIDIA's recipe of NVFP4 in Transformer Engine (a float32 scale for the
tensor, so that the scales of its blocks fill E4M3; then E4M3 scales for 16 numbers); DeepSeek-V3's FP8 (128 x 128);
AutoGPTQ (integers of four bits: sixteen steps over a group's range, which includes zero, and scales of float16).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import ceil, prod
from typing import Final, NamedTuple

import numpy as np

from tokenway.planner.errors import PlanError, unknown
from tokenway.planner.formats import FORMATS, format_of
from tokenway.planner.grade.casts import (
    E2M1,
    E2M3,
    E3M2,
    E4M3,
    E5M2,
    Element,
    Floats,
    exponents,
    round_to,
    round_to_bfloat16,
)

MX_BLOCK: Final = 32
NV_BLOCK: Final = 16
TILE: Final = 128
_E8M0_RANGE: Final = (-127, 127)
_FLOAT16_TOP: Final = np.float32(65504)


class Blocks(NamedTuple):
    """A matrix in a format, its blocks along the last axis (tiles: rows and columns each split in two).

    `elements` are numbers of the element's format, `scales` what they are multiplied with, one beside each block.
    """

    elements: Floats
    scales: Floats
    tensor_scale: np.float32 = np.float32(1)
    zeros: Floats | None = None
    """What is subtracted from the elements before, where the format is not symmetric."""

    def values(self) -> Floats:
        """What the blocks stand for, still blocked."""
        elements = self.elements if self.zeros is None else self.elements - self.zeros
        return elements * (self.scales * self.tensor_scale)


Rounding = Callable[[Floats], Blocks]


class Scheme(NamedTuple):
    """A format as it is applied to a tensor. `block` numbers (rows, columns) share `scale_bits`; 0 is all there are."""

    name: str
    title: str
    bits: int
    block: tuple[int, int]
    scale_bits: int
    tensor_bits: int
    rounding: Rounding

    def stored_bits(self, shape: tuple[int, ...]) -> int:
        """Bits of a tensor in this format with its scales; the last axis is the one that is summed over."""
        *leading, rows, columns = (1, 1, *shape)
        high, wide = self.block[0] or rows, self.block[1] or columns
        scales = ceil(rows / high) * ceil(columns / wide) * self.scale_bits
        return prod(leading) * (rows * columns * self.bits + scales + self.tensor_bits)

    def restored(self, tensor: Floats) -> Floats:
        """The tensor as it reads after it was stored in this format."""
        matrices = tensor.reshape(-1, *(1, *tensor.shape)[-2:])
        return np.stack([self._matrix(matrix) for matrix in matrices]).reshape(tensor.shape)

    def _matrix(self, matrix: Floats) -> Floats:
        values = self.rounding(matrix).values()
        rows, columns = matrix.shape
        values = values.reshape(-1, values.shape[-2] * values.shape[-1])
        return values[:rows, :columns]


def _blocked(matrix: Floats, size: int) -> Floats:
    """Rows cut into blocks of `size` (0: one block), the last one filled up with zeros."""
    rows, columns = matrix.shape
    size = size or columns
    missing = -columns % size
    padded = np.pad(matrix, ((0, 0), (0, missing))) if missing else matrix
    return padded.reshape(rows, -1, size)


def _tiled(matrix: Floats) -> Floats:
    """Squares of `TILE`, filled up with zeros."""
    missing = [(0, -size % TILE) for size in matrix.shape]
    padded = np.pad(matrix, missing)
    return padded.reshape(padded.shape[0] // TILE, TILE, -1, TILE)


def _peak(blocks: Floats, axis: int | tuple[int, ...] | None = -1) -> Floats:
    """The largest magnitude of each block."""
    found: Floats = np.abs(blocks).max(axis=axis, keepdims=True)
    return found


def _unless_zero(scales: Floats) -> Floats:
    """Scales to divide by: a block of nothing but zeros has any."""
    return np.where(scales == 0, np.float32(1), scales)


def _plain(matrix: Floats, cast: Callable[[Floats], Floats]) -> Blocks:
    return Blocks(cast(_blocked(matrix, 0)), np.ones((1, 1, 1), np.float32))


def _half(values: Floats) -> Floats:
    return values.astype(np.float16).astype(np.float32)


def _fp8(matrix: Floats, element: Element, axis: int | tuple[int, ...] | None) -> Blocks:
    """Scaled so that the largest of each block, row or tensor is the element's largest; scales are float32."""
    blocks = _tiled(matrix) if axis == (1, 3) else _blocked(matrix, 0)
    scales = _unless_zero(_peak(blocks, axis) / np.float32(element.largest))
    return Blocks(round_to(blocks / scales, element), scales)


def microscaled(matrix: Floats, element: Element) -> Blocks:
    """Blocks of 32 with a power of two each; one that has NaN or infinity in it is NaN throughout."""
    blocks = _blocked(matrix, MX_BLOCK)
    peak = _peak(blocks)
    exponent = np.clip(exponents(peak) - np.int32(element.highest_exponent), *_E8M0_RANGE)
    scales = np.ldexp(np.float32(1), exponent)
    return Blocks(round_to(blocks / scales, element), np.where(np.isfinite(peak), scales, np.float32(np.nan)))


def nvfp4(matrix: Floats) -> Blocks:
    """Blocks of 16 with an E4M3 scale each, beneath one float32 scale of the tensor."""
    blocks = _blocked(matrix, NV_BLOCK)
    peak = _peak(blocks)
    tensor_scale = np.float32(peak.max() / np.float32(E4M3.largest * E2M1.largest)) or np.float32(1)
    scales = round_to(peak / np.float32(E2M1.largest) / tensor_scale, E4M3)
    return Blocks(round_to(blocks / _unless_zero(scales * tensor_scale), E2M1), scales, tensor_scale)


def _integers(matrix: Floats, top: int, size: int) -> Blocks:
    """Whole numbers from -top to top, with a float32 scale for each row or group."""
    blocks = _blocked(matrix, size)
    scales = _unless_zero(_peak(blocks) / np.float32(top))
    return Blocks(np.clip(np.rint(blocks / scales), -top, top), scales)


def _int4(matrix: Floats, size: int) -> Blocks:
    """-8 to 7, sixteen steps from minus the largest magnitude to it, with a float16 scale for each group."""
    blocks = _blocked(matrix, size)
    scales = _unless_zero(_half(np.minimum(_peak(blocks) / np.float32(7.5), _FLOAT16_TOP)))
    return Blocks(np.clip(np.rint(blocks / scales), -8, 7), scales)


def _int4_shifted(matrix: Floats, size: int) -> Blocks:
    """0 to 15, from a group's smallest number to its largest, with a float16 scale and a zero point of four bits."""
    blocks = _blocked(matrix, size)
    low = np.minimum(blocks.min(axis=-1, keepdims=True), np.float32(0))
    high = np.maximum(blocks.max(axis=-1, keepdims=True), np.float32(0))
    scales = _unless_zero(_half(np.minimum((high - low) / np.float32(15), _FLOAT16_TOP)))
    zeros = np.clip(np.rint(-low / scales), 0, 15)
    return Blocks(np.clip(np.rint(blocks / scales) + zeros, 0, 15), scales, zeros=zeros)


def _groups(size: int) -> tuple[Scheme, Scheme]:
    title = f"4-bit integers, a float16 scale for {size}"
    shifted = f"{title} and a zero point"
    return (
        Scheme(f"int4-{size}", title, 4, (1, size), 16, 0, partial(_int4, size=size)),
        Scheme(f"int4-{size}-asym", shifted, 4, (1, size), 20, 0, partial(_int4_shifted, size=size)),
    )


def _mx(name: str, element: Element) -> Scheme:
    title = f"{element.name.upper()}, a power of two for 32"
    return Scheme(name, title, element.bits, (1, MX_BLOCK), 8, 0, partial(microscaled, element=element))


_BY_TENSOR, _BY_ROW, _BY_TILE = None, -1, (1, 3)
SCHEMES: Final = {
    each.name: each
    for each in (
        Scheme("bf16", "bfloat16", 16, (1, 1), 0, 0, partial(_plain, cast=round_to_bfloat16)),
        Scheme("fp16", "float16", 16, (1, 1), 0, 0, partial(_plain, cast=_half)),
        Scheme("fp8-tensor", "E4M3, one scale", 8, (0, 0), 32, 0, partial(_fp8, element=E4M3, axis=_BY_TENSOR)),
        Scheme("fp8-row", "E4M3, a scale for a row", 8, (1, 0), 32, 0, partial(_fp8, element=E4M3, axis=_BY_ROW)),
        Scheme(
            *("fp8-128x128", "E4M3, a scale for 128 x 128", 8, (TILE, TILE), 32, 0),
            partial(_fp8, element=E4M3, axis=_BY_TILE),
        ),
        Scheme("fp8-e5m2", "E5M2, a scale for a row", 8, (1, 0), 32, 0, partial(_fp8, element=E5M2, axis=_BY_ROW)),
        _mx("mxfp8", E4M3),
        _mx("mxfp8-e5m2", E5M2),
        _mx("mxfp6-e2m3", E2M3),
        _mx("mxfp6-e3m2", E3M2),
        _mx("mxfp4", E2M1),
        Scheme("nvfp4", "E2M1, an E4M3 scale for 16, one for all", 4, (1, NV_BLOCK), 8, 32, nvfp4),
        Scheme("int8", "8-bit integers, a scale for a row", 8, (1, 0), 32, 0, partial(_integers, top=127, size=0)),
        *_groups(32),
        *_groups(128),
    )
}
_USUAL: Final = {"fp8": "fp8-row", "mxfp6": "mxfp6-e2m3", "int4": "int4-128"}
"""Which of its variants a format's name alone means."""


def scheme_of(name: str) -> Scheme:
    """The scheme of this name, or the usual one of a format of the planner. Raises PlanError for an unknown one."""
    plain = name.strip().lower().replace("_", "-")
    if plain not in SCHEMES:
        try:
            plain = format_of(name).name
        except PlanError:
            raise unknown("format of weights", name, [*SCHEMES, *FORMATS]) from None
    return SCHEMES[_USUAL.get(plain, plain)]
