"""What an hour of a GPU costs, and to buy one: dated figures of the market, as ranges and never as constants.

US dollars for one GPU and hour, from `data/gpu_prices.csv`, and for one GPU, from `data/gpu_capital.csv`. Kinds of
hours: `on-demand`, `reserved` for one to three years, `spot`, and `owned`, where capital over four years, power and
housing are counted in.
"""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple

from tokenway.planner.errors import PlanError
from tokenway.planner.report import Source

KINDS: Final = ("on-demand", "reserved", "spot", "owned")
NAMED_ORIGINS: Final = 3
"""How many origins a source names; the file has them all."""
ALONE: Final = 1.2
"""A single figure is no range: it is taken for the middle of one that goes so many times up and down."""


class GpuPrice(NamedTuple):
    """The range of what one GPU costs in an hour, and where that was read."""

    low: float
    middle: float
    high: float
    source: Source


class _Row(NamedTuple):
    usd: float
    as_of: str
    origin: str


@cache
def _rows() -> dict[tuple[str, str], list[_Row]]:
    found: dict[tuple[str, str], list[_Row]] = {}
    for row in _read("gpu_prices"):
        price = _Row(float(row["usd_per_gpu_hour"]), row["as_of"], row["source"])
        found.setdefault((row["gpu"], row["kind"]), []).append(price)
    return found


def gpu_price(chip: str, kind: str) -> GpuPrice:
    """What is known of a chip's price, newest last. Raises PlanError where nothing is, with what would help."""
    rows = _rows().get((chip, kind))
    if not rows:
        has = ", ".join(sorted(other for name, other in _rows() if name == chip))
        hint = f"there are some for {has}; " if has else ""
        raise PlanError(
            f"No {kind} price of {chip} is known: {hint}a plan takes one of yours, as --price 2.10, in dollars per GPU "
            "and hour."
        )
    prices = [row.usd for row in rows]
    origins = list(dict.fromkeys(row.origin for row in rows))
    more = f" and {len(origins) - NAMED_ORIGINS} more" if len(origins) > NAMED_ORIGINS else ""
    as_of = _span(sorted(row.as_of for row in rows))
    wide = ALONE if min(prices) == max(prices) else 1.0
    alone = "; one figure, so 20 % more or less is taken" if wide > 1 else ""
    source = Source(f"{kind} price of {chip}", as_of, ", ".join(origins[:NAMED_ORIGINS]) + more + alone)
    return GpuPrice(min(prices) / wide, statistics.median(prices), max(prices) * wide, source)


def own_price(usd_per_hour: float) -> GpuPrice:
    """A price that the reader knows. Raises PlanError where it is none."""
    if not 0 < usd_per_hour < float("inf"):
        raise PlanError(f"{usd_per_hour} is no price of a GPU hour; it has to be above zero.")
    source = Source("price of a GPU hour", "now", "as given")
    return GpuPrice(usd_per_hour, usd_per_hour, usd_per_hour, source)


class Capital(NamedTuple):
    """Dollars to buy one GPU, or its share of a rack: from the lowest to the highest figure that was read.

    Some are of the chip alone, and some all-in with servers and network; all are weak.
    """

    low: float
    high: float
    source: Source


def capital(chip: str) -> Capital | None:
    """What is known of the price to buy one; None where nothing is."""
    rows = [row for row in _read("gpu_capital") if row["gpu"] == chip]
    if not rows:
        return None
    figures, days = [float(row["usd_per_gpu"]) for row in rows], sorted(row["as_of"] for row in rows)
    origins = ", ".join(dict.fromkeys(row["source"] for row in rows))
    return Capital(min(figures), max(figures), Source(f"purchase of {chip}", _span(days), f"{origins}; weak sources"))


def own_capital(usd: float) -> Capital:
    """A purchase price that the reader knows. Raises PlanError where it is none."""
    if not 0 < usd < float("inf"):
        raise PlanError(f"{usd} is no price of a GPU; it has to be above zero.")
    return Capital(usd, usd, Source("purchase of a GPU", "now", "as given"))


def _read(name: str) -> Iterator[dict[str, str]]:
    text = files("tokenway.planner").joinpath(f"data/{name}.csv").read_text(encoding="utf-8")
    yield from csv.DictReader(io.StringIO(text))


def _span(days: Sequence[str]) -> str:
    """From the first to the last of some days in order."""
    return days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}"
