"""A plan as a picture: GPUs by month, what APIs cost beside it, and what the cost depends on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tokenway.planner.plots import canvas

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from tokenway.planner.fleet.plan import Plan, Question
    from tokenway.planner.fleet.sensitivity import Bar

_INK: Final = "#1f4e79"
_APIS: Final = ("#b35900", "#2e7d32", "#6a1b9a", "#00838f", "#ad1457")


def picture(question: Question, plan: Plan) -> Figure:
    """Fleet by month with its band; money by month against APIs; the tornado."""
    figure, (fleet, money, bars) = canvas(rows=3)
    _draw_fleet(fleet, plan)
    _draw_money(money, question, plan)
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
    for each, colour in zip(plan.against, _APIS, strict=False):
        per_request = each.api.per_request(question.mix)
        plot.plot(names, [fleet.month.middle * per_request for fleet in plan.fleets], color=colour, label=each.api.name)
    plot.set_ylabel("USD a month")
    plot.set_yscale("log")
    plot.set_title("Own machines against prices by the token")
    plot.tick_params(axis="x", rotation=45)
    plot.legend(loc="upper left", fontsize="small")


def _draw_bars(plot: Any, bars: Sequence[Bar]) -> None:
    ordered = sorted((bar for bar in bars if bar.at_low is not None and bar.at_high is not None), key=_swing)
    for place, bar in enumerate(ordered):
        for value, colour in ((bar.at_low, "#6699cc"), (bar.at_high, _INK)):
            if value is not None:
                plot.barh(place, value / bar.base - 1.0, color=colour)
    plot.set_yticks(range(len(ordered)), [bar.name for bar in ordered], fontsize="small")
    plot.axvline(0.0, color="black", linewidth=0.8)
    plot.set_xlabel("cost of a token by the plan's, less 1 (light: low end, dark: high end)")
    plot.set_title("What the cost depends on")


def _swing(bar: Bar) -> float:
    return bar.swing / bar.base
