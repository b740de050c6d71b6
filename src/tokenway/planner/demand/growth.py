"""Which factor of demand grows: users, requests of each, calls that a request takes, tokens of a call.

    tokens = users x requests per user x calls per request x tokens per call

The logarithms of the factors add up to that of the tokens, so their rates of growth, all fitted by the same line, add
up to its rate. Agents show as calls per request.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, timedelta
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np

from tokenway.planner.demand.noise import noise_of
from tokenway.planner.demand.series import Floats

ORDER: Final = ("users", "requests", "calls", "tokens")
_WEEK: Final = 7
_LEAST: Final = 4
_DRAWS: Final = 500
_BLOCK: Final = 2
_MONTH_DAYS: Final = 365.25 / 12


class Factor(NamedTuple):
    """One factor: its fitted values at the beginning and at the end, and how much it grows a month, as a part.

    With the ends of the 80 % interval; `part` is its part of all growth, None where there is hardly any.
    """

    name: str
    first: float
    last: float
    monthly: float
    low80: float
    high80: float
    part: float | None


class Split(NamedTuple):
    """The factors of growth, and the tokens that they multiply to, between two dates."""

    begins: date
    ends: date
    points: int
    factors: tuple[Factor, ...]
    total: Factor

    @property
    def sentence(self) -> str:
        """Which factor grows most."""
        most = max(self.factors, key=lambda each: each.monthly)
        if most.low80 <= 0:
            return "No factor of the growth stands out: the interval of each holds no growth at all."
        part = "" if most.part is None else f", {most.part:.0%} of all growth"
        return f"Of the factors, {most.name} grow most: {most.monthly:+.1%} a month{part}."


def split(counts: Mapping[str, Mapping[date, float]], generator: np.random.Generator) -> Split | None:
    """The factors by what was counted (of ORDER, `tokens` among them); None with one count, or fewer than four points.

    Days are taken together by weeks. Dates on which something counted is missing or zero are left out.
    """
    names = [name for name in ORDER if name in counts]
    if len(names) < 2 or names[-1] != "tokens":
        return None
    dates, columns = _together(names, counts)
    if len(dates) < _LEAST:
        return None
    logs = np.log(columns)
    factors = np.column_stack([logs[:, 0], np.diff(logs, axis=1)])
    months = np.array([(each - dates[0]).days for each in dates]) / _MONTH_DAYS
    design = np.column_stack([np.ones(len(dates)), months])
    told = [_factor(name, series, design, generator) for name, series in zip(_names(names), factors.T, strict=True)]
    total = _factor("tokens", logs[:, -1], design, generator)
    rate = math.log1p(total.monthly)
    parts = [math.log1p(each.monthly) / rate if abs(rate) > 1e-3 else None for each in told]
    named = tuple(each._replace(part=part) for each, part in zip(told, parts, strict=True))
    return Split(dates[0], dates[-1], len(dates), named, total)


def _names(counted: list[str]) -> list[str]:
    """`users`, `requests per user`, `calls per request`, `tokens per call`."""
    return [counted[0], *(f"{each} per {before[:-1]}" for before, each in pairwise(counted))]


def _together(names: list[str], counts: Mapping[str, Mapping[date, float]]) -> tuple[list[date], Floats]:
    """The dates, and the counts of each: means of the days of whole weeks, where they are days."""
    days = sorted(set.intersection(*(set(counts[name]) for name in names)))
    rows = [(day, [counts[name][day] for name in names]) for day in days]
    gaps = sorted((b - a).days for a, b in pairwise(days))
    if gaps and gaps[len(gaps) // 2] < _WEEK - 1:
        weeks: dict[date, list[list[float]]] = {}
        for day, values in rows:
            end = days[-1] - timedelta(days=(days[-1] - day).days // _WEEK * _WEEK)
            if (end - days[0]).days >= _WEEK - 1:
                weeks.setdefault(end, []).append(values)
        rows = [
            (end, [math.fsum(each) / len(each) for each in zip(*found, strict=True)]) for end, found in weeks.items()
        ]
    rows = sorted(row for row in rows if all(value > 0 for value in row[1]))
    return [day for day, _ in rows], np.array([values for _, values in rows]).reshape(len(rows), len(names))


def _factor(name: str, logs: Floats, design: Floats, generator: np.random.Generator) -> Factor:
    inverse = np.linalg.pinv(design)
    level, rate = inverse @ logs
    errors = logs - design @ np.array([level, rate])
    places = np.arange(len(logs), dtype=float)
    noise = noise_of(errors, places, 2, block=_BLOCK)
    offs = noise.draw(_DRAWS, len(logs), generator) @ inverse[1]
    low, high = np.quantile(rate - offs, (0.1, 0.9))
    first, last = level, level + rate * design[-1, 1]
    monthly, below, above = (float(np.expm1(each)) for each in (rate, low, high))
    return Factor(name, float(np.exp(first)), float(np.exp(last)), monthly, below, above, None)
