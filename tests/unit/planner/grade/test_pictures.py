"""Pictures are files of their kinds with every name in them."""

from __future__ import annotations

import pytest

from tokenway.planner.grade.agreement import Share
from tokenway.planner.grade.intervals import Interval, newcombe, wilson
from tokenway.planner.grade.pictures import FORMATS, Bounded, Point, draw_comparison, draw_formats

POINTS = [Point("nvfp4", 4.5, Interval(1.2, 1.1, 1.3)), Point("mxfp4", 4.25, Interval(1.6, 1.6, 1.6))]
SHARES = [Share("tools", 6, wilson(1, 6), wilson(0.5, 6), newcombe(wilson(1, 6), wilson(0.5, 6)))]
STARTS = {"png": b"\x89PNG", "svg": b"<?xml", "html": b"<!doctype html>"}


@pytest.mark.parametrize("form", FORMATS)
def test_each_kind_of_file(form: str) -> None:
    """By its first bytes."""
    assert draw_formats(POINTS, "times the perplexity", form).startswith(STARTS[form])
    assert draw_comparison(SHARES, {"answers": Bounded(Interval(0.1, 0.0, 0.2), 0.15)}, form).startswith(STARTS[form])


def test_a_page_holds_the_drawing_and_nothing_from_elsewhere() -> None:
    """It can be opened without a network."""
    page = draw_formats(POINTS, "times the perplexity", "html").decode()
    assert "<svg" in page
    assert "<script" not in page


def test_a_comparison_without_distances_has_one_panel() -> None:
    """Each was asked once."""
    both = draw_comparison(SHARES, {"answers": Bounded(Interval(0.1, 0.0, 0.2), 0.15)}, "svg")
    assert len(draw_comparison(SHARES, {}, "svg")) < len(both)
