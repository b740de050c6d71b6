"""The study of a series as a report: sentences and tables for people, figures for programs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from tokenway.planner.demand.choice import EVIDENCE_ALIKE, bend, latest
from tokenway.planner.demand.doubling import Doubling, is_one_exponential, paces, time_of
from tokenway.planner.demand.figures import figures_of, finite
from tokenway.planner.demand.forecast import Bands, Forecast
from tokenway.planner.demand.growth import Split
from tokenway.planner.demand.lead import Lead
from tokenway.planner.demand.mix import Mix
from tokenway.planner.demand.regime import Regime
from tokenway.planner.demand.series import DAY, MONTH, Period, Series
from tokenway.planner.demand.study import Found, Study
from tokenway.planner.demand.trends import EXPONENTIAL, QUADRATIC
from tokenway.planner.report import Cell, Report, Source, Table, amount

_ROWS: Final = 16
_LONGEST: Final = 1e4
"""Doubling in more periods is no growth that anybody sees."""
NEAR: Final = 1.0
"""A curve that contains the best one and is less behind has gained something by its bend."""
_BAND_TITLES: Final = ("median", "50 % low", "high", "80 % low", "high", "95 % low", "high")
_BACKTEST_TITLES: Final = ("ahead", "this forecast", "last growth goes on", "stays as it is")


class Beside(NamedTuple):
    """What is known beside the series: factors of growth, a leader, what tokens are made of, how hours peak.

    `models` are the studies of single models, with their part of all tokens.
    """

    split: Split | None = None
    lead: Lead | None = None
    mix: Mix | None = None
    peak: float | None = None
    models: Sequence[tuple[str, float, Study]] = ()


def answer(
    studied: Study,
    *,
    inputs: Mapping[str, Cell] | None = None,
    sources: Sequence[Source] = (),
    beside: Beside | None = None,
) -> Report:
    """The report of a study."""
    series, found, more = studied.series, studied.found, beside or Beside()
    lines = [f"Insufficient data: {studied.lacks}."] if found is None else _sentences(series, found)
    tables = [] if found is None else _tables(series, found)
    if found is None and series.period is None:
        lines += _pace_sentences(series)
        tables.append(_paces(series))
    if more.split is not None:
        lines.append(more.split.sentence)
        tables.append(_split(more.split))
    if more.lead is not None:
        lines.append(more.lead.sentence)
        tables += [_lags(more.lead)] if more.lead.lags else []
    if more.models:
        tables.append(_models(more.models))
    if more.mix is not None:
        lines.append(_mix(more.mix, more.peak))
    told: dict[str, Cell] = {"series": series.name, "unit": series.unit}
    if len(series.values):
        period = series.period.name if series.period else "irregular"
        told |= {"from": series.dates[0].isoformat(), "to": series.dates[-1].isoformat(), "period": period}
    told |= {"values": len(series.values), **(inputs or {})}
    return Report(
        title=f"Demand: {series.name}",
        lines=(*lines, *series.notes),
        tables=tuple(tables),
        inputs=told,
        sources=tuple(sources),
        figures=figures_of(studied, more.split, more.lead, more.mix, more.peak, more.models),
    )


def _sentences(series: Series, found: Found) -> list[str]:
    period = series.period or MONTH
    lines = [_pace(found.doubling, period), found.choice.sentence]
    if found.choice.verdict != EXPONENTIAL:
        now = latest(found.choice)
        lines[0] = f"As an exponential: {lines[0][0].lower()}{lines[0][1:]}"
        if now > 0 and time_of(now) < _LONGEST:
            lines.append(f"At its latest pace it doubles in {period.several(time_of(now))}.")
    bent = bend(found.choice)
    near = found.choice.behind[QUADRATIC] < NEAR
    if found.choice.best.name == EXPONENTIAL and near:
        lines.append(
            f"A rate of growth that {'rises' if bent > 0 else 'falls'} fits nearly as well: whether the pace holds "
            "cannot be told yet."
        )
    if found.choice.likeness >= EVIDENCE_ALIKE:
        counted = (
            "intervals and the margin that is needed count with that"
            if found.choice.inflation > 1
            else "intervals count with that, the margin between curves does not, as there are too few values"
        )
        lines.append(
            f"Neighbouring values err alike (correlation {found.choice.likeness:.2f}), so there is less evidence than "
            f"their number suggests; {counted}."
        )
    if found.regime is not None:
        lines.append(_change(found.regime, period))
        if found.used is not series:
            lines[-1] += " All else is of the time since."
        else:
            lines[-1] += f" `--since {found.regime.since}` looks at what came after alone."
    lines.append(_outlook(found.forecast, period))
    lines.append(_tested(found, period))
    return lines


def _pace(doubling: Doubling, period: Period) -> str:
    low, high = doubling.within80
    if doubling.rate > 0:
        ends = f"{low:.3g} to {high:.3g}" if math.isfinite(high) else f"{low:.3g} {period.name}s to never"
        return f"Demand doubles in {period.several(doubling.periods)} (80 % interval {ends})."
    if doubling.rates80[1] < 0:
        return f"Demand halves in {period.several(-doubling.periods)} (80 % interval {-high:.3g} to {-low:.3g})."
    return f"Demand does not grow: its rate is {doubling.rate:+.2%} a {period.name}, and may be zero."


def _change(change: Regime, period: Period) -> str:
    before, after = (f"{math.expm1(rate):+.2%}" for rate in (change.before, change.after))
    return (
        f"Growth changed about {change.since}: {before} a {period.name} before, {after} since, and a step to "
        f"{change.step:.2f} times the level."
    )


def _outlook(forecast: Forecast, period: Period) -> str:
    last = forecast.bands.at(len(forecast.dates) - 1)
    return (
        f"{forecast.dates[-1]}: {amount(last['median'])} {forecast.series.unit} a {period.name}, with 80 % between "
        f"{amount(last['low80'])} and {amount(last['high80'])}."
    )


def _tested(found: Found, period: Period) -> str:
    tested = found.backtest
    if not tested.cuts:
        return "The series is too short to forecast parts of it and compare; the bands are as the model has them."
    wide = max(tested.factors) > 1.005
    return (
        f"{tested.cuts} forecast{'' if tested.cuts == 1 else 's'} of its past, up to {period.several(tested.ahead)} "
        "ahead: the bands of 80 % held "
        f"{tested.within[1]:.0%} of what came"
        + (f", and are widened {tested.factors[1]:.2f} times." if wide else ", and stay as they are.")
    )


def _pace_sentences(series: Series) -> list[str]:
    period = series.period or MONTH
    times = ", ".join(_time(pace.doubling) for pace in paces(series)[:_ROWS])
    lines = [] if len(series.values) > _ROWS else [f"Doubling times from one to the next, in {period.name}s: {times}."]
    if len(series.values) > 2 and not is_one_exponential(series):
        lines.append(
            "It is not one exponential: no such curve passes all values, even if each may be a fifth too high or low."
        )
    return lines


def _time(periods: float) -> str:
    return f"{periods:.1f}" if 0 < periods < _LONGEST else "none"


def _tables(series: Series, found: Found) -> list[Table]:
    choice, weights = found.choice, found.choice.weights
    rows = [
        (trend.name, len(trend.shape), round(choice.behind[trend.name], 1), f"{weights[trend.name]:.0%}")
        for trend in choice.trends
    ]
    tables = [Table("Curves", ("curve", "parameters", "AICc behind", "weight"), tuple(rows)), _ahead(found.forecast)]
    if found.backtest.distances:
        period = series.period or MONTH
        errors = [
            (period.several(each.ahead), *(f"{part:.0%}" for part in (each.forecast, each.drift, each.same)))
            for each in found.backtest.distances
        ]
        tables.append(Table("Mean error of forecasts of the past", _BACKTEST_TITLES, tuple(errors)))
    return tables


def _ahead(forecast: Forecast) -> Table:
    """By month, for days and weeks; by period for what is longer."""
    months = forecast.sums()
    unit = forecast.series.unit
    if months and forecast.series.period is not MONTH:
        rows = [
            (each.month if each.is_whole else f"{each.month} ({each.days} days)", *_cells(each.bands, 0))
            for each in months
        ]
        return Table(f"Forecast, {unit} in a month", ("month", *_BAND_TITLES), tuple(rows))
    rows = [(day.isoformat(), *_cells(forecast.bands, place)) for place, day in enumerate(forecast.dates[:_ROWS])]
    name = (forecast.series.period or DAY).name
    return Table(f"Forecast, {unit} in a {name}", (name, *_BAND_TITLES), tuple(rows))


def _cells(bands: Bands, place: int) -> list[str]:
    return [amount(float(each[place])) for each in bands]


def _paces(series: Series) -> Table:
    period = series.period or MONTH
    rows = [
        (pace.begins, pace.ends, round(pace.periods, 1), f"{pace.factor:.3g}", _time(pace.doubling))
        for pace in paces(series)[-_ROWS:]
    ]
    titles = ("from", "to", f"{period.name}s", "times", f"{period.name}s to double")
    return Table("Pace between values", titles, tuple(rows))


def _split(split: Split) -> Table:
    rows = [
        (
            each.name,
            amount(each.first),
            amount(each.last),
            f"{each.monthly:+.1%}",
            f"{each.low80:+.1%} to {each.high80:+.1%}",
            None if each.part is None else f"{each.part:.0%}",
        )
        for each in (*split.factors, split.total)
    ]
    titles = ("factor", split.begins.isoformat(), split.ends.isoformat(), "a month", "80 % interval", "of growth")
    return Table("What grows", titles, tuple(rows))


def _lags(lead: Lead) -> Table:
    rows = [
        (each.quarters, each.pairs, round(each.correlation, 2), f"{each.low95:.2f} to {each.high95:.2f}")
        for each in lead.lags
    ]
    return Table(f"Growth after that of {lead.leader}", ("quarters", "pairs", "correlation", "95 %"), tuple(rows))


def _models(models: Sequence[tuple[str, float, Study]]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name, part, studied in models:
        if studied.found is None:
            rows.append((name, f"{part:.1%}", None, None, "insufficient data"))
            continue
        doubling, period = studied.found.doubling, studied.series.period or DAY
        rate = math.expm1(doubling.rate * MONTH.days / period.days)
        days = finite(time_of(doubling.rate) * period.days)
        rows.append(
            (name, f"{part:.1%}", f"{rate:+.1%}", days if days and days > 0 else None, studied.found.choice.verdict)
        )
    titles = ("model", "of tokens", "a month", "days to double", "curve")
    return Table("Models", titles, tuple(rows))


def _mix(mix: Mix, peak: float | None) -> str:
    hours = "" if peak is None else f" On nine days of ten the highest hour has at most {peak:.2g} times the mean."
    return (
        f"A call takes {mix.input_per_call:,.0f} tokens in, {mix.cached_part:.0%} of them from caches, and gives "
        f"{mix.output_per_call:,.0f}.{hours}"
    )
