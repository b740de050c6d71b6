"""Pictures of demand have in them what they should."""

from __future__ import annotations

import numpy as np

from tests.unit.planner.demand.simulated import daily
from tokenway.planner.demand.examples import example
from tokenway.planner.demand.pictures import picture
from tokenway.planner.demand.study import study


def _labels(figure: object) -> list[str]:
    axes = figure.axes[0]  # type: ignore[attr-defined]
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_values_curve_and_bands() -> None:
    """On a logarithmic scale where it grows to more than eight times."""
    figure = picture(study(daily(1e6 + 1e3 * np.arange(90) + np.random.default_rng(1).normal(0, 1e3, 90)), 30))

    assert _labels(figure)[0] == "tokens"
    assert _labels(figure)[-4:] == ["95 %", "80 %", "50 %", "median"]
    assert figure.axes[0].get_yscale() == "linear"
    assert picture(study(example("google").series)).axes[0].get_yscale() == "log"


def test_the_legend_has_the_colours_of_the_bands() -> None:
    """They are opaque: no band shines through another."""
    axes = picture(study(daily(1e6 + 1e3 * np.arange(90) + np.random.default_rng(1).normal(0, 1e3, 90)), 30)).axes[0]
    bands = [each for each in axes.collections if "%" in str(each.get_label())]

    assert len(bands) == 3
    assert all(np.asarray(each.get_facecolor())[0, 3] == 1 for each in bands)


def test_without_a_forecast() -> None:
    """The values alone, or nothing."""
    assert _labels(picture(study(daily(np.ones(5))))) == ["tokens"]
    assert picture(study(daily(np.ones(5)))).axes[0].get_ylim() == (0, 1.1)
    nothing = picture(study(daily(np.zeros(5))))
    assert _labels(nothing) == ["tokens"]
    assert [text.get_text() for text in nothing.axes[0].texts] == ["nothing above zero"]


def test_a_leader_has_an_axis_of_its_own() -> None:
    """With its name on it."""
    figure = picture(study(example("nvidia").series), leader=example("capex").series)

    assert len(figure.axes) == 2
    assert figure.axes[1].get_ylabel() == "capital spending of four cloud companies, billion USD"
