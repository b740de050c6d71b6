"""Errors of tensors by hand, and which tensors are looked at."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest

from tests.unit.planner.grade.gguf_maker import tiny_model
from tokenway.planner.grade.blocks import SCHEMES
from tokenway.planner.grade.damage import damage, file_bits, gradable, total
from tokenway.planner.grade.weights import read_weights

BEFORE = np.array([[3.0, 4.0, 0.0, 0.0]], np.float32)


def test_errors_by_hand() -> None:
    """Off by 1 and 0 of numbers with a root mean square of 2.5: 0.5 / 2.5."""
    found = damage("w", SCHEMES["int8"], BEFORE, BEFORE + np.array([[0, 1, 0, 0]], np.float32))
    assert found.relative == pytest.approx(0.2)
    assert found.decibels == pytest.approx(13.979, abs=1e-3)
    assert found.largest == pytest.approx(0.4)
    assert found.bits == 4 * 8 + 32


def test_exact_and_empty_tensors_have_no_error() -> None:
    """Infinite decibels where nothing moved, and no division by nothing."""
    assert damage("w", SCHEMES["int8"], BEFORE, BEFORE).decibels == inf
    zeros = np.zeros_like(BEFORE)
    assert damage("w", SCHEMES["int8"], zeros, zeros).relative == 0


def test_several_add_up_to_the_error_of_all_numbers() -> None:
    """As if they were one tensor, but for the largest error, which is beside its own tensor's numbers."""
    chance = np.random.default_rng(1)
    parts = [(chance.standard_normal((4, 8)).astype(np.float32), np.float32(0.1 * n)) for n in range(1, 4)]
    found = total(damage(f"w{n}", SCHEMES["int8"], part, part + off) for n, (part, off) in enumerate(parts))
    whole = np.concatenate([part for part, _ in parts])
    moved = np.concatenate([np.full_like(part, off) for part, off in parts])
    assert found.relative == pytest.approx(np.linalg.norm(moved) / np.linalg.norm(whole), rel=1e-5)
    assert found.numbers == 96


def test_embeddings_head_and_norms_stay_as_they_are() -> None:
    """What is graded is the layers' matrices; the file's size counts the rest as stored."""
    weights = read_weights(memoryview(tiny_model()))
    names = [each.name for each in gradable(weights)]
    assert len(names) == 14
    assert all(name.startswith("blk.") and "norm" not in name for name in names)
    scheme = SCHEMES["mxfp4"]
    stored = total(damage(each.name, scheme, each.values(), each.values()) for each in gradable(weights))
    kept = weights.size - sum(each.raw.size for each in gradable(weights))
    assert file_bits(weights, stored) == 8 * kept + stored.bits
    assert stored.bits == pytest.approx(4.25 * stored.numbers)
