"""Bits of number formats, scales included, and how formats are asked for."""

from __future__ import annotations

import pytest

from tokenway.planner.errors import PlanError
from tokenway.planner.formats import FORMATS, numbers_of


@pytest.mark.parametrize(
    ("name", "bits"),
    [
        *[("bf16", 16), ("fp8", 8), ("int8", 8), ("mxfp8", 8.25), ("mxfp6", 6.25)],
        *[("mxfp4", 4.25), ("nvfp4", 4.5), ("int4", 4.125)],
    ],
)
def test_bits_include_scales(name: str, bits: float) -> None:
    """A scale of eight bits for 32 numbers is a quarter of a bit for each, for 16 it is half of one."""
    assert FORMATS[name].bits == bits
    assert FORMATS[name].size == bits / 8


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("fp8", ("fp8", "fp8", "fp8")),
        ("bf16", ("bf16", "bf16", "bf16")),
        ("FP4", ("nvfp4", "nvfp4", "fp8")),
        ("awq", ("int4", "bf16", "fp8")),
        ("int4/bf16/bf16", ("int4", "bf16", "bf16")),
        ("mxfp4/fp8", ("mxfp4", "fp8", "fp8")),
    ],
)
def test_weights_activations_and_cache(text: str, names: tuple[str, ...]) -> None:
    """What is not said follows from the weights."""
    assert tuple(each.name for each in numbers_of(text)) == names


@pytest.mark.parametrize(
    ("text", "label"), [("fp8", "fp8"), ("int4/fp8", "int4/fp8"), ("fp8/fp8/bf16", "fp8 kv bf16"), ("int4", "int4")]
)
def test_a_label_says_what_is_unusual(text: str, label: str) -> None:
    """And no more than that."""
    assert numbers_of(text).label == label


def test_what_no_format_is_called() -> None:
    """Unknown names and a fourth part are refused."""
    with pytest.raises(PlanError, match=r"did you mean .*nvfp4"):
        numbers_of("nvfp5")
    with pytest.raises(PlanError, match="more than"):
        numbers_of("fp8/fp8/fp8/fp8")
