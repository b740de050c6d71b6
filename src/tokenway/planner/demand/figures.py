"""The study of a series as numbers for programs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tokenway.planner.demand.backtest import Backtest
from tokenway.planner.demand.choice import latest
from tokenway.planner.demand.doubling import Doubling, is_one_exponential, paces, time_of
from tokenway.planner.demand.forecast import Forecast
from tokenway.planner.demand.growth import Split
from tokenway.planner.demand.lead import Lead
from tokenway.planner.demand.mix import Mix
from tokenway.planner.demand.series import DAY, MONTH, Series
from tokenway.planner.demand.study import Found, Study

INSUFFICIENT = "insufficient data"


def figures_of(
    studied: Study,
    split: Split | None,
    lead: Lead | None,
    mix: Mix | None,
    peak: float | None,
    models: Sequence[tuple[str, float, Study]],
) -> dict[str, object]:
    """Everything of a study; what is not known, or infinite, is None.

    `verdict` is a curve's name, `cannot tell` or `insufficient data`.
    """
    series, found = studied.series, studied.found
    figures: dict[str, object] = {
        "notes": list(series.notes),
        "verdict": INSUFFICIENT if found is None else found.choice.verdict,
        "reason": studied.lacks or None,
        **(_known(series, found) if found is not None else _UNKNOWN),
        "factors": None if split is None else _split(split),
        "lead": None if lead is None else _lead(lead),
        "mix": None if mix is None else {**mix._asdict(), "parts": dict(mix.parts), "peak_to_mean": peak},
        "models": [_model(*each) for each in models],
    }
    if series.period is None:
        figures["paces"] = [pace._asdict() | {"doubling": finite(pace.doubling)} for pace in paces(series)]
        figures["one_exponential"] = is_one_exponential(series) if len(series.values) > 2 else None
    if mix is not None and found is not None:
        figures["months"] = [
            month.data() | {"buckets": {name: part * month.bands.at(0)["median"] for name, part in mix.parts.items()}}
            for month in found.forecast.sums()
        ]
    return figures


def finite(value: float) -> float | None:
    """A number; None for what JSON has no word for."""
    return value if math.isfinite(value) else None


_UNKNOWN: dict[str, object] = dict.fromkeys(
    (
        "margin",
        "margin_needed",
        "likeness",
        "curves",
        "doubling",
        "latest_doubling_periods",
        "used_from",
        "regime",
        "backtest",
    )
) | {"forecast": [], "months": []}


def _known(series: Series, found: Found) -> dict[str, object]:
    choice, weights = found.choice, found.choice.weights
    return {
        "margin": choice.margin,
        "margin_needed": choice.small,
        "likeness": choice.likeness,
        "curves": [
            {"curve": trend.name, "behind": finite(choice.behind[trend.name]), "weight": weights[trend.name]}
            for trend in choice.trends
        ],
        "doubling": _doubling(found.doubling, (series.period or MONTH).days),
        "latest_doubling_periods": finite(time_of(latest(choice))),
        "used_from": found.used.dates[0].isoformat(),
        "regime": None if found.regime is None else found.regime._asdict() | {"since": found.regime.since.isoformat()},
        "backtest": _backtest(found.backtest),
        "forecast": _forecast(found.forecast),
        "months": [month.data() for month in found.forecast.sums()],
    }


def _doubling(doubling: Doubling, days: float) -> dict[str, object]:
    def ends(both: tuple[float, float]) -> list[float | None]:
        return [finite(each) for each in both]

    return {
        "periods": finite(doubling.periods),
        "days": finite(doubling.periods * days),
        "periods80": ends(doubling.within80),
        "periods95": ends(doubling.within95),
        "days80": ends((doubling.within80[0] * days, doubling.within80[1] * days)),
        "rate": doubling.rate,
        "rate80": list(doubling.rates80),
        "rate95": list(doubling.rates95),
    }


def _backtest(tested: Backtest) -> dict[str, object]:
    return {
        "cuts": tested.cuts,
        "ahead": tested.ahead,
        "widened": list(tested.factors),
        "within": list(tested.within),
        "errors": [each._asdict() for each in tested.distances],
    }


def _forecast(found: Forecast) -> list[dict[str, object]]:
    return [{"date": day.isoformat(), **found.bands.at(place)} for place, day in enumerate(found.dates)]


def _split(split: Split) -> dict[str, object]:
    return {
        "begins": split.begins.isoformat(),
        "ends": split.ends.isoformat(),
        "points": split.points,
        "factors": [each._asdict() for each in split.factors],
        "total": split.total._asdict(),
    }


def _lead(lead: Lead) -> dict[str, object]:
    return lead._asdict() | {"lags": [lag._asdict() for lag in lead.lags]}


def _model(name: str, part: float, studied: Study) -> dict[str, object]:
    found, period = studied.found, studied.series.period or DAY
    return {
        "model": name,
        "part": part,
        "verdict": INSUFFICIENT if found is None else found.choice.verdict,
        "doubling": None if found is None else _doubling(found.doubling, period.days),
        "months": [] if found is None else [month.data() for month in found.forecast.sums()],
    }
