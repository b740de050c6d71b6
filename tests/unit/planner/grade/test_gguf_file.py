"""GGUF files: what the engine's own writer writes is read back, and no damage gets past as anything but PlanError."""

from __future__ import annotations

import struct
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.planner.grade.gguf_maker import gguf, tiny_model, tiny_pairs, tiny_tensors
from tokenway.local.gguf import GgufTensor, TensorType
from tokenway.planner.errors import PlanError
from tokenway.planner.grade.gguf_file import read_gguf

WHOLE = tiny_model()


def test_what_was_written_is_read() -> None:
    """Pairs of every type, and tensors with their shapes and numbers."""
    pairs = tiny_pairs(flag=True, number=-3, part=0.5, words=["a", "ü"], numbers=[1, 2])
    found = read_gguf(memoryview(gguf(pairs, tiny_tensors())))
    assert found.format == "GGUF"
    assert {name: found.about[name] for name in ("flag", "number", "part", "words", "numbers")} == {
        "flag": True,
        "number": -3,
        "part": 0.5,
        "words": ["a", "ü"],
        "numbers": [1, 2],
    }
    for tensor in tiny_tensors():
        read = found.tensors[tensor.name]
        assert read.shape == tensor.shape
        np.testing.assert_array_equal(read.values(), np.frombuffer(tensor.data, "<f4").reshape(tensor.shape))


def test_chosen_rows_are_those_of_the_whole() -> None:
    """The rest stays packed."""
    tensor = read_gguf(memoryview(WHOLE)).tensors["token_embd.weight"]
    which = np.array([5, 0, 5])
    np.testing.assert_array_equal(tensor.rows(which), tensor.values()[which])


@settings(max_examples=150)
@given(st.integers(0, len(WHOLE) - 1))
def test_a_file_that_is_cut_off_says_so(length: int) -> None:
    """Wherever the end is, after the magic."""
    with pytest.raises(PlanError, match="cut off"):
        read_gguf(memoryview(WHOLE[: max(4, length)]))


@settings(max_examples=300)
@given(st.integers(4, 6000), st.binary(min_size=1, max_size=8))
def test_a_damaged_header_is_read_or_refused(at: int, junk: bytes) -> None:
    """Nothing but PlanError, no endless loop and no memory without end."""
    data = bytearray(WHOLE)
    data[at : at + len(junk)] = junk
    with suppress(PlanError):
        read_gguf(memoryview(bytes(data)))


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (struct.pack("<4sIQQ", b"GGUF", 1, 0, 0), "version 1"),
        (struct.pack(">4sIQQ", b"GGUF", 3, 0, 0), "big-endian"),
        (struct.pack("<4sIQQ", b"GGUF", 3, 1 << 40, 0), "no model has as many"),
        (struct.pack("<4sIQQQ1sI", b"GGUF", 3, 0, 1, 1, b"k", 99), "type 99"),
        (struct.pack("<4sIQQQ1sIQ", b"GGUF", 3, 1, 0, 1, b"t", 9, 1), "9 axes"),
    ],
)
def test_headers_that_cannot_be(head: bytes, said: str) -> None:
    """Each with a sentence."""
    with pytest.raises(PlanError, match=said):
        read_gguf(memoryview(head + bytes(64)))


def test_types_that_are_not_read_are_named() -> None:
    """Q2_K by its name, and an unknown number as it is; those that are read are listed."""
    odd = GgufTensor("w", (2, 256), TensorType.F32, bytes(2 * 256 * 4))
    for code, name in ((10, "Q2_K"), (77, "type 77")):
        data = gguf({"general.architecture": "llama"}, [odd])
        data = data.replace(struct.pack("<QQIQ", 256, 2, 0, 0), struct.pack("<QQIQ", 256, 2, code, 0))
        with pytest.raises(PlanError, match=f"{name}, which is not read here.*Q6_K"):
            read_gguf(memoryview(data))


def test_rows_have_to_fill_their_blocks() -> None:
    """As the format asks for."""
    data = gguf({"general.architecture": "llama"}, [GgufTensor("w", (2, 40), TensorType.Q8_0, bytes(400))])
    with pytest.raises(PlanError, match="no multiple of Q8_0's 32"):
        read_gguf(memoryview(data))
