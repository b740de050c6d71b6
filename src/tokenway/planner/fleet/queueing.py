"""Tail latency by simulation: what requests wait when they come as they please, which no roofline says.

A replica begins requests in the order in which they came, one prefill at a time, as long as it has a slot; then they
decode together. All that decode share the machine: with n of them each gets a token every `step[n]` seconds, so their
progress is one clock that runs at 1 / step[n] tokens a second, and a request is over when that clock has counted its
tokens (processor sharing; the same idea as the virtual time of fair queueing, Demers et al. 1989). While a prefill runs
in an aggregated engine the clock is slower by `interference`. Requests go to the replica with the fewest.

Times are seconds. The same seed gives the same answer.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

WARM_UP: Final = 0.2
"""The share of the requests that only fill the replicas."""
QUANTILES: Final = (0.5, 0.9, 0.95, 0.99)
REPLICAS_MAX: Final = 8
"""More replicas than that behave as so many do, with the load of each kept."""
GROWTH: Final = 0.05
"""Where waits grow by more seconds than that in every second, more comes than is served."""


class Server(NamedTuple):
    """One replica. `step[n]` is the seconds per token with n sequences, from step[1] to one for every slot.

    `prefill` is seconds per input token that is not cached, in which nothing else is prefilled; `overhead` seconds more
    that a request waits for its first token, which keep nobody else waiting.
    """

    step: NDArray[np.float64]
    prefill: float
    overhead: float = 0.0
    interference: float = 0.0

    @property
    def slots(self) -> int:
        """How many sequences it runs at once."""
        return len(self.step) - 1


class Traffic(NamedTuple):
    """What comes. `rate` is requests/s for all replicas; variation is standard deviation by mean.

    Gaps between requests are gamma distributed with `burstiness` as their variation: 1 is a Poisson process, above it
    requests come in bunches. Lengths are lognormal with the means `input` (what is not cached) and `output`.
    """

    rate: float
    input: float
    output: float
    burstiness: float = 1.0
    input_variation: float = 1.0
    output_variation: float = 1.0


class Tails(NamedTuple):
    """What callers saw: TTFT (seconds) and tokens/s by quantile of QUANTILES; of speed the slow end.

    `busy` is the mean share of the slots in use; `keeps_up` is false where the queue only grows.
    """

    ttft: dict[float, float]
    speed: dict[float, float]
    busy: float
    keeps_up: bool


class _Replica:
    """The state of one: who waits, who is being prefilled, and whose tokens the clock counts."""

    __slots__ = ("busy", "clock", "decoding", "ends", "now", "prefilling", "server", "waiting")

    def __init__(self, server: Server) -> None:
        self.server = server
        self.now = self.clock = self.busy = 0.0
        self.waiting: deque[int] = deque()
        self.prefilling = -1
        self.ends = math.inf
        self.decoding: list[tuple[float, int]] = []

    @property
    def load(self) -> int:
        return len(self.waiting) + len(self.decoding) + (self.prefilling >= 0)

    def rate(self) -> float:
        """Tokens/s of each that decodes."""
        if not self.decoding:
            return 0.0
        slowed = 1.0 - self.server.interference if self.prefilling >= 0 else 1.0
        return slowed / float(self.server.step[len(self.decoding)])

    def next(self) -> float:
        """When something happens here by itself."""
        rate = self.rate()
        done = self.now + max(0.0, self.decoding[0][0] - self.clock) / rate if rate else math.inf
        return min(done, self.ends)

    def advance(self, now: float) -> None:
        """Lets the time pass."""
        passed = now - self.now
        self.clock += passed * self.rate()
        self.busy += passed * (len(self.decoding) + (self.prefilling >= 0))
        self.now = now


def simulate(
    server: Server, replicas: int, traffic: Traffic, *, requests: int, seed: int, quantile: float = QUANTILES[-1]
) -> Tails:
    """Plays `requests` on `replicas`, and looks at `quantile` too; those of the warm-up are not counted."""
    rng = np.random.default_rng(seed)
    count = min(replicas, REPLICAS_MAX)
    gaps = _gamma(rng, count / replicas * traffic.rate, traffic.burstiness, requests)
    arrivals = np.cumsum(gaps)
    work = server.prefill * _lengths(rng, traffic.input, traffic.input_variation, requests)
    output = np.maximum(1.0, np.round(_lengths(rng, traffic.output, traffic.output_variation, requests)))
    first, last, machines = _play(server, count, arrivals, work, output)
    counted = slice(int(WARM_UP * requests), None)
    ttft = (first - arrivals + server.overhead)[counted]
    several = output[counted] > 1
    speed = (output[counted][several] - 1) / (last - first)[counted][several]
    waits, whens = np.array_split(ttft, 3), np.array_split(arrivals[counted], 3)
    growth = (waits[2].mean() - waits[0].mean()) / (whens[2].mean() - whens[0].mean())
    busy = sum(machine.busy for machine in machines) / (count * server.slots * max(machine.now for machine in machines))
    quantiles = sorted({*QUANTILES, quantile})
    return Tails(
        {q: float(np.quantile(ttft, q)) for q in quantiles},
        {q: float(np.quantile(speed, 1.0 - q)) if speed.size else math.inf for q in quantiles},
        float(busy),
        bool(growth <= GROWTH),
    )


def _play(
    server: Server,
    count: int,
    arrivals: NDArray[np.float64],
    work: NDArray[np.float64],
    output: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], list[_Replica]]:
    """When each request had its first token, and its last."""
    first, last = np.empty_like(arrivals), np.empty_like(arrivals)
    machines = [_Replica(server) for _ in range(count)]
    times = [math.inf] * count
    coming, left = 0, len(arrivals)
    while left:
        at = min(times)
        if coming < len(arrivals) and arrivals[coming] <= at:
            at = float(arrivals[coming])
            machine = min(machines, key=lambda each: each.load)
            machine.advance(at)
            machine.waiting.append(coming)
            coming += 1
        else:
            machine = machines[times.index(at)]
            machine.advance(at)
            left -= _finish(machine, output, first, last)
        _begin(machine, work)
        times[machines.index(machine)] = machine.next()
    return first, last, machines


def _finish(
    machine: _Replica, output: NDArray[np.float64], first: NDArray[np.float64], last: NDArray[np.float64]
) -> int:
    """What has ended here by now: a prefill, or a sequence; how many sequences."""
    if machine.ends <= machine.now:
        number, machine.prefilling, machine.ends = machine.prefilling, -1, math.inf
        first[number] = last[number] = machine.now
        if output[number] <= 1:
            return 1
        heapq.heappush(machine.decoding, (machine.clock + float(output[number]) - 1, number))
        return 0
    target, number = heapq.heappop(machine.decoding)
    machine.clock = max(machine.clock, target)
    last[number] = machine.now
    return 1


def _begin(machine: _Replica, work: NDArray[np.float64]) -> None:
    """Begins the next prefill, if there is a slot."""
    if machine.prefilling < 0 and machine.waiting and len(machine.decoding) < machine.server.slots:
        machine.prefilling = machine.waiting.popleft()
        machine.ends = machine.now + float(work[machine.prefilling])


def _gamma(rng: np.random.Generator, rate: float, variation: float, count: int) -> NDArray[np.float64]:
    shape = 1.0 / variation**2
    return rng.gamma(shape, 1.0 / (rate * shape), count)


def length_at(quantile: float, mean: float, variation: float) -> float:
    """The length that this share of the requests does not exceed."""
    sigma = math.sqrt(math.log1p(variation**2))
    return mean * math.exp(sigma * float(ndtri(quantile)) - sigma**2 / 2)


def _lengths(rng: np.random.Generator, mean: float, variation: float, count: int) -> NDArray[np.float64]:
    """Lognormal lengths; all the same without variation."""
    if variation <= 0:
        return np.full(count, float(mean))
    sigma = math.sqrt(math.log1p(variation**2))
    return rng.lognormal(math.log(max(mean, 1e-9)) - sigma**2 / 2, sigma, count)
