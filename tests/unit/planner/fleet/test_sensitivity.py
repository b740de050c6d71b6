"""Inputs by what they do to an answer."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest

from tokenway.planner.fleet.sensitivity import Span, tornado


def _answer(inputs: Mapping[str, float]) -> float | None:
    return None if inputs["share"] <= 0 else 10 * inputs["price"] / inputs["share"] + inputs["fee"]


def test_the_strongest_comes_first() -> None:
    """Each alone, between its ends."""
    bars = tornado(_answer, {"fee": Span(0, 1, 2), "price": Span(1, 2, 4), "share": Span(0.4, 0.5, 0.6)})
    assert [bar.name for bar in bars] == ["price", "share", "fee"]
    assert (bars[0].at_low, bars[0].base, bars[0].at_high) == (21, 41, 81)
    assert [round(bar.swing, 3) for bar in bars] == [60, 16.667, 2]


def test_an_end_without_an_answer_is_the_strongest() -> None:
    """What cannot be at all moves most."""
    bars = tornado(_answer, {"price": Span(1, 2, 4), "share": Span(0, 0.5, 1), "fee": Span(0, 0, 0)})
    assert bars[0].name == "share"
    assert (bars[0].at_low, bars[0].swing) == (None, math.inf)
    assert bars[2].swing == 0


def test_there_has_to_be_an_answer() -> None:
    """To compare with."""
    with pytest.raises(ValueError, match="no answer"):
        tornado(_answer, {"price": Span(1, 2, 4), "share": Span(0, 0, 1), "fee": Span(0, 0, 0)})
