"""Against an API: what the same requests cost by the token, and from which volume on machines of one's own are cheaper.

A fleet costs the same however little it does, so it pays from some volume on; replicas come whole, so the volume is
looked for step by step. Dollars; prices of APIs are counted by the rules of the ledger (`metering.price`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

from tokenway.metering.price import cost
from tokenway.model.catalog import Price
from tokenway.model.money import NANO_PER_USD
from tokenway.model.usage import Usage
from tokenway.planner.fleet.months import Fleet, FleetMonth, fleet_for
from tokenway.planner.fleet.search import Replica
from tokenway.planner.fleet.workload import DAY, Mix, Month, Targets

MONTH: Final = Month("a month", 30, 0.0, 0.0, 0.0)
RATIO: Final = 1.02
"""Volumes are tried so many times apart."""
REPLICAS: Final = (0.001, 1000.0)
"""The volumes between which is looked, as what so many replicas do: with more whole ones make no difference."""
PATHS: Final = ("low", "middle", "high")


class Api(NamedTuple):
    """An offer by the token."""

    name: str
    price: Price

    def per_request(self, mix: Mix) -> float:
        """Dollars for one request of the mix, which has tokens, and so a price."""
        cached = round(mix.input * mix.cached)
        usage = Usage(input_uncached=round(mix.input) - cached, cache_read=cached, output_text=round(mix.output))
        return (cost(usage, self.price) or 0) / NANO_PER_USD


class BreakEven(NamedTuple):
    """From `requests` a month on, which are `tokens_per_day`, the fleet is cheaper; infinite where it never is."""

    api: Api
    api_usd_per_request: float
    requests: float
    tokens_per_day: float
    fleet: Fleet | None


def break_even(api: Api, replica: Replica, share: float, targets: Targets, usd_per_hour: float) -> BreakEven:
    """The lowest volume from which on the fleet is never dearer than the API."""
    per_request = api.per_request(replica.mix)
    least, most = (count * replica.requests * share / replica.mix.peak * MONTH.days * DAY for count in REPLICAS)
    found: Fleet | None = None
    for n in range(int(math.log(most / least, RATIO)), -1, -1):
        fleet = fleet_for(MONTH, least * RATIO**n, replica, share, targets, usd_per_hour)
        if fleet.usd > fleet.requests * per_request:
            break
        found = fleet
    if found is None:
        return BreakEven(api, per_request, math.inf, math.inf, None)
    return BreakEven(api, per_request, found.requests, found.requests * replica.mix.tokens / MONTH.days, found)


def first_months(api: Api, fleets: Sequence[FleetMonth], mix: Mix) -> dict[str, str | None]:
    """The month from which on the fleet is cheaper, on each path of growth; None where that is not in sight."""
    per_request = api.per_request(mix)
    found: dict[str, str | None] = {}
    for path in PATHS:
        found[path] = None
        for each in reversed(fleets):
            fleet: Fleet = getattr(each, path)
            if fleet.usd > fleet.requests * per_request:
                break
            found[path] = each.month.name
    return found
