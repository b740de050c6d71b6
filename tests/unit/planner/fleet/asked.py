"""What the tests of fleets ask for."""

from __future__ import annotations

import datetime as dt
from typing import Final

from tokenway.planner.fleet.prices import gpu_price
from tokenway.planner.fleet.search import Offer, Replica, Served, search
from tokenway.planner.fleet.workload import Mix, Targets, growing
from tokenway.planner.formats import numbers_of
from tokenway.planner.hardware import chips
from tokenway.planner.shapes import shapes

MIX: Final = Mix(input=2_000, output=300, cached=0.3)
TARGETS: Final = Targets(speed=30, ttft=2)
MODEL: Final = Served(shapes()["llama-3-70b"])
FP8: Final = numbers_of("fp8")
MONTHS: Final = growing(dt.date(2026, 7, 1), 6, 3e9, 120, 0.5, MIX)


def offer(chip: str, kind: str = "owned") -> Offer:
    """A chip at its price."""
    return Offer(chip, chips()[chip], gpu_price(chip, kind))


def cheapest(chip: str = "h100") -> Replica:
    """The best replica of a 70B model on a chip."""
    return search(MODEL, MIX, TARGETS, [offer(chip)], [FP8]).replicas[0]
