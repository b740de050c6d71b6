"""Reads a safetensors file: eight bytes with the size of a JSON header, the header, the tensors.

Weights of FP8 whose file has their scales beside them (`NAME_scale_inv` for blocks, as DeepSeek has it, or
`NAME_scale`) are multiplied with them.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from math import ceil, prod
from typing import Annotated, Any, Final

import msgspec
import numpy as np

from tokenway.planner.errors import PlanError
from tokenway.planner.grade.blocks import TILE
from tokenway.planner.grade.casts import Floats
from tokenway.planner.grade.tensors import BF16, F8_E4M3, F8_E5M2, F16, F32, F64, Kind, Raw, Tensor, Weights

_LENGTH: Final = struct.Struct("<Q")
_HEADER_MAX: Final = 100_000_000
"""Bytes: the format's own bound."""
_KINDS: Final[Mapping[str, Kind]] = {each.name: each for each in (F64, F32, F16, BF16)} | {
    "F8_E4M3": F8_E4M3,
    "F8_E5M2": F8_E5M2,
}
_WHOLE: Final = {"BOOL": 1, "U8": 1, "I8": 1, "U16": 2, "I16": 2, "U32": 4, "I32": 4, "U64": 8, "I64": 8}
"""Types that hold no weights as they stand, by their size in bytes."""

Count = Annotated[int, msgspec.Meta(ge=0)]


class _Entry(msgspec.Struct, frozen=True):
    dtype: str
    shape: tuple[Count, ...]
    data_offsets: tuple[Count, Count]


def looks_like_safetensors(data: memoryview) -> bool:
    """Whether a file begins as they do."""
    return len(data) > _LENGTH.size and bytes(data[_LENGTH.size : _LENGTH.size + 1]) == b"{"


def read_safetensors(data: memoryview) -> Weights:
    """The file of which these are the bytes; tensors stay where they are. Raises PlanError for what cannot be read.

    Tensors of whole numbers (ids, packed weights, masks) are left out.
    """
    size = _LENGTH.unpack(data[: _LENGTH.size])[0] if len(data) >= _LENGTH.size else 0
    start = _LENGTH.size + size
    if not 2 <= size <= _HEADER_MAX:
        raise PlanError(f"The safetensors file says that its header has {size:,} bytes: it is damaged.")
    if start > len(data):
        raise PlanError(f"The safetensors file ends after {len(data):,} bytes, in its header: it is cut off.")
    try:
        header = msgspec.json.decode(data[_LENGTH.size : start], type=dict[str, Any])
        about = msgspec.convert(header.pop("__metadata__", {}), dict[str, str])
        entries = msgspec.convert(header, dict[str, _Entry])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise PlanError(f"The header of the safetensors file cannot be read: {error}.") from None
    found = [_tensor(data[start:], name, entry) for name, entry in entries.items()]
    return Weights("safetensors", about, _with_scales({each.name: each for each in found if each is not None}))


def _tensor(data: memoryview, name: str, entry: _Entry) -> Tensor | None:
    kind = _KINDS.get(entry.dtype)
    size = kind.size if kind else _WHOLE.get(entry.dtype)
    if size is None:
        raise PlanError(
            f"The tensor {name!r} is stored as {entry.dtype}, which is not read here; {', '.join(_KINDS)} are."
        )
    first, last = entry.data_offsets
    if last - first != prod(entry.shape) * size:
        raise PlanError(f"The tensor {name!r} has {last - first:,} bytes, not those of its shape: the file is damaged.")
    if last > len(data):
        raise PlanError(f"The safetensors file ends before its tensor {name!r} does: it is cut off.")
    if kind is None or not entry.shape:
        return None
    return Tensor(name, entry.shape, kind, np.frombuffer(data, np.uint8, last - first, first))


def _with_scales(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    found = dict(tensors)
    for name, tensor in tensors.items():
        beside = next((each for each in (f"{name}_scale_inv", f"{name}_scale") if each in tensors), None)
        if beside is not None and tensor.kind in {F8_E4M3, F8_E5M2}:
            found[name] = _scaled(tensor, found.pop(beside).values())
    return found


def _scaled(tensor: Tensor, scales: Floats) -> Tensor:
    """The same tensor, read with its scales: for a tile of 128 each way, a row, or all."""
    scales = scales.reshape((1,) * (len(tensor.shape) - scales.ndim) + scales.shape)
    parts = [_part(tensor.name, *sizes) for sizes in zip(tensor.shape, scales.shape, strict=True)]

    def unpack(rows: Raw) -> Floats:
        spread = scales
        for axis, (part, size) in enumerate(zip(parts, tensor.shape, strict=True)):
            spread = spread.repeat(part, axis=axis).take(range(size), axis=axis)
        return tensor.kind.unpack(rows).reshape(tensor.shape) * spread

    return tensor._replace(kind=tensor.kind._replace(unpack=unpack))


def _part(name: str, size: int, scales: int) -> int:
    """How many numbers along an axis share a scale."""
    if scales in {1, size}:
        return size // scales
    if scales != ceil(size / TILE):
        raise PlanError(f"The tensor {name!r} has {scales} scales for {size} numbers, which fits no block of {TILE}.")
    return TILE
