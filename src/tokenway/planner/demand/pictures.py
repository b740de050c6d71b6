"""Demand as a picture: what there was, the curve, the bands ahead, and a leader beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tokenway.planner.demand.forecast import Forecast
from tokenway.planner.demand.series import Series
from tokenway.planner.demand.study import Found, Study
from tokenway.planner.demand.trends import g
from tokenway.planner.plots import canvas, in_amounts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK: Final = "#1f4e79"
_LEADER: Final = "#b35900"
_HIGH: Final = 30.0
"""Bands are drawn up to so many times the highest value or median."""
_LOW: Final = 8.0
"""A series that grows to more than so many times its beginning is drawn on a logarithmic scale."""


def picture(studied: Study, *, leader: Series | None = None) -> Figure:
    """The picture of a study. Without a forecast it has the values alone."""
    figure, (axes,) = canvas()
    # matplotlib's own stubs know no dates.
    plot: Any = axes
    series, found = studied.series, studied.found
    marks = "o" if len(series.values) < 100 else "."
    plot.plot(list(series.dates), series.values, marks, color=_INK, markersize=3, label=series.name)
    if found is not None:
        _draw_curve(plot, found)
        _draw_bands(plot, found.forecast)
    tops = [series.values, *([] if found is None else [found.forecast.bands.median])]
    if len(series.values):
        top = float(max(each.max() for each in tops))
        # What may be far above all else would hide it.
        high = min(axes.get_ylim()[1], _HIGH * top)
        if top > _LOW * series.values.min():
            axes.set_yscale("log")
            axes.set_ylim(top=high)
        else:
            axes.set_ylim(0.0, max(high, 1.1 * top))
    else:
        axes.text(0.5, 0.5, "nothing above zero", transform=axes.transAxes, ha="center")
    if leader is not None and len(leader.values):
        _draw_leader(axes, leader)
    axes.set_ylabel(f"{series.unit} a {series.period.name}" if series.period else series.unit)
    axes.set_title(f"Demand: {series.name}")
    axes.grid(visible=True, alpha=0.3)
    in_amounts(axes.yaxis)
    axes.legend(loc="best", fontsize="small")
    return figure


def _draw_curve(plot: Any, found: Found) -> None:
    trend, design = found.choice.best, found.choice.design
    # Without weekdays: at their mean.
    level = float(np.mean(trend.levels))
    fitted = np.exp(level + g(trend.name, trend.shape[None, :], design.at, design.span)[0])
    plot.plot(list(found.used.dates), fitted, color=_INK, linewidth=1, alpha=0.7, label=f"{trend.name} curve")


def _draw_bands(plot: Any, forecast: Forecast) -> None:
    bands, days = forecast.bands, list(forecast.dates)
    # Opaque, so that each has the colour that the legend shows.
    for low, high, colour, name in (
        (bands.low95, bands.high95, "#e3e9ef", "95 %"),
        (bands.low80, bands.high80, "#bccbd9", "80 %"),
        (bands.low50, bands.high50, "#8ea6bf", "50 %"),
    ):
        plot.fill_between(days, low, high, color=colour, linewidth=0, label=name)
    plot.plot(days, bands.median, color=_INK, linewidth=1.5, label="median")


def _draw_leader(axes: Axes, leader: Series) -> None:
    other: Any = axes.twinx()
    other.plot(list(leader.dates), leader.values, color=_LEADER, linewidth=1, marker="s", markersize=3)
    other.set_yscale(axes.get_yscale())
    in_amounts(other.yaxis)
    other.set_ylabel(f"{leader.name}, {leader.unit}", color=_LEADER)
