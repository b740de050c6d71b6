"""GGUF's packed types against ggml's own Python library, from blocks that it has read (`gguf_reference.json`)."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
import pytest

from tests.unit.planner.grade.gguf_maker import as_mxfp4, as_q8_0
from tokenway.planner.grade.blocks import SCHEMES
from tokenway.planner.grade.gguf_kinds import KINDS, OTHERS

REFERENCE = json.loads(Path(__file__).with_name("gguf_reference.json").read_text())["kinds"]
BY_NAME = {kind.name: kind for kind in KINDS.values()}


@pytest.mark.parametrize("name", REFERENCE)
def test_blocks_read_as_in_the_reference(name: str) -> None:
    """To the last bit."""
    kind = BY_NAME[name]
    raw = np.frombuffer(base64.b64decode(REFERENCE[name]["raw"]), np.uint8).reshape(-1, kind.size)
    expected = np.frombuffer(base64.b64decode(REFERENCE[name]["values"]), "<f4").reshape(-1, kind.block)
    np.testing.assert_array_equal(kind.unpack(raw), expected)


def test_every_type_that_is_read_has_a_reference() -> None:
    """But for the two that are plain numbers; and none is both read and not read."""
    assert set(BY_NAME) - set(REFERENCE) == {"F32", "F64"}
    assert not set(KINDS) & set(OTHERS)


def test_mxfp4_of_a_file_is_the_emulated_one() -> None:
    """What is packed from the emulation reads as the emulation says."""
    values = np.random.default_rng(2).standard_normal((4, 64)).astype(np.float32)
    packed = as_mxfp4(values)
    raw = np.frombuffer(packed.data, np.uint8).reshape(-1, KINDS[packed.code].size)
    np.testing.assert_array_equal(KINDS[packed.code].unpack(raw).reshape(4, 64), SCHEMES["mxfp4"].restored(values))


def test_eight_bits_lose_little() -> None:
    """The writer that tests use is right about Q8_0."""
    values = np.random.default_rng(2).standard_normal((4, 64)).astype(np.float32)
    packed = as_q8_0(values)
    raw = np.frombuffer(packed.data, np.uint8).reshape(-1, KINDS[packed.code].size)
    assert np.abs(KINDS[packed.code].unpack(raw).reshape(4, 64) - values).max() < 0.02
