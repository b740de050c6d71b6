"""Grades as pictures: what formats cost by the bits that they take, and how far apart two endpoints are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from tokenway.planner.grade.agreement import Share
from tokenway.planner.grade.intervals import LEVEL, Interval
from tokenway.planner.plots import canvas, in_amounts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SPAN: Final = 10
_INK: Final = ("#3d5a80", "#ee6c4d")


class Point(NamedTuple):
    """A format: bits of a weight, and what it costs with the bounds of that (equal where there are none)."""

    name: str
    bits: float
    cost: Interval


class Bounded(NamedTuple):
    """How much further apart endpoints are than each from itself, and up to where that is no difference."""

    found: Interval
    margin: float


def formats_picture(points: Sequence[Point], what: str) -> Figure:
    """What formats cost, those with the most bits on top; a logarithmic axis where costs are of different sizes."""
    figure, (axes,) = canvas()
    axes.grid(visible=True, alpha=0.3)
    ordered = sorted(points, key=lambda point: (point.bits, -point.cost.value))
    for place, point in enumerate(ordered):
        below, above = point.cost.value - point.cost.low, point.cost.high - point.cost.value
        axes.errorbar(point.cost.value, place, xerr=[[below], [above]], fmt="o", capsize=3, color=_INK[0])
    axes.set_yticks(range(len(ordered)), [f"{point.name}, {point.bits:.3g} bits" for point in ordered])
    axes.set_xlabel(what)
    axes.set_title("What formats cost; bits of a weight have its share of the scales")
    costs = [point.cost.value for point in points]
    if max(costs) > _SPAN * min(costs) > 0:
        axes.set_xscale("log")
    in_amounts(axes.xaxis)
    return figure


def comparison_picture(shares: Sequence[Share], excesses: Mapping[str, Bounded]) -> Figure:
    """How many answers are right at each endpoint, and how much further apart the two are than each from itself."""
    figure, panels = canvas(columns=2 if excesses else 1)
    axes = panels[0]
    for panel in panels:
        panel.grid(visible=True, alpha=0.3)
    for side, (name, ink) in enumerate(zip("AB", _INK, strict=True)):
        found = [(share.a, share.b)[side] for share in shares]
        places = [number + (side - 0.5) * 0.2 for number in range(len(shares))]
        _bars(axes, places, found, ink, name)
    axes.set_xticks(range(len(shares)), [share.kind for share in shares])
    axes.set_ylabel(f"answers that are right ({LEVEL:.0%})")
    axes.set_ylim(0, 1.05)
    axes.legend()
    if excesses:
        beside = panels[1]
        _bars(beside, list(range(len(excesses))), [each.found for each in excesses.values()], _INK[0], "")
        for place, each in enumerate(excesses.values()):
            label = "_again" if place else "margin: no difference below"
            beside.hlines(each.margin, place - 0.3, place + 0.3, color=_INK[1], linestyle="--", label=label)
        beside.set_xticks(range(len(excesses)), list(excesses))
        beside.set_xlim(-0.5, len(excesses) - 0.5)
        beside.axhline(0, color="black", linewidth=0.8)
        beside.set_ylabel("further apart between than within")
        beside.legend()
    return figure


def _bars(axes: Axes, places: Sequence[float], found: Sequence[Interval], ink: str, name: str) -> None:
    bounds = [[each.value - each.low for each in found], [each.high - each.value for each in found]]
    axes.errorbar(places, [each.value for each in found], bounds, fmt="o", capsize=3, color=ink, label=name or None)
