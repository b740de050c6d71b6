"""In which order a model's endpoints are tried: whoever finishes first, or whatever else a caller sorts by.

Everything that speaks for or against an endpoint is counted in seconds:

    score = TTFT + output / speed + what failing costs  +  price of this call / value of an hour
            (the prompt without what the endpoint has probably cached)

The best score goes first, but for two things. What is not known is asked once, and what is not known well now and then:
the score is drawn from what it may be (Thompson sampling: W. R. Thompson, "On the likelihood that one unknown
probability exceeds another", 1933), and where the draw prefers an endpoint of which less is known it is taken, as long
as what that costs by expectation fits in a budget of seconds, a small share of all the seconds that calls take. And
what misses a soft wish comes last, in the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import cos, inf, log, pi, sqrt
from typing import Final, NamedTuple

import msgspec

from tokenway.model.catalog import Endpoint
from tokenway.model.preferences import SortOrder
from tokenway.routing.preferences import Floor
from tokenway.routing.velocity import Board, Prediction

EXPLORE_SHARE: Final = 0.02
"""Seconds that may be lost to looking around, for each second that calls are expected to take."""
EXPLORE_FIRST: Final = 2.0
"""Seconds that may be owed for asking those once whom nobody knows; nobody is asked again before they are paid."""
EXPLORE_MOST: Final = 120.0
"""The most that can be saved up."""
MODELS_MAX: Final = 2000
NANO: Final = 1e9
UNITS: Final = 1e6
JUDGED_FROM: Final = 2.0
"""With how many observations an endpoint's speed is believed when it is held against a floor."""
JUDGED_FOR: Final = 600.0
"""For how many seconds after its last observation it is: then it is a matter of looking around whether it has
recovered."""

Dice = Callable[[], float]
"""Random numbers in [0, 1)."""


class Taste(msgspec.Struct, frozen=True):
    """How a caller wants a choice to be made. `hour` is what an hour of waiting is worth, in USD."""

    sort: SortOrder = SortOrder.FINISH
    hour: float = 36.0
    min_tps: float = 0.0
    min_throughput: tuple[Floor, ...] = ()
    max_latency: tuple[Floor, ...] = ()


class Asked(msgspec.Struct, frozen=True):
    """What a call will need, as far as it can be told: the model's name, bytes of the request, its keys.

    `most` is the caller's limit on the output's tokens, None without one.
    """

    model: str
    size: int
    most: int | None = None
    keys: tuple[int, ...] = ()


class Ranked(msgspec.Struct, gc=False):
    """An endpoint in its place, and why: `cost` in USD, `score` in seconds, the soft wishes that it has `missed`."""

    endpoint: Endpoint
    prediction: Prediction
    cost: float | None
    score: float
    missed: tuple[str, ...] = ()


class _Need(NamedTuple):
    """What holds for all endpoints of one choice: tokens of the prompt and of the output, and Unix time."""

    asked: Asked
    taste: Taste
    prompt: float
    output: float
    now: float


