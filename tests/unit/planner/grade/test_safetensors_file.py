"""safetensors files: those of the format's own library, scales of FP8, and damage."""

from __future__ import annotations

import json
import struct
from contextlib import suppress
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from tokenway.planner.errors import PlanError
from tokenway.planner.grade.safetensors_file import looks_like_safetensors, read_safetensors

CHANCE = np.random.default_rng(4)
MATRIX = CHANCE.standard_normal((200, 300)).astype(np.float32)


def file_of(header: object, data: bytes = b"") -> memoryview:
    """A file with a header of one's own."""
    raw = json.dumps(header).encode()
    return memoryview(struct.pack("<Q", len(raw)) + raw + data)


def written(**tensors: np.ndarray[Any, Any]) -> memoryview:
    """A file as the library writes it."""
    return memoryview(save(tensors, metadata={"format": "np"}))


def test_what_the_library_writes_is_read() -> None:
    """Numbers of every width; ids are left out, and so are single numbers."""
    kinds: dict[str, Any] = {"a": np.float32, "b": np.float16, "c": np.float64, "d": ml_dtypes.bfloat16}
    tensors = {name: MATRIX.astype(kind) for name, kind in kinds.items()}
    found = read_safetensors(written(**tensors, ids=np.arange(5), one=np.array(3, np.float32)))
    assert set(found.tensors) == set(kinds)
    assert found.about == {"format": "np"}
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(found.tensors[name].values(), tensor.astype(np.float32))


@pytest.mark.parametrize(
    ("name", "scales"),
    [
        ("w_scale_inv", CHANCE.random((2, 3), np.float32)),
        ("w_scale", CHANCE.random((200, 1), np.float32)),
        ("w_scale", np.array([0.25], np.float32)),
    ],
)
def test_fp8_is_read_with_its_scales(name: str, scales: np.ndarray[Any, Any]) -> None:
    """Blocks of 128 x 128 whose last ones are cut off, rows, and one scale for all."""
    numbers = MATRIX.astype(ml_dtypes.float8_e4m3fn)
    found = read_safetensors(written(w=numbers, **{name: scales}))
    assert set(found.tensors) == {"w"}
    spread = np.broadcast_to(scales, (200, 1)) if scales.shape != (2, 3) else np.kron(scales, np.ones((128, 128)))
    expected = numbers.astype(np.float32) * spread[:200, :300].astype(np.float32)
    np.testing.assert_array_equal(found.tensors["w"].values(), expected)


def test_scales_that_fit_nothing_are_refused() -> None:
    """Seven scales for two hundred rows."""
    with pytest.raises(PlanError, match="7 scales for 200 numbers"):
        read_safetensors(written(w=MATRIX.astype(ml_dtypes.float8_e4m3fn), w_scale=np.ones((7, 1), np.float32)))


@pytest.mark.parametrize(
    ("file", "said"),
    [
        (memoryview(struct.pack("<Q", 1 << 60) + b"{}"), "it is damaged"),
        (memoryview(struct.pack("<Q", 1000) + b"{}"), "cut off"),
        (memoryview(struct.pack("<Q", 2) + b"{]"), "cannot be read"),
        (file_of({"w": 3}), "cannot be read"),
        (file_of({"w": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}), "cannot be read"),
        (file_of({"w": {"dtype": "F4", "shape": [2], "data_offsets": [0, 1]}}), "F4, which is not read here"),
        (file_of({"w": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 8]}}), "not those of its shape"),
        (file_of({"w": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}, bytes(8)), "cut off"),
    ],
)
def test_damage_is_named(file: memoryview, said: str) -> None:
    """Each with a sentence."""
    with pytest.raises(PlanError, match=said):
        read_safetensors(file)


WHOLE = bytes(written(w=MATRIX[:4, :4]))


@settings(max_examples=200)
@given(st.integers(0, len(WHOLE) - 1), st.binary(min_size=1, max_size=4))
def test_junk_is_read_or_refused(at: int, junk: bytes) -> None:
    """Nothing but PlanError."""
    data = bytearray(WHOLE)
    data[at : at + len(junk)] = junk
    with suppress(PlanError):
        read_safetensors(memoryview(bytes(data)))


def test_the_beginning_is_looked_at() -> None:
    """Eight bytes and a brace."""
    assert looks_like_safetensors(memoryview(WHOLE))
    assert not looks_like_safetensors(memoryview(b"GGUF"))
