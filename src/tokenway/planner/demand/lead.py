"""Whether one series runs ahead of another, as spending on data centres might run ahead of demand.

Both are taken by calendar quarters. What is compared is their growth (differences of logarithms): two series that both
rise are alike in level whatever they have to do with each other. For each lag the correlation, with its interval by
Fisher's z; the best of several lags looks better than it is, so its chance is told as what the best of that many gets
by luck.
"""

from __future__ import annotations

import math
from datetime import date, timedelta
from typing import Final, NamedTuple

import numpy as np

from tokenway.planner.demand.series import MONTH, QUARTER, WEEK, Floats, Series

LAGS: Final = tuple(range(5))
LEAST: Final = 8
"""Pairs of growth that a correlation takes."""
_LIKELY: Final = 0.05
_Z95: Final = 1.96


class Lag(NamedTuple):
    """The correlation of growth with that of the leader so many quarters before, of so many pairs."""

    quarters: int
    pairs: int
    correlation: float
    low95: float
    high95: float


class Lead(NamedTuple):
    """What a leader says of a follower: by lag, the correlation of the levels, and how likely luck is.

    `chance` is that of luck to show one lag of all as good as the best; None where there are too few quarters.
    """

    leader: str
    follower: str
    quarters: int
    lags: tuple[Lag, ...]
    levels: float | None
    chance: float | None

    @property
    def best(self) -> Lag | None:
        """The lag with the highest correlation."""
        return max(self.lags, key=lambda lag: lag.correlation, default=None)

    @property
    def sentence(self) -> str:
        """How weak the evidence is."""
        best = self.best
        if best is None or self.chance is None:
            return (
                f"{self.leader} and {self.follower} have {self.quarters} whole quarters in common; "
                f"a lagged correlation of growth takes {LEAST + 1} or more, so there is no evidence either way."
            )
        level = "" if self.levels is None else f" (The levels have {self.levels:.2f}, as any two series that rise.)"
        if best.correlation <= 0:
            return (
                f"Growth of {self.follower} follows that of {self.leader} at none of {len(self.lags)} lags: the "
                f"highest correlation is {best.correlation:.2f}, 95 % interval {best.low95:.2f} to {best.high95:.2f}, "
                f"of {best.pairs} pairs.{level}"
            )
        before = f"{best.quarters} quarter{'' if best.quarters == 1 else 's'} before"
        when = before if best.quarters else "in the same quarter"
        weak = "weak evidence" if self.chance < _LIKELY else "no evidence"
        return (
            f"Growth of {self.follower} goes most with that of {self.leader} {when}: correlation "
            f"{best.correlation:.2f}, 95 % interval {best.low95:.2f} to {best.high95:.2f}, of {best.pairs} pairs. Luck "
            f"shows as much at one of {len(self.lags)} lags in {self.chance:.0%} of cases: {weak}, and no cause.{level}"
        )


def lead(leader: Series, follower: Series) -> Lead:
    """Compares the follower's growth with the leader's, at the same time and up to four quarters before."""
    first, second = by_quarter(leader), by_quarter(follower)
    common = sorted(set(first) & set(second))
    growths = [_growth(each) for each in (first, second)]
    lags = []
    for lag in LAGS:
        pairs = [(growths[0][each - lag], growths[1][each]) for each in growths[1] if each - lag in growths[0]]
        if len(pairs) >= LEAST:
            lags.append(_correlation(lag, np.array(pairs)))
    levels = None
    if len(common) > LEAST:
        levels = _correlation(0, np.log(np.array([[first[each], second[each]] for each in common]))).correlation
    chance = None
    if lags:
        best = max(lags, key=lambda each: each.correlation)
        z = math.atanh(min(best.correlation, 0.999999)) * math.sqrt(best.pairs - 3)
        one = 0.5 * math.erfc(z / math.sqrt(2))
        chance = 1 - (1 - one) ** len(lags)
    return Lead(leader.name, follower.name, len(common), tuple(lags), levels, chance)


def by_quarter(series: Series) -> dict[int, float]:
    """Values by calendar quarter (4 x year + 0 to 3).

    A fiscal quarter counts for the one that most of it is in; of other periods it is their mean, where it is whole.
    """
    found: dict[int, list[float]] = {}
    for day, value in zip(series.dates, series.values, strict=True):
        found.setdefault(_quarter(_middle(series, day)), []).append(float(value))
    if series.period is QUARTER:
        return {quarter: values[0] for quarter, values in found.items()}
    period = series.period or MONTH
    # Of weeks a thirteenth, of days some may be missing.
    least = QUARTER.days / period.days * 0.85
    return {quarter: math.fsum(values) / len(values) for quarter, values in found.items() if len(values) >= least}


def _middle(series: Series, day: date) -> date:
    """A day within the period.

    Fiscal quarters and weeks are told by their last day, calendar quarters and months by their first.
    """
    if series.period is QUARTER:
        return day - timedelta(days=45) if day.day > 1 or day.month % 3 != 1 else day
    return day - timedelta(days=3) if series.period is WEEK else day


def _quarter(day: date) -> int:
    return 4 * day.year + (day.month - 1) // 3


def _growth(values: dict[int, float]) -> dict[int, float]:
    return {at: math.log(values[at] / values[at - 1]) for at in sorted(values) if at - 1 in values}


def _correlation(lag: int, pairs: Floats) -> Lag:
    spread = pairs.std(axis=0)
    both = (pairs - pairs.mean(axis=0)).prod(axis=1).mean()
    correlation = float(both / spread.prod()) if spread.min() > 0 else 0.0
    z, error = math.atanh(max(min(correlation, 0.999999), -0.999999)), _Z95 / math.sqrt(len(pairs) - 3)
    return Lag(lag, len(pairs), correlation, math.tanh(z - error), math.tanh(z + error))
