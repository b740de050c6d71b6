"""Writes a GGUF file (version 3): typed key-value pairs, tensor descriptions, then the tensors' bytes.

Only what an embedding model needs is here. Layout, all little-endian: magic, version, counts, the pairs,
the tensor table (name, dimensions innermost first, type, offset), padding, data. Each tensor starts at a
multiple of `ALIGNMENT`.

`Q8_0` stores rows in blocks of 32 signed bytes behind one half-precision scale.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import BinaryIO

MAGIC = b"GGUF"
VERSION = 3
ALIGNMENT = 32
Q8_BLOCK = 32


class TensorType(IntEnum):
    """Storage formats, numbered as the format numbers them."""

    F32 = 0
    Q8_0 = 8


class U32(int):
    """An integer that is written as 32 bits without sign; plain `int` is written as a signed 32-bit number."""


type_codes: Mapping[type, int] = {U32: 4, int: 5, float: 6, bool: 7, str: 8}
ARRAY_CODE = 9

Value = U32 | int | float | bool | str | Sequence[int] | Sequence[float] | Sequence[str]


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """`shape` is row-major (outermost first); `data` is already in the format of `kind`."""

    name: str
    shape: tuple[int, ...]
    kind: TensorType
    data: bytes


def q8_rows(rows: Iterable[bytes], scales: Iterable[float]) -> bytes:
    """Rows of signed bytes, each with one scale, as Q8_0 blocks; a row's length must be a multiple of 32."""
    out = bytearray()
    for row, scale in zip(rows, scales, strict=True):
        if len(row) % Q8_BLOCK:
            raise ValueError(f"a row of {len(row)} bytes is no multiple of {Q8_BLOCK}")
        head = struct.pack("<e", scale)
        for at in range(0, len(row), Q8_BLOCK):
            out += head
            out += row[at : at + Q8_BLOCK]
    return bytes(out)


def _string(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def _scalar(value: U32 | float | str) -> bytes:
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, bool):  # an int too, so it is asked first
        return struct.pack("<?", value)
    if isinstance(value, U32):
        return struct.pack("<I", value)
    return struct.pack("<i", value) if isinstance(value, int) else struct.pack("<f", value)


def _pair(key: str, value: Value) -> bytes:
    if isinstance(value, str | int | float):
        return _string(key) + struct.pack("<I", type_codes[type(value)]) + _scalar(value)
    head = struct.pack("<IIQ", ARRAY_CODE, type_codes[type(value[0])], len(value))
    return _string(key) + head + b"".join(_scalar(item) for item in value)


def _padding(size: int) -> int:
    return -size % ALIGNMENT


def write_gguf(to: BinaryIO, pairs: Mapping[str, Value], tensors: Sequence[GgufTensor]) -> int:
    """Writes the whole file and returns its size in bytes."""
    head = bytearray(MAGIC + struct.pack("<IQQ", VERSION, len(tensors), len(pairs)))
    for key, value in pairs.items():
        head += _pair(key, value)
    offset = 0
    for tensor in tensors:
        head += _string(tensor.name) + struct.pack("<I", len(tensor.shape))
        head += b"".join(struct.pack("<Q", size) for size in reversed(tensor.shape))
        head += struct.pack("<IQ", tensor.kind, offset)
        offset += len(tensor.data) + _padding(len(tensor.data))
    head += bytes(_padding(len(head)))
    written = to.write(head)
    for tensor in tensors:
        written += to.write(tensor.data)
        written += to.write(bytes(_padding(len(tensor.data))))
    return written
