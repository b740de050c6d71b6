"""What demand will be: many paths into the future, and the bands that hold them.

Each path follows a curve drawn by how much the data speak for it (`Choice.weights`), with parameters drawn by block
bootstrap, and errors that begin with the last one seen. No growth lasts for ever: what has held for a time T is given
the odds T / (T + h) to hold for another h (Gott 1993), and from then on time runs slower for the curve by DAMPING each
month. Bands are quantiles of the paths, widened by what a backtest on the same series says (`backtest`).
"""

from __future__ import annotations

import calendar
from collections.abc import Sequence
from datetime import date
from typing import Final, NamedTuple

import numpy as np

from tokenway.planner.demand.choice import Choice
from tokenway.planner.demand.doubling import noise_for
from tokenway.planner.demand.noise import Noise
from tokenway.planner.demand.series import DAY, MONTH, QUARTER, WEEK, Floats, Period, Series
from tokenway.planner.demand.trends import LINEAR, LOGISTIC, Design, Trend, best_of, g, levels_of, near

DRAWS: Final = 1000
DAMPING: Final = 0.9
"""What is left of growth after each month, once it no longer holds."""
PLAIN: Final = 0.75
"""The part of paths that follow no curve, where values are weeks or longer and few: no curve has won there."""
LEVELS: Final = (0.5, 0.8, 0.95)
_QUANTILES: Final = (0.5, 0.25, 0.75, 0.1, 0.9, 0.025, 0.975)
_LEAST_WEIGHT: Final = 0.01
_LEAST_UNIFORM: Final = 1e-6
_FARTHEST: Final = 600.0
"""Logarithms beyond this would overflow."""
_STEP: Final = 1e-4


class Bands(NamedTuple):
    """Medians, and the ends of the bands that hold 50, 80 and 95 %; one value for each time."""

    median: Floats
    low50: Floats
    high50: Floats
    low80: Floats
    high80: Floats
    low95: Floats
    high95: Floats

    def at(self, place: int) -> dict[str, float]:
        """One time's figures by name."""
        return {name: float(values[place]) for name, values in self._asdict().items()}

    def widened(self, factors: Sequence[float]) -> Bands:
        """Each band wider by its factor, on the logarithms; a band is never inside a narrower one."""
        ends = [self.median, self.median]
        found = [self.median]
        for factor, low, high in zip(factors, self[1::2], self[2::2], strict=True):
            ends = [
                np.minimum(ends[0], _beyond(self.median, low, factor)),
                np.maximum(ends[1], _beyond(self.median, high, factor)),
            ]
            found += ends
        return Bands(*found)


def _beyond(median: Floats, end: Floats, factor: float) -> Floats:
    """So many times as far from the median as this end is, on logarithms."""
    middle = np.log(median)
    found: Floats = np.exp(np.clip(middle + factor * (np.log(end) - middle), -_FARTHEST, _FARTHEST))
    return found


class Month(NamedTuple):
    """A calendar month: the days of it that are seen or forecast, what was seen of it, and what it will come to."""

    month: str
    days: int
    is_whole: bool
    seen: float
    bands: Bands

    def data(self) -> dict[str, object]:
        """For programs."""
        figures = self.bands.at(0)
        return {"month": self.month, "days": self.days, "whole": self.is_whole, "seen": self.seen, **figures}


class Forecast(NamedTuple):
    """Paths (one for each draw) over the dates ahead, and their bands; `factors` widened these, by LEVELS."""

    series: Series
    dates: tuple[date, ...]
    paths: Floats
    bands: Bands
    factors: tuple[float, ...] = (1.0, 1.0, 1.0)

    def sums(self) -> list[Month]:
        """What calendar months come to, with bands of the sums; empty for quarters.

        Of days, a month that is not whole is the sum of its days that are seen or forecast. Weeks count for the month
        of their date, by what they come to per day; a last month that they do not fill is left out.
        """
        period = self.series.period
        if period is None or period is QUARTER:
            return []
        months = list(dict.fromkeys(_month_of(each) for each in self.dates))
        found = [self._month_of_days(month) if period is DAY else self._month_of(month, period) for month in months]
        return found if period is DAY else [each for each in found if each.is_whole]

    def _month_of_days(self, month: str) -> Month:
        ahead, seen, totals = self._parts(month)
        days = ahead + sum(_month_of(each) == month for each in self.series.dates)
        return Month(month, days, days == _length(month), seen, Bands(*(each + seen for each in totals)))

    def _month_of(self, month: str, period: Period) -> Month:
        ahead, seen, totals = self._parts(month)
        behind = sum(_month_of(each) == month for each in self.series.dates)
        # The mean of its weeks, or its only value, for so many days.
        scale = _length(month) / period.days / (ahead + behind) if period is WEEK else 1.0
        left = (date(int(month[:4]), int(month[5:]), _length(month)) - self.dates[-1]).days
        is_whole = period is MONTH or left < period.days
        return Month(month, _length(month), is_whole, seen, Bands(*((each + seen) * scale for each in totals)))

    def _parts(self, month: str) -> tuple[int, float, Bands]:
        """The places of a month ahead, what was seen of it, and the bands of what is to come."""
        ahead = np.array([_month_of(each) == month for each in self.dates])
        behind = np.array([_month_of(each) == month for each in self.series.dates])
        totals = self.paths[:, ahead].sum(axis=1)
        bands = bands_of(totals[:, None]).widened(self.factors)
        return int(ahead.sum()), float(self.series.values[behind].sum()), bands


