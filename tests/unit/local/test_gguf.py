"""The GGUF writer, read back by the format's own rules."""

from __future__ import annotations

import io
import struct
from typing import ClassVar

import pytest

from tokenway.local.gguf import ALIGNMENT, U32, GgufTensor, TensorType, Value, q8_rows, write_gguf


class Reader:
    """Reads the format by its published layout, independently of the writer."""

    SCALARS: ClassVar = {4: "<I", 5: "<i", 6: "<f", 7: "<?"}

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, form: str) -> int | float | bool:
        """One scalar."""
        (value,) = struct.unpack_from(form, self.data, self.at)
        self.at += struct.calcsize(form)
        return value  # type: ignore[no-any-return]

    def string(self) -> str:
        """A length and that many bytes."""
        size = int(self.take("<Q"))
        self.at += size
        return self.data[self.at - size : self.at].decode()

    def value(self, code: int) -> object:
        """A value of the type with this number."""
        if code == 8:
            return self.string()
        if code == 9:
            inner, count = int(self.take("<I")), int(self.take("<Q"))
            return [self.value(inner) for _ in range(count)]
        return self.take(self.SCALARS[code])


def written(pairs: dict[str, Value], tensors: list[GgufTensor]) -> bytes:
    """The file's bytes."""
    out = io.BytesIO()
    assert write_gguf(out, pairs, tensors) == len(out.getvalue())
    return out.getvalue()


def test_pairs_come_back_with_their_types() -> None:
    """Every kind of value is read back as what it was."""
    pairs: dict[str, Value] = {
        "a.text": "ü",
        "a.count": U32(7),
        "a.signed": -3,
        "a.share": 0.5,
        "a.flag": False,
        "a.words": ["x", "▁y"],
        "a.numbers": [1, 2],
    }
    reader = Reader(written(pairs, []))
    assert reader.data[:4] == b"GGUF"
    reader.at = 4
    assert (reader.take("<I"), reader.take("<Q"), reader.take("<Q")) == (3, 0, len(pairs))
    found = {reader.string(): reader.value(int(reader.take("<I"))) for _ in pairs}
    assert found == pairs


def test_tensors_are_aligned_and_their_dimensions_reversed() -> None:
    """Each tensor's offset is a multiple of the alignment and leads to its own bytes."""
    first = GgufTensor("one", (2, 3), TensorType.F32, struct.pack("<6f", *range(6)))
    second = GgufTensor("two", (4,), TensorType.F32, struct.pack("<4f", *range(4)))
    data = written({}, [first, second])
    reader = Reader(data)
    reader.at = 24
    offsets: dict[str, int] = {}
    shapes: dict[str, list[int]] = {}
    for _ in range(2):
        name = reader.string()
        shapes[name] = [int(reader.take("<Q")) for _ in range(int(reader.take("<I")))]
        assert reader.take("<I") == TensorType.F32
        offsets[name] = int(reader.take("<Q"))
    start = reader.at + -reader.at % ALIGNMENT
    assert shapes == {"one": [3, 2], "two": [4]}
    assert all(offset % ALIGNMENT == 0 for offset in offsets.values())
    for tensor in (first, second):
        at = start + offsets[tensor.name]
        assert data[at : at + len(tensor.data)] == tensor.data
    assert len(data) % ALIGNMENT == 0


def test_q8_rows_repeat_the_scale_before_each_block() -> None:
    """A row of 64 is two blocks of a half-precision scale and 32 bytes."""
    row = bytes(range(64))
    packed = q8_rows([row], [0.5])
    scale = struct.pack("<e", 0.5)
    assert packed == scale + row[:32] + scale + row[32:]


def test_a_row_that_does_not_fill_its_blocks_is_refused() -> None:
    """The format cannot hold it."""
    with pytest.raises(ValueError, match="no multiple of 32"):
        q8_rows([bytes(33)], [1.0])


def test_rows_and_scales_must_match() -> None:
    """A missing scale is an error, not a shorter matrix."""
    with pytest.raises(ValueError, match="shorter"):
        q8_rows([bytes(32), bytes(32)], [1.0])
