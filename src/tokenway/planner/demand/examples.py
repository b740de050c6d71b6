"""Public series that come with the package: what they are, of which day, and where they were read."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple

from tokenway.planner.demand.series import Series, series_of
from tokenway.planner.demand.table import summed
from tokenway.planner.errors import unknown
from tokenway.planner.report import Source

READ: Final = "2026-07"
"""When all of them were read."""
_TRILLION: Final = 1e12


class Example(NamedTuple):
    """One series; `counts` are what stands behind its tokens, where that is public."""

    series: Series
    source: Source
    counts: Mapping[str, Mapping[date, float]]


def example(name: str) -> Example:
    """The example of this name. Raises PlanError for an unknown one, with those that come nearest."""
    make = _EXAMPLES.get(name.strip().lower())
    if make is None:
        raise unknown("example", name, _EXAMPLES)
    return make()


def names() -> list[str]:
    """The examples that there are."""
    return list(_EXAMPLES)


@cache
def _rows(file: str) -> tuple[Mapping[str, str], ...]:
    text = files("tokenway.planner").joinpath(f"data/{file}.csv").read_text(encoding="utf-8")
    return tuple(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))


def _points(file: str, column: str) -> dict[date, float]:
    return summed((date.fromisoformat(row["date"]), float(row[column])) for row in _rows(file))


def _openrouter() -> Example:
    tokens, calls = _points("openrouter_weekly", "tokens"), _points("openrouter_weekly", "requests")
    source = Source(
        "OpenRouter, tokens of its top models by week", READ, "github.com/johnbean393/openrouter-inference-stats"
    )
    counts = {"calls": {day: count for day, count in calls.items() if count}, "tokens": tokens}
    return Example(series_of(tokens, name="OpenRouter's weekly tokens"), source, counts)


def _nvidia() -> Example:
    points = _points("nvidia_datacenter_revenue", "usd_billions")
    source = Source("NVIDIA, data-centre revenue by fiscal quarter", READ, "NVIDIA's releases; links in the data file")
    return Example(series_of(points, name="NVIDIA's data-centre revenue", unit="billion USD"), source, {})


def _capex() -> Example:
    points = _points("hyperscaler_capex", "usd_billions")
    source = Source("Capital spending of four cloud companies by quarter", READ, "opencapital.sh, cash flow statements")
    name = "capital spending of four cloud companies"
    return Example(series_of(points, name=name, unit="billion USD"), source, {})


def _reported(series: str, name: str) -> Callable[[], Example]:
    def make() -> Example:
        told = ((row["date"], float(row["trillions"])) for row in _rows("reported_tokens") if row["series"] == series)
        points = {date.fromisoformat(day): trillions * _TRILLION for day, trillions in told}
        source = Source(f"{name}, as reported", READ, "press and talks; links in the data file")
        return Example(series_of(points, name=name), source, {})

    return make


_EXAMPLES: Final[Mapping[str, Callable[[], Example]]] = {
    "openrouter": _openrouter,
    "nvidia": _nvidia,
    "capex": _capex,
    "google": _reported("google", "Google's monthly tokens"),
    "doubao": _reported("doubao", "Doubao's daily tokens"),
    "china": _reported("china", "China's daily tokens"),
}
