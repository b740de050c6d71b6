"""Stored tensors and their numbers."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tokenway.planner.grade.tensors import BF16, F8_E4M3, F8_E5M2, F16, F32, F64, Kind, Tensor, Weights

VALUES = np.random.default_rng(6).standard_normal((3, 4)).astype(np.float32)


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        (F64, np.float64),
        (F32, np.float32),
        (F16, np.float16),
        (BF16, ml_dtypes.bfloat16),
        (F8_E4M3, ml_dtypes.float8_e4m3fn),
        (F8_E5M2, ml_dtypes.float8_e5m2),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_plain_kinds_are_read_exactly(kind: Kind, dtype: type) -> None:
    """Every number as float32."""
    stored: np.ndarray[Any, Any] = VALUES.astype(dtype)
    tensor = Tensor("w", (3, 4), kind, np.frombuffer(stored.tobytes(), np.uint8))
    np.testing.assert_array_equal(tensor.values(), stored.astype(np.float32))
    np.testing.assert_array_equal(tensor.rows(np.array([2, 0])), stored.astype(np.float32)[[2, 0]])
    assert tensor.numbers == 12
    assert kind.bits == 8 * stored.itemsize


def test_sizes_and_matrices() -> None:
    """A file is as large as its tensors; what has one axis is no matrix."""
    norm = Tensor("n", (12,), F32, np.zeros(48, np.uint8))
    matrix = Tensor("w", (3, 4), F16, np.zeros(24, np.uint8))
    assert Weights("GGUF", {}, {"n": norm, "w": matrix}).size == 72
    assert [norm.is_matrix, matrix.is_matrix] == [False, True]
