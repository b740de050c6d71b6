"""Weights from a file of either kind."""

from __future__ import annotations

from tokenway.planner.errors import PlanError
from tokenway.planner.grade.gguf_file import MAGIC, read_gguf
from tokenway.planner.grade.safetensors_file import looks_like_safetensors, read_safetensors
from tokenway.planner.grade.tensors import Weights


def read_weights(data: memoryview) -> Weights:
    """What a GGUF or safetensors file holds. Raises PlanError for anything else and for what is damaged."""
    if bytes(data[: len(MAGIC)]) == MAGIC:
        found = read_gguf(data)
    elif looks_like_safetensors(data):
        found = read_safetensors(data)
    else:
        raise PlanError(
            "The file is neither GGUF nor safetensors; give one of these (`model.gguf`, `model.safetensors`)."
        )
    if not any(each.is_matrix for each in found.tensors.values()):
        raise PlanError(f"The {found.format} file holds no matrix of numbers that could be graded.")
    return found
