"""Everything that is to be known of a series, in one go: curve, doubling time, changes, backtest, forecast."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np

from tokenway.planner.demand.backtest import Backtest, backtest
from tokenway.planner.demand.choice import Choice, choose
from tokenway.planner.demand.doubling import Doubling, doubling
from tokenway.planner.demand.forecast import Forecast, forecast
from tokenway.planner.demand.regime import Regime, regime
from tokenway.planner.demand.series import DAY, MONTH, WEEK, Period, Series

SEED: Final = 20_260_701
"""What is drawn is the same each time."""
_AHEAD: Final = {DAY: 90, WEEK: 91}
_AHEAD_OTHERS: Final = 365


class Found(NamedTuple):
    """What a series says of its future.

    `used` is the part that all but `regime` is of: after a clear change of daily demand, what came since.
    """

    used: Series
    choice: Choice
    doubling: Doubling
    regime: Regime | None
    backtest: Backtest
    forecast: Forecast


class Study(NamedTuple):
    """A series and what was found; None with the reason (`lacks`) where that is too little to say anything."""

    series: Series
    found: Found | None

    @property
    def lacks(self) -> str:
        """Why nothing is said of its future."""
        return self.series.lacks


def periods_ahead(period: Period, days: int | None) -> int:
    """So many days in periods; without a number a season: 90 days, or a year of months and quarters."""
    wanted = days if days is not None else _AHEAD.get(period, _AHEAD_OTHERS)
    return max(1, math.ceil(wanted / period.days - 0.05))


def study(series: Series, days: int | None = None, generator: np.random.Generator | None = None) -> Study:
    """Looks at a series and forecasts so many days of it."""
    if series.lacks:
        return Study(series, None)
    chance = generator or np.random.default_rng(SEED)
    count = periods_ahead(series.period or MONTH, days)
    choice = choose(series)
    change = regime(series, choice)
    used = series
    if change is not None and series.period is DAY and not series.since(change.since).lacks:
        used = series.since(change.since)
        choice = choose(used)
    tested = backtest(used, count, chance)
    ahead = forecast(used, choice, count, chance, factors=tested.factors)
    # Months are made up with all that was seen of them.
    whole = ahead._replace(series=series)
    return Study(series, Found(used, choice, doubling(used, choice, chance), change, tested, whole))
