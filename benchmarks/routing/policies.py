"""The peers: what others do, each in a class of its own. A policy sees its own requests and nothing else.

What was tried for a request is left out by all of them, and a policy that would leave out everything chooses among
what was not tried; both are kinder to the peers than some of their originals.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from random import Random

from benchmarks.routing.fleet import ENDPOINTS, Endpoint
from benchmarks.routing.simulate import Observation, Outcome, Policy, Simulation
from benchmarks.routing.workload import Ask

ALL = range(ENDPOINTS)


class Base:
    """Counts what is in flight, and keeps away from an endpoint until the time that it or a rule says."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.in_flight = [0] * ENDPOINTS
        self.away_until = [0.0] * ENDPOINTS

    def candidates(self, now: float, tried: tuple[int, ...]) -> list[int]:
        """What was not tried and need not be kept away from; what was not tried when that is nothing."""
        untried = [index for index in ALL if index not in tried] or list(ALL)
        return [index for index in untried if self.away_until[index] <= now] or untried

    def choose(self, ask: Ask, now: float, tried: tuple[int, ...]) -> int:  # noqa: ARG002 a peer may not look at the request
        """One of the candidates, by chance."""
        return self.chance.choice(self.candidates(now, tried))

    def sent(self, index: int, ask: Ask, now: float) -> None:  # noqa: ARG002 part of the protocol
        """One more in flight."""
        self.in_flight[index] += 1

    def first(self, index: int, ask: Ask, now: float, ttft: float) -> None:
        """Most learn at the end."""

    def finished(self, seen: Observation) -> None:
        """One less in flight."""
        self.in_flight[seen.endpoint] -= 1


class Uniform(Base):
    """`random`: any endpoint, each as likely as the others; it learns nothing."""


class PriceWeighted(Base):
    """`price`: what OpenRouter documented as its default until 2026 (openrouter.ai/docs, provider routing).

    Endpoints that had an outage in the last 30 seconds come last; among the others one is drawn with a weight of
    1/price². A rate limit is no outage, but when it says how long it lasts, that is respected.
    """

    OUTAGE_S = 30.0

    def __init__(self, chance: Random, endpoints: tuple[Endpoint, ...]) -> None:
        super().__init__(chance)
        self.weights = [1 / endpoint.price_output**2 for endpoint in endpoints]

    def choose(self, ask: Ask, now: float, tried: tuple[int, ...]) -> int:  # noqa: ARG002 prices are all it looks at
        """Drawn by weight."""
        candidates = self.candidates(now, tried)
        return self.chance.choices(candidates, [self.weights[index] for index in candidates])[0]

    def finished(self, seen: Observation) -> None:
        """An outage, a rate limit, or nothing new."""
        super().finished(seen)
        if seen.outcome is Outcome.FAILED:
            self.away_until[seen.endpoint] = seen.end + self.OUTAGE_S
        elif seen.retry_after:
            self.away_until[seen.endpoint] = seen.end + seen.retry_after