class Chooser:
    """Puts endpoints in order. It keeps what is left for looking around, by model."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self._left: dict[str, float] = {}

    def rank(
        self,
        endpoints: Sequence[Endpoint],
        asked: Asked,
        taste: Taste,
        loads: Mapping[str, int],
        now: float,
        dice: Dice,
    ) -> list[Ranked]:
        """The endpoints, the one to try first in front. `loads` is attempts in flight by endpoint id."""
        board = self.board
        habits = board.habits(asked.model)
        prompt = habits.prompt(asked.size)
        output = habits.output.value if asked.most is None else min(habits.output.value, float(asked.most))
        need = _Need(asked, taste, prompt, output, now)
        rows = [self._look(each, need, loads.get(each.id, 0)) for each in endpoints]
        self._add_costs(rows, taste.hour)
        if taste.sort is SortOrder.WEIGHT:
            rows.sort(key=lambda row: -log(1.0 - dice()) / row.endpoint.weight)
        else:
            rows.sort(key=_KEYS[taste.sort])
            if taste.sort is not SortOrder.PRICE:
                # Who was asked and answered nothing is no better than who is known, whatever may be guessed of it.
                rows.sort(key=lambda row: row.prediction.is_tried and not row.prediction.is_known)
                self._explore(rows, asked.model, taste.sort, output, dice)
        rows.sort(key=lambda row: bool(row.missed))
        return rows

    def _look(self, endpoint: Endpoint, need: _Need, load: int) -> Ranked:
        asked, taste, prompt, output, now = need
        estimate = self.board.of(endpoint.id)
        cached = prompt * self.board.cached_share(asked.keys, endpoint.id, now, asked.size)
        prediction = estimate.predict(prompt - cached, output, load, now)
        cost = cost_of(endpoint, prompt - cached, cached, output)
        missed = []
        is_judged = estimate.pace.seen >= JUDGED_FROM and now - estimate.pace.at <= JUDGED_FOR
        if is_judged and prediction.speed < taste.min_tps:
            missed.append("min_tps")
        if any(_or(estimate.window.speed(now, 5, each.share), inf) < each.bound for each in taste.min_throughput):
            missed.append("preferred_min_throughput")
        if any(_or(estimate.window.ttft(now, 5, each.share), 0.0) > each.bound for each in taste.max_latency):
            missed.append("preferred_max_latency")
        return Ranked(endpoint, prediction, cost, prediction.expected, tuple(missed))

    @staticmethod
    def _add_costs(rows: list[Ranked], hour: float) -> None:
        """Adds the price of the call to the scores; an endpoint without one counts like the dearest of the others."""
        dearest = max([row.cost for row in rows if row.cost is not None], default=0.0)
        for row in rows:
            if row.cost is None:
                row.cost = dearest
            if hour:
                row.score += row.cost * 3600.0 / hour

    def _explore(self, rows: list[Ranked], model: str, sort: SortOrder, output: float, dice: Dice) -> None:
        """Moves an endpoint to the front that may be better than it is known to be, if there is budget for it."""
        best = rows[0]
        left = min(EXPLORE_MOST, self._left.get(model, 0.0) + EXPLORE_SHARE * best.prediction.finish)
        known = [row for row in rows if row.prediction.is_known]
        if known:
            # Whom nobody has asked yet is asked once; of the others, one that a draw prefers and that is known less.
            new = [row for row in rows if not row.prediction.is_tried]
            tried = new[0] if new else min(known, key=lambda row: _drawn(row, sort, output, dice))
            price = max(0.0, tried.score - best.score)
            most = left + EXPLORE_FIRST if new else left
            if tried is not best and tried.prediction.variance > best.prediction.variance and price <= most:
                left -= price
                rows.remove(tried)
                rows.insert(0, tried)
        if len(self._left) > MODELS_MAX:
            self._left.clear()
        self._left[model] = left


def _or(value: float | None, other: float) -> float:
    return other if value is None else value


def _drawn(row: Ranked, sort: SortOrder, output: float, dice: Dice) -> float:
    """A draw of what an endpoint is sorted by: a normal one, by Box and Muller's transform."""
    prediction = row.prediction
    normal = sqrt(-2.0 * log(1.0 - dice())) * cos(2.0 * pi * dice())
    off = sqrt(prediction.variance) * normal
    if sort is SortOrder.FINISH:
        return row.score + off
    if sort is SortOrder.LATENCY:
        return prediction.ttft + off
    return prediction.pace + off / max(1.0, output)


def cost_of(endpoint: Endpoint, uncached: float, cached: float, output: float) -> float | None:
    """What a call is expected to cost, in USD; None where the endpoint has no price."""
    price = endpoint.price
    if price is None:
        return None
    read = price.input if price.cache_read is None else price.cache_read
    return ((uncached * price.input + cached * read + output * price.output) / UNITS + price.request) / NANO


_KEYS: Final[dict[SortOrder, Callable[[Ranked], tuple[float, ...]]]] = {
    SortOrder.FINISH: lambda row: (row.score,),
    SortOrder.THROUGHPUT: lambda row: (row.prediction.pace,),
    SortOrder.LATENCY: lambda row: (row.prediction.ttft,),
    SortOrder.PRICE: lambda row: (row.cost or 0.0, row.score),
}
