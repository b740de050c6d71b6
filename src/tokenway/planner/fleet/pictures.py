"""A plan as a picture: GPUs by month, APIs beside it, the break-even, other chips, and what the cost depends on."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tokenway.planner.fleet.breakeven import MONTH
from tokenway.planner.fleet.months import fleet_for
from tokenway.planner.fleet.workload import DAY
from tokenway.planner.plots import canvas, in_amounts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from tokenway.planner.fleet.plan import Plan, Question
    from tokenway.planner.fleet.sensitivity import Bar

_INK: Final = "#1f4e79"
_LABEL: Final = 24
"""Longer names are broken, as all five pictures stand as far to the right as they need."""
_COLOURS: Final = ("#b35900", "#2e7d32", "#6a1b9a", "#00838f", "#ad1457")


def picture(question: Question, plan: Plan) -> Figure:
    """Fleet by month with its band; money by month and by volume against APIs; Pareto curves; the tornado."""
    figure, (fleet, money, volume, curves, bars) = canvas(rows=5)
    figure.suptitle(f"Serving {question.served.shape.title}")
    _draw_fleet(fleet, plan)
    _draw_money(money, question, plan)
    _draw_volume(volume, question, plan)
    _draw_curves(curves, question.targets.speed, plan)
    _draw_bars(bars, plan.bars)
    return figure


def _draw_fleet(plot: Any, plan: Plan) -> None:
    names = [each.month.name for each in plan.fleets]
    plot.fill_between(
        names,
        [each.low.gpus for each in plan.fleets],
        [each.high.gpus for each in plan.fleets],
        color=_INK,
        alpha=0.2,
        step="mid",
        label="band of demand",
    )
    plot.step(names, [each.middle.gpus for each in plan.fleets], color=_INK, where="mid", label="expected")
    plot.set_ylabel(f"{plan.replica.offer.chip.title} GPUs")
    plot.set_ylim(bottom=0)
    plot.set_title("Fleet by month")
    plot.tick_params(axis="x", rotation=45)
    plot.legend(loc="upper left", fontsize="small")


def _draw_money(plot: Any, question: Question, plan: Plan) -> None:
    names = [each.month.name for each in plan.fleets]
    plot.plot(names, [each.middle.usd for each in plan.fleets], color=_INK, label="own machines")
    for each, colour in zip(plan.against, _COLOURS, strict=False):
        per_request = each.api.per_request(question.mix)
        plot.plot(names, [fleet.month.middle * per_request for fleet in plan.fleets], color=colour, label=each.api.name)
    plot.set_ylabel("USD a month")
    plot.set_yscale("log")
    in_amounts(plot.yaxis)
    plot.set_title("Own machines against prices by the token")
    plot.tick_params(axis="x", rotation=45)
    plot.legend(loc="upper left", fontsize="small")


def _draw_volume(plot: Any, question: Question, plan: Plan) -> None:
    """Dollars a month by volume: a fleet rises in steps, an API in a line."""
    replica, mix = plan.replica, question.mix
    one = replica.requests * plan.usable.share / mix.peak * MONTH.days * DAY
    requests = one * np.geomspace(0.05, 50.0, 200)
    own = [fleet_for(MONTH, each, replica, plan.usable.share, question.targets).usd for each in requests]
    tokens = requests * mix.tokens / MONTH.days
    plot.plot(tokens, own, color=_INK, label="own machines")
    for each, colour in zip(plan.against, _COLOURS, strict=False):
        plot.plot(tokens, requests * each.api.per_request(mix), color=colour, label=each.api.name)
        if each.even.fleet is not None:
            plot.plot([each.even.tokens_per_day], [each.even.fleet.usd], "o", color=colour)
    plot.set_xscale("log")
    plot.set_yscale("log")
    in_amounts(plot.xaxis)
    in_amounts(plot.yaxis)
    plot.set_xlabel("tokens a day")
    plot.set_ylabel("USD a month")
    plot.set_title("From which volume on machines pay (dots)")
    plot.legend(loc="upper left", fontsize="small")


def _draw_curves(plot: Any, speed: float, plan: Plan) -> None:
    """Tokens/s for a caller against tokens/s of a GPU, of the cheapest chips and formats."""
    for (offer, numbers, best), colour in zip(plan.frontiers, (_INK, *_COLOURS), strict=False):
        plot.plot(best.user, best.gpu, color=colour, label=f"{offer.chip.title} {numbers.label}")
    plot.axvline(speed, color="black", linewidth=0.8, linestyle=":")
    plot.set_xscale("log")
    plot.set_yscale("log")
    in_amounts(plot.xaxis)
    in_amounts(plot.yaxis)
    plot.set_xlabel("tokens/s for a caller (dotted: promised)")
    plot.set_ylabel("output tokens/s of a GPU")
    plot.set_title("What no other layout or batch beats")
    plot.legend(loc="lower left", fontsize="small")


def _draw_bars(plot: Any, bars: Sequence[Bar]) -> None:
    ordered = sorted((bar for bar in bars if bar.at_low is not None and bar.at_high is not None), key=_swing)
    for place, bar in enumerate(ordered):
        for value, colour in ((bar.at_low, "#6699cc"), (bar.at_high, _INK)):
            if value is not None:
                plot.barh(place, value / bar.base - 1.0, color=colour)
    plot.set_yticks(range(len(ordered)), [textwrap.fill(bar.name, _LABEL) for bar in ordered], fontsize="small")
    plot.axvline(0.0, color="black", linewidth=0.8)
    plot.set_xlabel("cost of a token by the plan's, less 1 (light: low end, dark: high end)")
    plot.set_title("What the cost depends on")


def _swing(bar: Bar) -> float:
    return bar.swing / bar.base
