"""What is to be served, and how well: the mix of requests, the targets, and the requests of each month."""

from __future__ import annotations

import calendar
import datetime as dt
import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from tokenway.planner.errors import PlanError

DAY: Final = 86_400.0
QUANTILE_MOST: Final = 0.99
"""Of the few thousand requests that are played, some two dozen wait longer than that."""
TOKENS_MOST: Final = 1e18
"""More tokens a day than that are nobody's: all that Google counted in a day of 2026 were 1e14."""


class Mix(msgspec.Struct, frozen=True, kw_only=True):
    """The requests: mean tokens of input and output, the share of the input that a cache spares, how uneven they come.

    `peak` is the busiest hour's rate by the mean; the variations and `burstiness` are as in `queueing.Traffic`. The
    defaults are what a gateway for agents sees: long prompts that repeat, short answers (OpenRouter's weekly figures of
    2026: 6 to 34 thousand tokens in, 400 to 600 out, 45 to 70 % of the input from a cache).
    """

    input: float = 10_000.0
    output: float = 500.0
    cached: float = 0.5
    peak: float = 2.0
    burstiness: float = 1.0
    input_variation: float = 1.0
    output_variation: float = 1.0

    def __post_init__(self) -> None:
        """Raises PlanError for a mix that no requests have."""
        if not 1 <= self.input < math.inf or not 1 <= self.output < math.inf or not 0 <= self.cached < 1:
            raise PlanError("A request has a token or more in and out, and less than all of its input is cached.")
        if not 1 <= self.peak < math.inf:
            raise PlanError(f"The peak is the busiest hour by the mean, so it is 1 or more, and not {self.peak:g}.")
        if not 0 < self.burstiness < math.inf or min(self.input_variation, self.output_variation) < 0:
            raise PlanError("Burstiness is above 0, and variations are not below it.")

    @property
    def tokens(self) -> float:
        """Tokens of one request, in and out."""
        return self.input + self.output


class Targets(msgspec.Struct, frozen=True, kw_only=True):
    """What callers are promised: seconds to the first token for a share of them, tokens/s for each, and availability.

    `machine_up` is the share of the time for which a replica is up, and `utilisation` the most that the peak hour may
    use of what it does at the targets.
    """

    ttft: float = 2.0
    quantile: float = 0.95
    speed: float = 20.0
    availability: float = 0.999
    machine_up: float = 0.995
    utilisation: float = 0.85

    def __post_init__(self) -> None:
        """Raises PlanError for targets that are none."""
        if not 0 < self.ttft < math.inf or not 0 < self.speed < math.inf:
            raise PlanError("A time to the first token and a speed are above 0.")
        if not 0.5 <= self.quantile <= QUANTILE_MOST:
            raise PlanError(f"The share of the requests is from 0.5 to {QUANTILE_MOST:g}: rarer waits are not played.")
        if not 0 < self.machine_up < 1 or not 0 <= self.availability < 1:
            raise PlanError("An availability is from 0 to below 1.")
        if not 0 < self.utilisation <= 1:
            raise PlanError("The utilisation of the peak hour is above 0 and at most 1.")


class Month(NamedTuple):
    """Requests of a month: what is expected, between the ends of a band. `days` is how long it is."""

    name: str
    days: int
    low: float
    middle: float
    high: float

    def rate(self, requests: float) -> float:
        """Requests/s, on the mean."""
        return requests / (self.days * DAY)


def growing(start: dt.date, count: int, tokens_per_day: float, doubling: float, spread: float, mix: Mix) -> list[Month]:
    """Months from `start` on, where the tokens of a day are `tokens_per_day` now and double in `doubling` days.

    `spread` is how wide the band is after a year: 0.5 is from 1/1.5 to 1.5 of the middle. Without growth `doubling`
    is 0.
    Raises PlanError for figures that no demand has.
    """
    if not 0 < tokens_per_day <= TOKENS_MOST:
        raise PlanError(f"Tokens a day are above 0 and at most {TOKENS_MOST:g}, and not {tokens_per_day:g}.")
    if count < 1 or not 0 <= spread < math.inf or not 0 <= doubling < math.inf:
        raise PlanError("The count of months is above 0; doubling and spread are not below 0.")
    months, first = [], start.replace(day=1)
    for _ in range(count):
        days = calendar.monthrange(first.year, first.month)[1]
        after = max(0.0, (first - start).days + days / 2)
        doublings = after / doubling if doubling else 0.0
        if doublings > math.log2(TOKENS_MOST / tokens_per_day):
            raise PlanError(
                f"Doubling in {doubling:g} days comes to more than {TOKENS_MOST:g} tokens a day in {first:%Y-%m}."
            )
        tokens = tokens_per_day * days * 2.0**doublings
        wide = (1.0 + spread) ** ((after / 365.0) ** 0.5)
        middle = tokens / mix.tokens
        months.append(Month(f"{first:%Y-%m}", days, middle / wide, middle, middle * wide))
        first = (first + dt.timedelta(days=days)).replace(day=1)
    return months


def monthly(days: Sequence[tuple[dt.date, float, float, float]], mix: Mix) -> list[Month]:
    """Months of a forecast by day: (day, low, middle, high) tokens, in order. A month that is cut off is left out.

    Bands of days are added up, which is wide: it takes their errors for the same in every day of a month.
    """
    sums: dict[str, list[float]] = {}
    for day, low, middle, high in days:
        place = sums.setdefault(f"{day:%Y-%m}", [0.0, 0.0, 0.0, 0.0])
        for n, value in enumerate((1.0, low, middle, high)):
            place[n] += value
    whole = []
    for name, (count, low, middle, high) in sums.items():
        length = calendar.monthrange(int(name[:4]), int(name[5:]))[1]
        if count == length:
            whole.append(Month(name, length, low / mix.tokens, middle / mix.tokens, high / mix.tokens))
    return whole
