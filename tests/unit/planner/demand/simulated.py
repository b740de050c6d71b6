"""Demand as it might be: curves with weekdays and errors of which neighbours are alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import Final

import numpy as np

from tokenway.planner.demand.series import Floats, Series, series_of

FIRST: Final = date(2026, 1, 5)
"""A Monday."""
LEVEL: Final = 1e8
_WEEKDAYS: Final = np.log([1, 1.05, 1.05, 1, 0.95, 0.6, 0.55])
CURVES: Final[Mapping[str, Callable[[Floats], Floats]]] = {
    # Each to four times the first day, or to a ceiling, where t is 1.
    "exponential": lambda t: np.asarray(np.log(4) * t),
    "linear": lambda t: np.asarray(np.log1p(3 * t)),
    "logistic": lambda t: np.asarray(-np.logaddexp(0, -8 * (t - 0.5))),
    "log-quadratic": lambda t: np.asarray(1.4 * t**2),
}


def demand(
    curve: str,
    days: int,
    generator: np.random.Generator,
    *,
    ahead: int = 0,
    spread: float = 0.15,
    likeness: float = 0.3,
) -> Floats:
    """Tokens of so many days, and of those that follow."""
    count = days + ahead
    fresh = generator.normal(size=count) * spread * np.sqrt(1 - likeness**2)
    errors = np.empty(count)
    last = generator.normal() * spread
    for place in range(count):
        last = errors[place] = likeness * last + fresh[place]
    days_of = np.arange(count)
    found: Floats = LEVEL * np.exp(CURVES[curve](days_of / (days - 1)) + errors + _WEEKDAYS[days_of % 7])
    return found


def daily(values: Floats, first: date = FIRST) -> Series:
    """Values as a series of days."""
    return series_of({first + timedelta(days=number): float(value) for number, value in enumerate(values)})
