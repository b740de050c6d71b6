"""GPUs, power and money by month: enough replicas for the peak hour, and spare ones for those that are down."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final, NamedTuple

from scipy.special import nbdtr

from tokenway.planner.fleet.search import HOUR, Replica
from tokenway.planner.fleet.workload import DAY, Month, Targets
from tokenway.planner.serving.pareto import PREFILL_CHIPS

KWH: Final = 24.0


class Fleet(NamedTuple):
    """What one amount of requests takes in a month. Money in US dollars."""

    requests: float
    needed: int
    spares: int
    gpus: int
    power_kw: float
    """What the utility has to provide."""
    energy_kwh: float
    usd: float
    utilisation: float
    """The mean rate by what the replicas, spares included, do at the targets."""
    usd_per_request: float
    usd_per_million_input: float
    usd_per_million_output: float


class FleetMonth(NamedTuple):
    """A month's fleet for the middle of the forecast, and for the ends of its band."""

    month: Month
    low: Fleet
    middle: Fleet
    high: Fleet


def spares(needed: int, availability: float, up: float) -> int:
    """How many more replicas it takes that at least `needed` are up for `availability` of the time.

    Each is up for the share `up` of it, whatever the others are. So many may be down before `needed` are found that are
    up, which is negative binomial: the answer is its quantile.
    """
    low, high = -1, 1
    while nbdtr(high, needed, up) < availability:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if nbdtr(middle, needed, up) >= availability else (middle, high)
    return high


def added(counts: Iterable[int]) -> list[int]:
    """How many GPUs have to be bought in each month, where none is sold again."""
    found, most = [], 0
    for count in counts:
        found.append(max(count - most, 0))
        most = max(most, count)
    return found


def fleet_for(
    month: Month, requests: float, replica: Replica, share: float, targets: Targets, usd_per_hour: float | None = None
) -> Fleet:
    """What `requests` in a month take, where a replica may be given `share` of its work in the peak hour."""
    mean = month.rate(requests)
    needed = max(1, math.ceil(mean * replica.mix.peak / (replica.requests * share) - 1e-9))
    extra = spares(needed, targets.availability, targets.machine_up)
    machines = needed + extra
    # Chips that prefill are shared by the replicas, and whole workers of them are taken.
    worker = min(replica.offer.chip.domain, PREFILL_CHIPS)
    gpus = machines * replica.layout.chips + math.ceil(machines * replica.prefill_gpus / worker - 1e-9) * worker
    price = replica.offer.price.middle if usd_per_hour is None else usd_per_hour
    usd = gpus * price * month.days * DAY / HOUR
    per_request = usd / requests if requests else math.inf
    per_input, per_output = replica.per_million(per_request)
    power = gpus * replica.offer.chip.all_in_kw
    used = mean / (machines * replica.requests)
    return Fleet(
        requests,
        needed,
        extra,
        gpus,
        power,
        power * month.days * KWH,
        usd,
        used,
        per_request,
        per_input,
        per_output,
    )


def by_month(months: Iterable[Month], replica: Replica, share: float, targets: Targets) -> list[FleetMonth]:
    """The fleets of all months: of what is expected, and of the ends of its band."""

    def fleet(month: Month, requests: float) -> Fleet:
        return fleet_for(month, requests, replica, share, targets)

    return [
        FleetMonth(each, fleet(each, each.low), fleet(each, each.middle), fleet(each, each.high)) for each in months
    ]
