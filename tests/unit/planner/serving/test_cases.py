"""Figures of models on chips as columns."""

from __future__ import annotations

import numpy as np
import pytest

from tests.unit.planner.serving.asked import deployed, load
from tokenway.planner.formats import format_of, numbers_of
from tokenway.planner.hardware import chip_of
from tokenway.planner.serving.cases import attention_format, cases_of, facts_of, spread
from tokenway.planner.serving.deployment import Draft, Pool
from tokenway.planner.shapes import shape_of


@pytest.mark.parametrize(
    ("model", "weights", "attention"),
    [
        *[("llama-3-70b", "nvfp4", "nvfp4"), ("llama-3-70b", "fp8", "fp8"), ("qwen3-235b", "nvfp4", "nvfp4")],
        *[("deepseek-v3", "nvfp4", "fp8"), ("deepseek-v3", "fp8", "fp8"), ("gpt-oss-120b", "mxfp4", "bf16")],
        ("kimi-k2", "int4", "bf16"),
    ],
)
def test_four_bits_are_for_experts(model: str, weights: str, attention: str) -> None:
    """What stays wider follows from how models are published."""
    assert attention_format(shape_of(model)[1], format_of(weights)).name == attention


def test_rows_and_a_spread_say_the_same() -> None:
    """One below the other, or from one with columns put in."""
    pools = [Pool(tp=1), Pool(tp=8), Pool(dp=8, ep=8)]
    rows = cases_of([(deployed("deepseek-v3", pool=pool), load(16)) for pool in pools])
    wide = spread(
        deployed("deepseek-v3"),
        load(16),
        **{name: [getattr(pool, name) for pool in pools] for name in ("tp", "dp", "ep")},
    )
    for name, column in rows._asdict().items():
        if name != "facts":
            np.testing.assert_array_equal(column, np.broadcast_to(getattr(wide, name), 3), name)


def test_what_has_to_be_unpacked() -> None:
    """Four-bit weights on chips without units for them, and integers of four bits anywhere."""
    shape = shape_of("gpt-oss-120b")[1]
    flags = {
        (chip, numbers): facts_of(shape, chip_of(chip)[1], numbers_of(numbers)).packed
        for chip, numbers in (("h200", "mxfp4"), ("b200", "mxfp4"), ("b200", "int4"), ("h200", "fp8"))
    }
    assert list(flags.values()) == [1, 0, 1, 0]


def test_what_the_calibration_does_not_know() -> None:
    """Models and chips by their titles."""
    known = facts_of(shape_of("llama-3-70b")[1], chip_of("b200")[1], numbers_of("fp8"))
    new = facts_of(shape_of("llama-3-405b")[1], chip_of("mi355x")[1], numbers_of("fp8"))
    assert (known.new_model, known.new_chip, new.new_model, new.new_chip) == (0, 0, 1, 1)


def test_a_draft_is_in_the_columns() -> None:
    """None is no guesses."""
    cases = cases_of([(deployed(draft=Draft(tokens=2, accepted=0.5)), load()), (deployed(), load())])
    assert cases.guesses.tolist() == [2, 0]
    assert cases.accepted.tolist() == [0.5, 0]
