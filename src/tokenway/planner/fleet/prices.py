"""What an hour of a GPU costs: dated figures of the market, as a range and never as a constant.

US dollars for one GPU and hour, from `data/gpu_prices.csv`. Kinds: `on-demand`, `reserved` for one to three years,
`spot`, and `owned`, where capital over four years, power and housing are counted in.
"""

from __future__ import annotations

import csv
import io
import statistics
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
    text = files("tokenway.planner").joinpath("data/gpu_prices.csv").read_text(encoding="utf-8")
    found: dict[tuple[str, str], list[_Row]] = {}
    for row in csv.DictReader(io.StringIO(text)):
        price = _Row(float(row["usd_per_gpu_hour"]), row["as_of"], row["source"])
        found.setdefault((row["gpu"], row["kind"]), []).append(price)
    return found


def gpu_price(chip: str, kind: str) -> GpuPrice:
    """What is known of a chip's price, newest last. Raises PlanError where nothing is, with what would help."""
    rows = _rows().get((chip, kind))
    if not rows:
        has = ", ".join(sorted(other for name, other in _rows() if name == chip))
        hint = f"there are some for {has}; or " if has else ""
        raise PlanError(
            f"No {kind} price of {chip} is known: {hint}give one, as --price 2.10, in dollars per GPU and hour."
        )
    prices = [row.usd for row in rows]
    origins = list(dict.fromkeys(row.origin for row in rows))
    more = f" and {len(origins) - NAMED_ORIGINS} more" if len(origins) > NAMED_ORIGINS else ""
    days = sorted(row.as_of for row in rows)
    as_of = days[0] if days[0] == days[-1] else f"{days[0]} to {days[-1]}"
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
    """What one GPU costs to buy, with its share of servers and network: dollars. The figures are weak."""

    low: float
    high: float
    source: Source


_CAPITAL: Final = {
    "h100": Capital(25_000, 50_000, Source("purchase of h100", "2026-05", "chip alone to all-in; weak sources")),
    "gb200": Capital(
        43_000, 70_000, Source("purchase of gb200", "2026-05", "a rack at $3.1M, or $5M all-in; weak sources")
    ),
    "gb300": Capital(42_000, 56_000, Source("purchase of gb300", "2026-05", "estimates of $3M to $4M a rack")),
}


def capital(chip: str) -> Capital | None:
    """What is known of the price to buy one; None where nothing is."""
    return _CAPITAL.get(chip)