class LeastLatency(Base):
    """`latency` and `latency-token`: LiteLLM's latency-based routing (version 1.110, `lowest_latency.py`).

    Per endpoint it keeps the last ten figures and averages them. For streams the figure is the time to the first
    token (`latency`); for other answers it is their whole time divided by their tokens (`latency-token`), and a
    timeout counts as 1,000 seconds there. The lowest average gets the request; an endpoint without figures counts as 0,
    so it comes first. Others within a buffer would share by chance; the buffer is 0 unless configured. Figures do not
    age while there is traffic. A deployment cools down for 5 seconds after a 429, or when more than half of
    at least five attempts in a minute failed (`cooldown_handlers.py`).
    """

    KEPT = 10
    TIMEOUT_S = 1000.0
    COOL_S = 5.0
    MINIMUM = 5

    def __init__(self, chance: Random, *, is_per_token: bool) -> None:
        super().__init__(chance)
        self.is_per_token = is_per_token
        self.figures: list[list[float]] = [[] for _ in ALL]
        self.minute = [(-1, 0, 0)] * ENDPOINTS

    def choose(self, ask: Ask, now: float, tried: tuple[int, ...]) -> int:  # noqa: ARG002 past latencies are all it looks at
        """The lowest average."""
        averages = {index: self._average(index) for index in self.candidates(now, tried)}
        lowest = min(averages.values())
        return self.chance.choice([index for index, average in averages.items() if average <= lowest])

    def _average(self, index: int) -> float:
        figures = self.figures[index]
        return sum(figures) / len(figures) if figures else 0.0

    def finished(self, seen: Observation) -> None:
        """One more figure, and whether to cool down."""
        super().finished(seen)
        if seen.ttft is not None:
            self._note(seen.endpoint, (seen.end - seen.start) / seen.tokens if self.is_per_token else seen.ttft)
        elif self.is_per_token and seen.end - seen.start >= self.COOL_S:
            self._note(seen.endpoint, self.TIMEOUT_S)
        minute, total, failed = self.minute[seen.endpoint]
        if minute != int(seen.end // 60):
            minute, total, failed = int(seen.end // 60), 0, 0
        total, failed = total + 1, failed + (seen.outcome is Outcome.FAILED)
        self.minute[seen.endpoint] = (minute, total, failed)
        is_failing = seen.outcome is Outcome.FAILED and total >= self.MINIMUM and failed > total / 2
        if seen.outcome is Outcome.RATE_LIMITED or is_failing:
            self.away_until[seen.endpoint] = seen.end + self.COOL_S

    def _note(self, index: int, figure: float) -> None:
        self.figures[index] = [*self.figures[index][-self.KEPT + 1 :], figure]


class PeakEwma(Base):
    """`p2c`: the better of two drawn endpoints by peak EWMA (Finagle's `PeakEwma`, linkerd; decay 10 seconds).

    The average follows a higher latency at once and a lower one with exp(-time/decay); it also fades while nothing is
    observed. An endpoint costs its average times what is in flight there and one more; one that has never answered,
    with something in flight, costs more than any other. Five failures in a row take an endpoint out for 5 seconds, and
    for twice as long each time it fails again, 300 at most: linkerd's failure accrual. Latency is the time to the last
    token, or with `is_first` to the first one (`p2c-first`: linkerd 2 counts a response as pending until its first
    data).
    """

    DECAY_S = 10.0
    UNKNOWN = 1e9
    IN_A_ROW = 5
    BACK_OFF_S = (5.0, 300.0)

    def __init__(self, chance: Random, *, is_first: bool) -> None:
        super().__init__(chance)
        self.is_first = is_first
        self.average = [0.0] * ENDPOINTS
        self.at = [0.0] * ENDPOINTS
        self.failures = [0] * ENDPOINTS
        self.pending = [0] * ENDPOINTS

    def _observe(self, index: int, latency: float, now: float) -> None:
        if latency > self.average[index]:
            self.average[index] = latency
        else:
            weight = math.exp((self.at[index] - now) / self.DECAY_S)
            self.average[index] = self.average[index] * weight + latency * (1 - weight)
        self.at[index] = now

    def _cost(self, index: int, now: float) -> float:
        self._observe(index, 0.0, now)
        if not self.average[index] and self.pending[index]:
            return self.UNKNOWN + self.pending[index]
        return self.average[index] * (self.pending[index] + 1)

    def choose(self, ask: Ask, now: float, tried: tuple[int, ...]) -> int:  # noqa: ARG002 past latencies are all it looks at
        """The cheaper of two."""
        candidates = self.candidates(now, tried)
        drawn = self.chance.sample(candidates, min(2, len(candidates)))
        return min(drawn, key=lambda index: self._cost(index, now))

    def sent(self, index: int, ask: Ask, now: float) -> None:
        """One more pending."""
        super().sent(index, ask, now)
        self.pending[index] += 1

    def first(self, index: int, ask: Ask, now: float, ttft: float) -> None:  # noqa: ARG002 part of the protocol
        """For `p2c-first`, all it waits for."""
        if self.is_first:
            self.pending[index] -= 1
            self._observe(index, ttft, now)

    def finished(self, seen: Observation) -> None:
        """The latency, whatever the outcome; and whether to take the endpoint out."""
        super().finished(seen)
        index = seen.endpoint
        if not self.is_first or seen.ttft is None:
            self.pending[index] -= 1
            self._observe(index, seen.end - seen.start, seen.end)
        self.failures[index] = 0 if seen.outcome is Outcome.OK else self.failures[index] + 1
        if self.failures[index] >= self.IN_A_ROW:
            shortest, longest = self.BACK_OFF_S
            out_s = min(longest, shortest * 2.0 ** (self.failures[index] - self.IN_A_ROW))
            self.away_until[index] = seen.end + out_s


class Oracle(Base):
    """`oracle`: knows how each endpoint is now, its load, outages and cache, and the answer's length and noise.

    It does not know what comes next, and does not spare an endpoint for the sake of later requests.
    """

    def __init__(self, chance: Random, simulation: Simulation) -> None:
        super().__init__(chance)
        self.simulation = simulation

    def choose(self, ask: Ask, now: float, tried: tuple[int, ...]) -> int:
        """The earliest finish."""
        finishes = {index: self.simulation.predict(index, ask, now) for index in self.candidates(now, tried)}
        known = {index: finish for index, finish in finishes.items() if finish is not None}
        return min(known or finishes, key=lambda index: known.get(index, 0.0))


Make = Callable[[Random, Simulation], Policy]
PEERS: dict[str, Make] = {
    "random": lambda chance, _: Uniform(chance),
    "price": lambda chance, simulation: PriceWeighted(chance, simulation.fleet.endpoints),
    "latency": lambda chance, _: LeastLatency(chance, is_per_token=False),
    "latency-token": lambda chance, _: LeastLatency(chance, is_per_token=True),
    "p2c": lambda chance, _: PeakEwma(chance, is_first=False),
    "p2c-first": lambda chance, _: PeakEwma(chance, is_first=True),
}
"""What others do, by name."""
