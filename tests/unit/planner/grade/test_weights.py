"""Files of either kind by their first bytes."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import save

from tests.unit.planner.grade.gguf_maker import gguf, tiny_model
from tokenway.planner.errors import PlanError
from tokenway.planner.grade.weights import read_weights


def test_both_kinds_are_told_apart() -> None:
    """By content, not by name."""
    assert read_weights(memoryview(tiny_model())).format == "GGUF"
    assert read_weights(memoryview(save({"w": np.ones((2, 2), np.float32)}))).format == "safetensors"


@pytest.mark.parametrize("data", [b"", b"GG", b"PK\x03\x04 a zip", b"\x80\x02 a pickle", bytes(100)])
def test_anything_else_is_neither(data: bytes) -> None:
    """The sentence says what to give instead."""
    with pytest.raises(PlanError, match="neither GGUF nor safetensors"):
        read_weights(memoryview(data))


def test_a_file_without_a_matrix_is_of_no_use() -> None:
    """Only norms, or nothing at all."""
    with pytest.raises(PlanError, match="no matrix"):
        read_weights(memoryview(gguf({"general.architecture": "llama"}, [])))
    with pytest.raises(PlanError, match="no matrix"):
        read_weights(memoryview(save({"w": np.ones(2, np.float32)})))
