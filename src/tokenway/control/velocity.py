"""What all workers together know of how fast and how reliable each endpoint is: for those who ask, and for new workers.

It is fed with the samples that workers tell, and after a start with those that the ledger has of the last half hour.
Probes, where they are configured, are samples like any other, but they are no requests of anybody's.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping
from math import sqrt
from typing import Final

from tokenway.model.sample import Sample
from tokenway.routing.velocity import Board, Estimate
from tokenway.routing.window import QUANTILES

MINUTES: Final = 30
"""The window of the figures that tell of a speed."""
KEPT: Final = 64
"""The latest samples of an endpoint that a new worker is told."""
ENDPOINTS_MAX: Final = 1000
"""Endpoints that it is told of: those that were heard of last."""
JUDGED_FROM: Final = 100.0
"""Attempts in half an hour from which on an endpoint is called degraded, as OpenRouter has it."""
NORMAL: Final = 95.0
DEGRADED: Final = 80.0
"""Uptimes in percent: below the first an endpoint has the status -1, below the second -2, as OpenRouter has it."""
BREAKERS: Final = ("closed", "probing", "open")
"""The states of a breaker, by their numbers in `tokenway_breaker_state`."""
PROMPT: Final = 1000
"""Tokens of the prompt that a prediction is shown for, none of them cached."""

Figures = dict[str, object]


class Velocity:
    """The estimates of all endpoints, and the latest samples of each."""

    def __init__(self) -> None:
        self.board = Board()
        self._latest: OrderedDict[str, deque[Sample]] = OrderedDict()

    def take(self, samples: Iterable[Sample]) -> None:
        """Takes in attempts of any worker."""
        samples = list(samples)
        self.board.take(samples)
        for sample in samples:
            latest = self._latest.get(sample.endpoint)
            if latest is None:
                latest = self._latest[sample.endpoint] = deque(maxlen=KEPT)
                if len(self._latest) > ENDPOINTS_MAX:
                    self._latest.popitem(last=False)
            else:
                self._latest.move_to_end(sample.endpoint)
            latest.append(sample)

    def heard_of(self, endpoint: str) -> float | None:
        """When the last attempt at an endpoint ended that is known of, in Unix time; None where none is."""
        latest = self._latest.get(endpoint)
        return None if latest is None else latest[-1].at

    def known(self) -> list[Sample]:
        """What a new worker is told: the latest samples of each endpoint, in the order of their time."""
        return sorted((each for latest in self._latest.values() for each in latest), key=lambda sample: sample.at)

    def figures(self, endpoints: Iterable[str], breakers: Mapping[str, int], now: float) -> dict[str, Figures]:
        """OpenRouter's fields and ours of these endpoints, by id; `breakers` has the states of those not closed.

        What was not measured is None.
        """
        return {each: _figures(self.board.of(each), breakers.get(each, 0), now) for each in endpoints}


def _figures(estimate: Estimate, breaker: int, now: float) -> Figures:
    window = estimate.window
    answered, failed, limited = window.ended(now, MINUTES)
    probes = window.probes(now, MINUTES)
    uptime = window.uptime(now, MINUTES)
    return {
        "status": _status(uptime, answered + failed),
        "latency_last_30m": _quantiles([window.ttft(now, MINUTES, each / 100) for each in QUANTILES], 1000.0),
        "throughput_last_30m": _quantiles([window.speed(now, MINUTES, each / 100) for each in QUANTILES], 1.0),
        "uptime_last_5m": _rounded(window.uptime(now, 5)),
        "uptime_last_30m": _rounded(uptime),
        "uptime_last_1d": _rounded(window.uptime(now, 1440)),
        "tokenway": {
            "breaker": BREAKERS[breaker],
            "requests_last_30m": round(answered + failed + limited - probes),
            "probes_last_30m": round(probes),
            "limited_last_30m": _rounded(window.limited(now, MINUTES)),
            "failing": _rounded(estimate.failing(now)),
            "gap_last_30m": _quantiles([window.gap(now, MINUTES, each / 100) for each in QUANTILES], 1000.0),
            "predicted": _predicted(estimate, now),
        },
    }


def _status(uptime: float | None, judged: float) -> int:
    if uptime is None or judged < JUDGED_FROM or uptime >= NORMAL:
        return 0
    return -1 if uptime >= DEGRADED else -2


def _predicted(estimate: Estimate, now: float) -> dict[str, float] | None:
    """Of the next call, with nothing else under way; `_deviation` is one standard deviation of the estimate itself."""
    if not estimate.is_known:
        return None
    expected = estimate.predict(PROMPT, 0.0, 0, now)
    first = sqrt(estimate.ttft.variance(PROMPT / 1000.0, 0.0, now))
    pace = sqrt(estimate.pace.variance(0.0, 0.0, now))
    return {
        "ttft_ms": round(expected.ttft * 1000.0, 1),
        "ttft_ms_deviation": round(first * 1000.0, 1),
        "tps": round(expected.speed, 2),
        "tps_deviation": round(pace * expected.speed**2, 2),
    }


def _quantiles(values: Iterable[float | None], unit: float) -> dict[str, float] | None:
    """`p50` to `p99`; None where nothing was measured."""
    named = zip(QUANTILES, values, strict=True)
    return {f"p{share}": round(value * unit, 3) for share, value in named if value is not None} or None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
