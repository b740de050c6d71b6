"""Forecasts of the past: what would have been said on earlier days, and what came then.

The series is cut at several places; each part is forecast as if it were all, and compared with what followed. Of the
differences two things are made: the mean error at some distances, beside two simple rules, and how much wider bands
have to be to hold what they promise (split conformal prediction with the distance in half-widths as its score).
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from tokenway.planner.demand.choice import choose
from tokenway.planner.demand.forecast import LEVELS, Bands, bands_of, log_paths
from tokenway.planner.demand.series import DAY, Floats, Series

CUTS: Final = 8
_DRAWS: Final = 200
_DAYS: Final = 20
_POINTS: Final = 7
"""The shortest part that is forecast."""
_WIDEST: Final = 6.0
_PART_AHEAD: Final = 4


class Distance(NamedTuple):
    """Mean errors as parts of what came, so many periods ahead.

    Of these forecasts, of drawing the line from the first value through the last (`drift`), and of saying that it stays
    as it is (`same`).
    """

    ahead: int
    forecast: float
    drift: float
    same: float


class Backtest(NamedTuple):
    """What `cuts` earlier forecasts were worth, of up to `ahead` periods.

    Factors for the bands (by LEVELS), and what part of all that came was within them before.
    """

    cuts: int
    ahead: int
    factors: tuple[float, ...]
    within: tuple[float, ...]
    distances: tuple[Distance, ...]


NONE: Final = Backtest(0, 0, (1.0, 1.0, 1.0), (), ())


def backtest(series: Series, count: int, generator: np.random.Generator, *, cuts: int = CUTS) -> Backtest:
    """Forecasts up to `count` periods ahead, and no farther than a quarter of the series is long."""
    least = _DAYS if series.period is DAY else _POINTS
    length = len(series.at)
    ahead = min(count, length // _PART_AHEAD)
    starts = np.unique(np.linspace(max(least, length // 2), length - max(ahead, 1), cuts).astype(int))
    starts = starts[(starts >= least) & (starts + ahead <= length)]
    if ahead < 1 or not len(starts):
        return NONE
    scores: list[Floats] = []
    errors: dict[int, list[tuple[float, float, float]]] = {}
    for start in starts:
        told, came = _one(series, int(start), ahead, generator)
        scores.append(told)
        for far, *parts in came:
            errors.setdefault(int(far), []).append((parts[0], parts[1], parts[2]))
    pooled = np.concatenate(scores)
    factors = tuple(
        float(np.clip(np.quantile(pooled[:, place], level), 1.0, _WIDEST)) for place, level in enumerate(LEVELS)
    )
    within = tuple(float(each) for each in (pooled <= 1.0).mean(axis=0))
    return Backtest(len(starts), ahead, factors, within, _distances(errors, ahead))


def _one(series: Series, start: int, ahead: int, generator: np.random.Generator) -> tuple[Floats, Floats]:
    """For each value that followed its distance from the median in half-widths, by LEVELS.

    And how far ahead it was, with the relative errors of Distance.
    """
    part = series._replace(dates=series.dates[:start], at=series.at[:start], values=series.values[:start])
    later = slice(start, start + ahead)
    far = np.round(series.at[later] - part.at[-1]).astype(int)
    count = int(far[-1])
    bands = bands_of(log_paths(part, choose(part), count, generator, _DRAWS))
    told = Bands(*(each[far - 1] for each in bands))
    values = series.logs[later]
    sides = np.where(values >= told.median, 1, -1)
    scores = []
    for low, high in zip(told[1::2], told[2::2], strict=True):
        width = np.where(sides > 0, high - told.median, told.median - low)
        scores.append(np.abs(values - told.median) / np.maximum(width, 1e-9))
    usual = _usual(part)
    slope = (usual - _usual(part.until(min(part.span, _cycle(part))))) / max(part.span - _cycle(part) + 1, 1.0)
    simple = (told.median, usual + slope * far, np.full(len(far), usual))
    off = [np.abs(np.exp(each - values) - 1) for each in simple]
    return np.stack(scores, axis=1), np.column_stack([far, *off])


def _cycle(series: Series) -> float:
    return 7.0 if series.period is DAY else 1.0


def _usual(series: Series) -> float:
    """The log of the mean of the last week, or the last value."""
    last = series.values[series.at > series.at[-1] - _cycle(series)]
    return float(np.log(last.mean()))


def _distances(errors: dict[int, list[tuple[float, float, float]]], ahead: int) -> tuple[Distance, ...]:
    """A near one, one in the middle and the farthest; a week of days is taken together."""
    found = []
    for part in sorted({max(1, ahead // 4), max(1, ahead // 2), ahead}):
        rows = [row for far, several in errors.items() if part - max(1, ahead // 8) < far <= part for row in several]
        if rows:
            means = np.array(rows).mean(axis=0)
            found.append(Distance(part, *(float(each) for each in means)))
    return tuple(found)
