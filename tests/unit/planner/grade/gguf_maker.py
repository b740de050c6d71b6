"""GGUF files for tests: small ones out of nothing, and the embedded model with its weights in another format."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tokenway.planner.grade.blocks import microscaled
from tokenway.planner.grade.casts import E2M1, Floats, encode
from tokenway.planner.grade.gguf_file import _Reader
from tokenway.planner.grade.tensors import Weights

ALIGNMENT = 32


class Packed(NamedTuple):
    """A tensor's number in GGUF's list of types, and its bytes."""

    code: int
    data: bytes


def as_float32(values: Floats) -> Packed:
    """As they are."""
    return Packed(0, values.astype("<f4").tobytes())


def as_q8_0(values: Floats) -> Packed:
    """Eight bits, a float16 scale for 32."""
    blocks = values.reshape(-1, 32)
    scales = (np.abs(blocks).max(axis=1, keepdims=True) / 127).astype(np.float16)
    divisors = np.where(scales == 0, np.float16(1), scales).astype(np.float32)
    numbers = np.clip(np.rint(blocks / divisors), -127, 127).astype(np.int8)
    return Packed(8, np.concatenate([scales.view(np.uint8), numbers.view(np.uint8)], axis=1).tobytes())


def as_mxfp4(values: Floats) -> Packed:
    """Four bits, a power of two for 32."""
    found = microscaled(values, E2M1)
    codes = encode(found.elements, E2M1).reshape(-1, 32)
    exponents = (np.log2(found.scales).astype(np.int32) + 127).astype(np.uint8).reshape(-1, 1)
    return Packed(39, np.concatenate([exponents, codes[:, :16] | codes[:, 16:] << 4], axis=1).tobytes())


def rewrite(path: Path, data: bytes | memoryview, tensors: Iterable[tuple[str, tuple[int, ...], Packed]]) -> None:
    """Writes the pairs of a GGUF file with these tensors below them."""
    reader = _Reader(memoryview(data))
    reader.take(24)
    (count,) = struct.unpack("<Q", bytes(data[16:24]))
    for _ in range(count):
        reader.text()
        reader.value(int(reader.scalar(4)))
    listed = list(tensors)
    head = bytearray(bytes(data[:8]) + struct.pack("<QQ", len(listed), count) + bytes(data[24 : reader.at]))
    offset = 0
    for name, shape, packed in listed:
        head += struct.pack("<Q", len(name)) + name.encode() + struct.pack("<I", len(shape))
        head += b"".join(struct.pack("<Q", size) for size in reversed(shape))
        head += struct.pack("<IQ", packed.code, offset)
        offset += len(packed.data) + -len(packed.data) % ALIGNMENT
    with path.open("wb") as file:
        file.write(head + bytes(-len(head) % ALIGNMENT))
        for _, _, packed in listed:
            file.write(packed.data + bytes(-len(packed.data) % ALIGNMENT))


def repacked(weights: Weights, pack: Callable[[Floats], Packed]) -> Iterable[tuple[str, tuple[int, ...], Packed]]:
    """The model's layers in another format, the rest as it is."""
    codes = {"F32": 0, "Q8_0": 8, "Q4_1": 3}
    for tensor in weights.tensors.values():
        if tensor.is_matrix and tensor.name.startswith("blk."):
            yield tensor.name, tensor.shape, pack(tensor.values())
        else:
            yield tensor.name, tensor.shape, Packed(codes[tensor.kind.name], tensor.raw.tobytes())
