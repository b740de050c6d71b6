"""How GGUF packs numbers of few bits. Each function takes rows of a block's bytes to rows of its numbers.

The layouts are those of ggml's reference (`ggml-quants.c`, `ggml-common.h`); where two halves of a block share its
bytes, the low nibbles are the first half. `d` is the scale of a block, `m` its minimum.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from tokenway.planner.grade.casts import E2M1, E4M3, Codes, Floats, decode
from tokenway.planner.grade.tensors import BF16, F16, F32, F64, Kind, Raw

_SUPER: Final = 256
"""Numbers in a block of the K types."""
_NON_LINEAR: Final = np.array(
    (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113), dtype=np.float32
)
"""The sixteen values of IQ4_NL and IQ4_XS."""


def _half(two: Raw) -> Floats:
    return np.ascontiguousarray(two).view("<f2").astype(np.float32)


def _nibbles(packed: Raw) -> Codes:
    """Low nibbles, then high ones."""
    return np.concatenate([packed & np.uint8(15), packed >> np.uint8(4)], axis=-1)


def _bits(packed: Raw) -> Codes:
    return np.unpackbits(packed, axis=-1, bitorder="little")


def _q4_0(rows: Raw) -> Floats:
    return _half(rows[:, :2]) * (_nibbles(rows[:, 2:]).astype(np.float32) - 8)


def _q4_1(rows: Raw) -> Floats:
    return _half(rows[:, :2]) * _nibbles(rows[:, 4:]) + _half(rows[:, 2:4])


def _fives(low: Raw, high: Raw) -> Codes:
    return _nibbles(low) | (_bits(high) << np.uint8(4))


def _q5_0(rows: Raw) -> Floats:
    return _half(rows[:, :2]) * (_fives(rows[:, 6:], rows[:, 2:6]).astype(np.float32) - 16)


def _q5_1(rows: Raw) -> Floats:
    return _half(rows[:, :2]) * _fives(rows[:, 8:], rows[:, 4:8]) + _half(rows[:, 2:4])


def _q8_0(rows: Raw) -> Floats:
    return _half(rows[:, :2]) * np.ascontiguousarray(rows[:, 2:]).view(np.int8)


def _scales_of_six(packed: Raw) -> tuple[Floats, Floats]:
    """Eight scales and eight minima of six bits in twelve bytes: Q4_K's and Q5_K's."""
    scales, minima, rest = packed[:, :4], packed[:, 4:8], packed[:, 8:]
    low, top = np.uint8(0x3F), np.uint8(0x30)
    scales = np.concatenate([scales & low, (rest & np.uint8(15)) | (scales >> np.uint8(2)) & top], axis=-1)
    minima = np.concatenate([minima & low, (rest >> np.uint8(4)) | (minima >> np.uint8(2)) & top], axis=-1)
    return scales.astype(np.float32), minima.astype(np.float32)


def _eighths(packed: Raw) -> Codes:
    """256 nibbles: 32 bytes hold an eighth of a block in their low nibbles and the next in their high ones."""
    return _nibbles(packed.reshape(-1, 4, 32)).reshape(-1, 8, 32)


def _k_block(rows: Raw, numbers: Codes) -> Floats:
    scales, minima = _scales_of_six(rows[:, 4:16])
    d, m = _half(rows[:, :2]) * scales, _half(rows[:, 2:4]) * minima
    return (d[:, :, None] * numbers - m[:, :, None]).reshape(-1, _SUPER)


def _q4_k(rows: Raw) -> Floats:
    return _k_block(rows, _eighths(rows[:, 16:]))


def _q5_k(rows: Raw) -> Floats:
    fifth = _bits(rows[:, 16:48]).reshape(-1, 32, 8).transpose(0, 2, 1)  # a byte has one bit for each eighth
    return _k_block(rows, _eighths(rows[:, 48:]) | (fifth << np.uint8(4)))


def _q6_k(rows: Raw) -> Floats:
    low = _nibbles(rows[:, :128].reshape(-1, 2, 64)).reshape(-1, 8, 32)
    pairs = rows[:, 128:192].reshape(-1, 2, 1, 32) >> np.array([0, 2, 4, 6], np.uint8).reshape(1, 1, 4, 1)
    numbers = (low | ((pairs & np.uint8(3)) << np.uint8(4)).reshape(-1, 8, 32)).astype(np.float32) - 32
    scales = _half(rows[:, 208:]) * np.ascontiguousarray(rows[:, 192:208]).view(np.int8)
    return (scales[:, :, None] * numbers.reshape(-1, 16, 16)).reshape(-1, _SUPER)


def _iq4_nl(rows: Raw) -> Floats:
    return _half(rows[:, :2]) * _NON_LINEAR[_nibbles(rows[:, 2:])]


def _iq4_xs(rows: Raw) -> Floats:
    high = np.ascontiguousarray(rows[:, 2:4]).view("<u2") >> np.arange(0, 16, 2, dtype=np.uint16)
    low = rows[:, 4:8].repeat(2, axis=1) >> np.tile(np.array([0, 4], np.uint8), 4)
    scales = ((low & np.uint8(15)) | ((high & 3) << 4)).astype(np.float32) - 32
    numbers = _NON_LINEAR[_nibbles(rows[:, 8:].reshape(-1, 8, 16))]
    return ((_half(rows[:, :2]) * scales)[:, :, None] * numbers).reshape(-1, _SUPER)


def _mxfp4(rows: Raw) -> Floats:
    return np.ldexp(decode(_nibbles(rows[:, 1:]), E2M1), rows[:, :1].astype(np.int32) - 127).astype(np.float32)


def _nvfp4(rows: Raw) -> Floats:
    """Four blocks of sixteen, their scales first. The scale of the tensor is another tensor of the file."""
    scales = np.nan_to_num(decode(rows[:, :4] & np.uint8(0x7F), E4M3))  # without a sign, and ggml reads NaN as nought
    return (scales[:, :, None] * decode(_nibbles(rows[:, 4:].reshape(-1, 4, 8)), E2M1)).reshape(-1, 64)


KINDS: Final[Mapping[int, Kind]] = {
    0: F32,
    1: F16,
    2: Kind("Q4_0", 32, 18, _q4_0),
    3: Kind("Q4_1", 32, 20, _q4_1),
    6: Kind("Q5_0", 32, 22, _q5_0),
    7: Kind("Q5_1", 32, 24, _q5_1),
    8: Kind("Q8_0", 32, 34, _q8_0),
    12: Kind("Q4_K", _SUPER, 144, _q4_k),
    13: Kind("Q5_K", _SUPER, 176, _q5_k),
    14: Kind("Q6_K", _SUPER, 210, _q6_k),
    20: Kind("IQ4_NL", 32, 18, _iq4_nl),
    23: Kind("IQ4_XS", _SUPER, 136, _iq4_xs),
    28: F64,
    30: BF16,
    39: Kind("MXFP4", 32, 17, _mxfp4),
    40: Kind("NVFP4", 64, 36, _nvfp4),
}
"""By the number that a file has for them."""
OTHERS: Final[Mapping[int, str]] = {
    9: "Q8_1",
    10: "Q2_K",
    11: "Q3_K",
    15: "Q8_K",
    16: "IQ2_XXS",
    17: "IQ2_XS",
    18: "IQ3_XXS",
    19: "IQ1_S",
    21: "IQ3_S",
    22: "IQ2_S",
    24: "I8",
    25: "I16",
    26: "I32",
    27: "I64",
    29: "IQ1_M",
    34: "TQ1_0",
    35: "TQ2_0",
}
"""Types that are known and not read here."""
