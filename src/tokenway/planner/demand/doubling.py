"""How long demand takes to double, with an interval; and the pace between reports that come at no regular times."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np

from tokenway.planner.demand.choice import Choice
from tokenway.planner.demand.noise import BLOCK_DAYS, Noise, noise_of
from tokenway.planner.demand.series import DAY, Floats, Series
from tokenway.planner.demand.trends import EXPONENTIAL

DRAWS: Final = 1000
REPORT_ERROR: Final = 1.2
"""A reported total may be off by so much, up or down, before one says that a curve misses it: they are rounded, and
what they count changes."""
_LIKELY: Final = 0.05


class Doubling(NamedTuple):
    """The rate at which demand grows if it is exponential, in logarithms per period, and in how many it doubles.

    That is infinite where it does not grow, and below zero where it halves in so many. The intervals are those of the
    rate; where one holds a rate of zero, its upper end is infinite.
    """

    rate: float
    rates80: tuple[float, float]
    rates95: tuple[float, float]

    @property
    def periods(self) -> float:
        """Ln 2 / rate."""
        return time_of(self.rate)

    @property
    def within80(self) -> tuple[float, float]:
        """The ends of the 80 % interval, the shorter one first."""
        return _ends(self.rates80)

    @property
    def within95(self) -> tuple[float, float]:
        """The ends of the 95 % interval."""
        return _ends(self.rates95)


def time_of(rate: float) -> float:
    """The periods in which something doubles that grows at this rate."""
    return math.log(2) / rate if rate else math.inf


def _ends(rates: tuple[float, float]) -> tuple[float, float]:
    low, high = rates
    if low > 0:
        return time_of(high), time_of(low)
    if high < 0:
        # Halving: the faster one has the lower rate.
        return time_of(low), time_of(high)
    return (time_of(high) if high > 0 else math.inf), math.inf


def block_of(series: Series) -> int:
    """How many neighbours are drawn together: a week of days, and of other series the cube root of their number."""
    if series.period is DAY:
        return BLOCK_DAYS
    return max(2, round(math.cbrt(len(series.at))))


def noise_for(series: Series, choice: Choice, name: str) -> Noise:
    """The errors of a series around a curve, to be drawn from."""
    trend = choice.trend(name)
    return noise_of(trend.errors, series.at, trend.parameters - 1, block=block_of(series))


def doubling(series: Series, choice: Choice, generator: np.random.Generator, draws: int = DRAWS) -> Doubling:
    """The doubling time by the exponential curve, with block-bootstrap intervals."""
    trend, design = choice.trend(EXPONENTIAL), choice.design
    noise = noise_for(series, choice, EXPONENTIAL)
    places = np.round(series.at).astype(int)
    errors = noise.draw(draws, int(places[-1]) + 1, generator)[:, places]
    columns = np.column_stack([design.levels, design.at])
    offs: Floats = np.linalg.pinv(columns)[-1] @ errors.T
    rate = float(trend.shape[0])
    low95, low80, high80, high95 = (float(each) for each in np.quantile(rate - offs, (0.025, 0.1, 0.9, 0.975)))
    return Doubling(rate, (low80, high80), (low95, high95))


class Pace(NamedTuple):
    """Between two values: how many periods lie between them, and how many times the first the second is.

    `doubling` is in how many periods it doubles at that pace.
    """

    begins: str
    ends: str
    periods: float
    factor: float
    doubling: float


def paces(series: Series) -> list[Pace]:
    """The pace between each two successive values."""
    found = []
    for (at, value, day), (next_at, next_value, next_day) in pairwise(
        zip(series.at, series.values, series.dates, strict=True)
    ):
        factor = float(next_value / value)
        periods = float(next_at - at)
        found.append(Pace(day.isoformat(), next_day.isoformat(), periods, factor, time_of(math.log(factor) / periods)))
    return found


def is_one_exponential(series: Series) -> bool:
    """Whether one exponential curve passes all values as nearly as reports can be trusted (REPORT_ERROR).

    Chi-square of the errors of the fitted line, with two parameters taken off; at 5 %.
    """
    from scipy.special import chdtrc  # noqa: PLC0415 - a third of a second that regular series do not need

    count = len(series.at)
    if count < 3:
        return True
    columns = np.column_stack([np.ones(count), series.at])
    errors = series.logs - columns @ np.linalg.lstsq(columns, series.logs, rcond=None)[0]
    statistic = float(errors @ errors) / math.log(REPORT_ERROR) ** 2
    return float(chdtrc(count - 2, statistic)) >= _LIKELY
