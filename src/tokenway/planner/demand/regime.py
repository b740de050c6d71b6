"""Whether growth changed at some time: two lines with a step between them against the best single curve."""

from __future__ import annotations

import math
from datetime import date
from typing import Final, NamedTuple

import numpy as np

from tokenway.planner.demand.choice import Choice, aicc
from tokenway.planner.demand.noise import likeness
from tokenway.planner.demand.series import Floats, Series
from tokenway.planner.demand.trends import Trend

CLEAR: Final = 10.0
"""How far ahead in AICc two lines have to be: the place of the break was chosen among many, which a plain AICc does not
count. With this about one simulated series in fifty without a change had one told; one in twenty where errors are very
much alike."""
_PLACES: Final = 60
_PART: Final = 0.15
"""No part is shorter than this of the whole."""
_BREAK: Final = "break"


class Regime(NamedTuple):
    """A change: the first date after it, the rates of growth before and after, and how many times the level it stepped.

    `margin` is how far two lines are ahead of the best curve in AICc, with the likeness of neighbours counted.
    """

    since: date
    before: float
    after: float
    step: float
    margin: float


def regime(series: Series, choice: Choice) -> Regime | None:
    """The change that is clear; None where there is none, or the series is too short to say."""
    period = series.period
    if period is None or len(series.at) < 2 * period.least:
        return None
    least = max(int(_PART * len(series.at)), period.least // 4)
    places = np.unique(np.linspace(least, len(series.at) - least, _PLACES).astype(int))
    found = [(_two_lines(series, choice.design.levels, int(place)), int(place)) for place in places]
    trend, place = min(found, key=lambda each: each[0].sse)
    alike = likeness(trend.errors, series.at, trend.parameters)
    margin = (aicc(choice.best) - aicc(trend)) * (1 - alike) / (1 + alike)
    if margin < CLEAR:
        return None
    before, step, bend = (float(each) for each in trend.shape)
    return Regime(series.dates[place], before, before + bend, math.exp(step), margin)


def _two_lines(series: Series, levels: Floats, place: int) -> Trend:
    at = series.at
    is_after = (np.arange(len(at)) >= place).astype(float)
    columns = np.column_stack([levels, at, is_after, np.maximum(at - at[place], 0.0)])
    found = np.linalg.lstsq(columns, series.logs, rcond=None)[0]
    # The place counts as a parameter too, and the spread.
    return Trend(_BREAK, found[:-3], found[-3:], series.logs - columns @ found, columns.shape[1] + 2)