def _length(month: str) -> int:
    return calendar.monthrange(int(month[:4]), int(month[5:]))[1]


def _month_of(day: date) -> str:
    return f"{day:%Y-%m}"


def forecast(
    series: Series,
    choice: Choice,
    count: int,
    generator: np.random.Generator,
    *,
    draws: int = DRAWS,
    factors: Sequence[float] = (1.0, 1.0, 1.0),
) -> Forecast:
    """The next `count` periods of a series whose curves were fitted (`choose`)."""
    paths = np.exp(log_paths(series, choice, count, generator, draws))
    bands = bands_of(paths).widened(factors)
    return Forecast(series, tuple(series.ahead(count)), paths, bands, tuple(factors))


def bands_of(paths: Floats) -> Bands:
    """The quantiles of paths at each time."""
    return Bands(*np.quantile(paths, _QUANTILES, axis=0))


def log_paths(series: Series, choice: Choice, count: int, generator: np.random.Generator, draws: int) -> Floats:
    """Logarithms of counts in the next periods, a row for each draw."""
    plain = 0 if series.period is DAY else round(draws * PLAIN)
    weights = {name: weight for name, weight in choice.weights.items() if weight >= _LEAST_WEIGHT}
    total = sum(weights.values())
    shares = np.round(np.cumsum([0.0, *weights.values()]) / total * (draws - plain)).astype(int)
    found = [
        _paths_of(series, choice, name, count, generator, int(many))
        for name, many in zip(weights, np.diff(shares), strict=True)
        if many
    ]
    if plain:
        found.append(_plain_paths(series, count, generator, plain))
    return np.clip(np.concatenate(found), -_FARTHEST, _FARTHEST)


def _paths_of(
    series: Series, choice: Choice, name: str, count: int, generator: np.random.Generator, draws: int
) -> Floats:
    trend, design = choice.trend(name), choice.design
    noise = noise_for(series, choice, name)
    places = np.round(series.at).astype(int)
    errors = noise.draw(draws, int(places[-1]) + 1, generator)[:, places]
    levels, shapes = _drawn(trend, design, errors)
    period = series.period or MONTH
    effective = _slowed(count, design.span, MONTH.days / period.days, draws, generator)
    curve = g(name, shapes, design.span + effective, design.span)
    last = series.logs[-1] - levels @ design.levels[-1] - g(name, shapes, design.at[-1:], design.span)[:, 0]
    ahead = noise.draw_after(last, count, generator)
    if levels.shape[1] == 1:
        return levels + curve + ahead
    weekdays = np.array([each.weekday() for each in series.ahead(count)])
    found: Floats = levels @ levels_of(weekdays).T + curve + ahead
    return found


def _plain_paths(series: Series, count: int, generator: np.random.Generator, draws: int) -> Floats:
    """Paths without a curve: from the last value on with steps as there were, in pairs, and their mean growth."""
    gaps = np.diff(series.at)
    steps = np.diff(series.logs)
    mean = float(steps.sum() / gaps.sum())
    noise = Noise(0.0, (steps - mean * gaps) / np.sqrt(gaps), 2)
    many = len(steps)
    means = mean + noise.draw_fresh(draws, many, generator).mean(axis=1) * np.sqrt(many / max(many - 1, 1))
    month = MONTH.days / (series.period or MONTH).days
    grown = means[:, None] * _slowed(count, series.span, month, draws, generator)
    found: Floats = series.logs[-1] + grown + np.cumsum(noise.draw_fresh(draws, count, generator), axis=1)
    return found


def _slowed(count: int, span: float, month: float, draws: int, generator: np.random.Generator) -> Floats:
    """How far each path has come on its curve after each period: a period at first, ever less once growth tires."""
    ahead = np.arange(1, count + 1)[None, :]
    uniform = np.maximum(generator.random((draws, 1)), _LEAST_UNIFORM)
    held = span * (1 - uniform) / uniform
    decay = -np.log(DAMPING) / month
    found: Floats = np.minimum(ahead, held) + -np.expm1(-decay * np.maximum(ahead - held, 0.0)) / decay
    return found


def _drawn(trend: Trend, design: Design, errors: Floats) -> tuple[Floats, Floats]:
    """Levels and parameters as they come out of the curve with other errors, a row for each row of these."""
    jacobian = np.column_stack([design.levels, *_derivatives(trend, design)])
    offs = errors @ np.linalg.pinv(jacobian).T
    wide = len(trend.levels)
    if trend.name not in {LINEAR, LOGISTIC}:
        return trend.levels + offs[:, :wide], trend.shape + offs[:, wide:]
    fitted = design.levels @ trend.levels + g(trend.name, trend.shape[None, :], design.at, design.span)[0]
    again = fitted + errors
    shapes = best_of(trend.name, again, design, near(trend, offs[:, wide:].std(axis=0)))
    rest = again - g(trend.name, shapes, design.at, design.span)
    return rest @ np.linalg.pinv(design.levels).T, shapes


def _derivatives(trend: Trend, design: Design) -> list[Floats]:
    """How g changes with each parameter at each place."""
    found = []
    for number in range(len(trend.shape)):
        step = np.zeros(len(trend.shape))
        step[number] = _STEP * max(abs(float(trend.shape[number])), _STEP)
        both = np.stack([trend.shape + step, trend.shape - step])
        upper, lower = g(trend.name, both, design.at, design.span)
        found.append((upper - lower) / (2 * step[number]))
    return found
