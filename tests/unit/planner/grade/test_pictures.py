"""What pictures of grades show."""

from __future__ import annotations

from tokenway.planner.grade.agreement import Share
from tokenway.planner.grade.intervals import Interval, newcombe, wilson
from tokenway.planner.grade.pictures import Bounded, Point, comparison_picture, formats_picture
from tokenway.planner.plots import render

POINTS = [Point("nvfp4", 4.5, Interval(1.2, 1.1, 1.3)), Point("mxfp4", 4.25, Interval(1.6, 1.6, 1.6))]
SHARES = [Share("tools", 6, wilson(1, 6), wilson(0.5, 6), newcombe(wilson(1, 6), wilson(0.5, 6)))]


def test_each_format_is_named_on_a_line_of_its_own() -> None:
    """With its bits, so that names of formats alike do not cover one another. The page needs no network."""
    figure = formats_picture(POINTS, "times the perplexity")
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["mxfp4, 4.25 bits", "nvfp4, 4.5 bits"]
    assert axes.get_xlabel() == "times the perplexity"
    page = render(figure, "html", title="Formats").decode()
    assert "nvfp4" in page
    assert "<script" not in page


def test_costs_of_different_sizes_are_on_a_logarithmic_axis() -> None:
    """Otherwise the small ones could not be told apart."""
    far = [*POINTS, Point("fp8", 8.0, Interval(0.01, 0.01, 0.01))]
    assert formats_picture(far, "error").axes[0].get_xscale() == "log"
    assert formats_picture(POINTS, "error").axes[0].get_xscale() == "linear"


def test_a_comparison_without_distances_has_one_panel() -> None:
    """Each was asked once."""
    both = comparison_picture(SHARES, {"answers": Bounded(Interval(0.1, 0.0, 0.2), 0.15)})
    assert len(both.axes) == 2
    assert len(comparison_picture(SHARES, {}).axes) == 1


def test_the_margins_are_told_once() -> None:
    """Each distance has its own, in its own unit, which its name has."""
    found = Bounded(Interval(0.1, 0.0, 0.2), 0.15)
    axes = comparison_picture(SHARES, {"drift (nats)": found, "answers (share)": found}).axes[1]
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["margin: no difference below"]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["drift (nats)", "answers (share)"]
