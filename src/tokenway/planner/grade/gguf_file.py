"""Reads a GGUF file: what it says about itself, and where its tensors are. `local.gguf` writes the same layout.

Layout (version 2 and 3, little-endian): magic, version, counts, the pairs, the tensor table (name, dimensions
innermost first, type, offset), padding, data.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from math import prod
from typing import Final

import numpy as np

from tokenway.planner.errors import PlanError
from tokenway.planner.grade.gguf_kinds import KINDS, OTHERS
from tokenway.planner.grade.tensors import Tensor, Weights

MAGIC: Final = b"GGUF"
_VERSIONS: Final = (2, 3)
_ALIGNMENT: Final = 32
_MAX_AXES: Final = 4
_MAX_ITEMS: Final = 1 << 24
"""More pairs, tensors or items of a list than any model has."""
_STRING, _LIST = 8, 9
_SCALARS: Final[Mapping[int, struct.Struct]] = {
    code: struct.Struct("<" + letter)
    for code, letter in zip((0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12), "BbHhIif?Qqd", strict=True)
}


class _Reader:
    """A place in a file, from which one thing after the other is read."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self.at = 0

    def take(self, size: int) -> memoryview:
        """The next bytes. Raises PlanError where the file ends before."""
        if size > len(self._data) - self.at:
            raise PlanError(
                f"The GGUF file ends after {len(self._data):,} bytes, in the middle of its header: it is cut off."
            )
        self.at += size
        return self._data[self.at - size : self.at]

    def scalar(self, code: int) -> int | float:
        """A number or a truth value."""
        shape = _SCALARS[code]
        value: int | float = shape.unpack(self.take(shape.size))[0]
        return value

    def count(self) -> int:
        """How many of something follow."""
        found = int(self.scalar(10))
        if found > _MAX_ITEMS:
            raise PlanError(f"The GGUF file says that {found:,} items follow; no model has as many: it is damaged.")
        return found

    def text(self) -> str:
        """A string."""
        return str(self.take(int(self.scalar(10))), "utf-8", "replace")

    def value(self, code: int, *, nested: bool = False) -> object:
        """What a pair says."""
        if code == _STRING:
            return self.text()
        if code in _SCALARS:
            return self.scalar(code)
        if code != _LIST or nested:
            raise PlanError(f"The GGUF file has a value of type {code}, which its format does not know: it is damaged.")
        kind, count = int(self.scalar(4)), self.count()
        if kind in _SCALARS:
            shape = _SCALARS[kind]
            return [item for (item,) in shape.iter_unpack(self.take(count * shape.size))]
        return [self.value(kind, nested=True) for _ in range(count)]


def read_gguf(data: memoryview) -> Weights:
    """The file of which these are the bytes; tensors stay where they are. Raises PlanError for what cannot be read."""
    reader = _Reader(data)
    reader.take(len(MAGIC))
    version = int(reader.scalar(4))
    if version not in _VERSIONS:
        hint = (
            ": it is big-endian"
            if version.to_bytes(4, "little")[::-1] in {bytes((v, 0, 0, 0)) for v in _VERSIONS}
            else ""
        )
        raise PlanError(f"The GGUF file has version {version}{hint}; versions 2 and 3 can be read.")
    tensor_count, pair_count = reader.count(), reader.count()
    about = {}
    for _ in range(pair_count):
        name = reader.text()
        about[name] = reader.value(int(reader.scalar(4)))
    heads = [_head(reader) for _ in range(tensor_count)]
    alignment = about.get("general.alignment", _ALIGNMENT)
    if not isinstance(alignment, int) or alignment <= 0:
        raise PlanError(f"The GGUF file aligns its tensors to {alignment!r} bytes: it is damaged.")
    start = reader.at + -reader.at % alignment
    return Weights("GGUF", about, {head[0]: _tensor(data, start, *head) for head in heads})


def _head(reader: _Reader) -> tuple[str, tuple[int, ...], int, int]:
    name = reader.text()
    axes = int(reader.scalar(4))
    if not 1 <= axes <= _MAX_AXES:
        raise PlanError(f"The tensor {name!r} has {axes} axes: the GGUF file is damaged.")
    shape = tuple(int(reader.scalar(10)) for _ in range(axes))[::-1]
    return name, shape, int(reader.scalar(4)), int(reader.scalar(10))


def _tensor(data: memoryview, start: int, name: str, shape: tuple[int, ...], code: int, offset: int) -> Tensor:
    kind = KINDS.get(code)
    if kind is None:
        stored = OTHERS.get(code, f"type {code}")
        readable = ", ".join(each.name for each in KINDS.values())
        raise PlanError(f"The tensor {name!r} is stored as {stored}, which is not read here; {readable} are.")
    if shape[-1] % kind.block or 0 in shape:
        raise PlanError(f"The tensor {name!r} has rows of {shape[-1]}, no multiple of {kind.name}'s {kind.block}.")
    size = prod(shape) // kind.block * kind.size
    first = start + offset
    if first + size > len(data):
        raise PlanError(
            f"The GGUF file ends after {len(data):,} bytes, but its tensor {name!r} goes to {first + size:,}: "
            "it is cut off."
        )
    return Tensor(name, shape, kind, np.frombuffer(data, np.uint8, size, first))
