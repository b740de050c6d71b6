"""The true state of a simulated fleet: eight endpoints of one model, a function of the seed and of nothing else.

Every parameter of the benchmark that is not about requests stands here. Ranges are those that public figures of
open models have at different providers in 2026: 20 to 150 output tokens per second and user (InferenceX, inferencex.ai;
DeepSeek's report on its production system of February 2025 has 20 to 22), first tokens after a quarter of a second to
a second for short prompts, prefill at several thousand tokens per second, prices that differ fourfold. What a provider
offers in one regard says nothing about the others: each row of figures is shuffled by itself.

Time is in seconds, on a grid of `STEP_S`; prices are in nano-dollars per token.
"""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass
from enum import IntEnum
from random import Random

ENDPOINTS = 8
STEP_S = 10.0
DAY_S = 86_400.0

# What an endpoint is, unloaded; from the least to the most, in equal ratios, each ± JITTER.
SPEED = (30.0, 140.0)
"""Output tokens per second of one stream."""
TTFT_S = (0.25, 1.0)
"""To the first token of a prompt of no length."""
PREFILL = (3_000.0, 15_000.0)
"""Prompt tokens per second that no cache holds."""
SLOTS = (32.0, 128.0)
"""Requests at once, ours and others', above which it answers 429."""
PRICE_INPUT = (150.0, 600.0)
JITTER = 0.10
OUTPUT_RATIO = (3.0, 5.0)
"""Price of an output token in input tokens."""
CACHED_RATIO = (0.1, 0.5)
"""Price of a cached prompt token in uncached ones."""
CACHING = 6
"""So many of the endpoints keep prompts, for between these seconds after their last use."""
CACHE_S = (300.0, 600.0)

# What load does. `load` is the share of the slots that is taken.
SLOWDOWN = (0.8, 1.5)
"""Speed is divided by 1 + SLOWDOWN · load: a decoding step grows with its batch."""
WAIT = (0.3, 0.6)
"""Time to the first token is multiplied by 1 + WAIT · load² / (1.05 - load): a queue."""

# What others do. Their requests are a share of the slots: a mean, a daily cycle of any phase, and a fluctuation.
BACKGROUND = (0.35, 0.65)
CYCLE = (0.15, 0.30)
FLUCTUATION = 0.08
FLUCTUATION_S = 120.0

# Slow drift of speed and of time to the first token: an Ornstein-Uhlenbeck process of the logarithm.
DRIFT_SPEED = 0.25
DRIFT_TTFT = 0.30
DRIFT_S = (600.0, 3600.0)

# What goes wrong. Durations are log-normal: median, and sigma of the logarithm.
SPORADIC = 0.003
"""Share of all requests that meet an error, at any time."""
OUTAGES_PER_DAY = 3.0
OUTAGE_S = (180.0, 0.8)
ERROR_SHARE = (0.3, 1.0)
"""Share of requests that fail in an outage of errors; one of refusals or stalls meets all."""
COLLAPSES_PER_DAY = 4.0
COLLAPSE_S = (420.0, 0.7)
COLLAPSE = (0.15, 0.40)
"""Speed is multiplied by this in a collapse."""

# How long it takes to learn of a failure, in seconds.
REFUSED_S = 0.05
ERROR_S = 0.3
LIMITED_S = 0.15
DEADLINE_S = 10.0
"""For the first token; and for each token of the prompt DEADLINE_TOKEN_S more."""
DEADLINE_TOKEN_S = 0.001
RETRY_AFTER_S = (5.0, 20.0)
"""Every second endpoint says with a 429 when to come again."""


class Fault(IntEnum):
    """What a new request meets in an outage; a stream that flows is not touched by one."""

    NONE = 0
    REFUSES = 1
    ERRORS = 2
    STALLS = 3


@dataclass(frozen=True)
class Scenario:
    """How much traffic for how long, and whether it takes slots."""

    name: str
    requests: int
    hours: float = 24.0
    has_load: bool = True


SCENARIOS = {
    "day": Scenario("day", 100_000),
    "no-load": Scenario("no-load", 100_000, has_load=False),
    "sparse": Scenario("sparse", 10_080, hours=168.0),
}
"""`day`: 1.2 requests a second in the mean; `no-load`: ours slow nobody down; `sparse`: one a minute for a week."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What does not change: rates as in the constants above; `cache_s` and `retry_after` may be 0, for none."""

    index: int
    speed: float
    ttft: float
    prefill: float
    slots: float
    slowdown: float
    wait: float
    cache_s: float
    retry_after: float
    price_input: int
    price_cached: int
    price_output: int

    def cost(self, prompt: int, cached: int, answer: int) -> int:
        """Nano-dollars of one answered request."""
        return self.price_input * (prompt - cached) + self.price_cached * cached + self.price_output * answer


@dataclass(frozen=True, slots=True)
class Course:
    """How one endpoint fares, per step: factors of speed and TTFT, others' share of the slots, fault and its share."""

    speed: array[float]
    ttft: array[float]
    background: array[float]
    fault: bytearray
    fault_share: array[float]


def _ladder(chance: Random, bounds: tuple[float, float]) -> list[float]:
    """A shuffled row of figures between the bounds, in equal ratios."""
    low, high = bounds
    row = [
        low * (high / low) ** (step / (ENDPOINTS - 1)) * (1 + chance.uniform(-JITTER, JITTER))
        for step in range(ENDPOINTS)
    ]
    chance.shuffle(row)
    return row


def endpoints(seed: int) -> tuple[Endpoint, ...]:
    """The endpoints of the seed."""
    chance = Random(f"{seed} endpoints")
    rows = [_ladder(chance, bounds) for bounds in (SPEED, TTFT_S, PREFILL, SLOTS, PRICE_INPUT)]
    caching = chance.sample(range(ENDPOINTS), CACHING)
    found = []
    for index, (speed, ttft, prefill, slots, price) in enumerate(zip(*rows, strict=True)):
        found.append(
            Endpoint(
                index,
                speed,
                ttft,
                prefill,
                round(slots),
                chance.uniform(*SLOWDOWN),
                chance.uniform(*WAIT),
                chance.uniform(*CACHE_S) if index in caching else 0.0,
                chance.uniform(*RETRY_AFTER_S) if index % 2 else 0.0,
                round(price),
                round(price * chance.uniform(*CACHED_RATIO)),
                round(price * chance.uniform(*OUTPUT_RATIO)),
            )
        )
    return tuple(found)


def _wander(chance: Random, steps: int, deviation: float, time_s: float) -> array[float]:
    """An Ornstein-Uhlenbeck process around 0 with this stationary deviation and time constant."""
    keep = math.exp(-STEP_S / time_s)
    push = deviation * math.sqrt(1 - keep * keep)
    value = chance.gauss(0, deviation)
    values = array("d", bytes(8 * steps))
    for step in range(steps):
        values[step] = value
        value = value * keep + chance.gauss(0, push)
    return values


def _episodes(chance: Random, steps: int, per_day: float, length: tuple[float, float]) -> list[tuple[int, int]]:
    """First and last-but-one step of each episode of a Poisson process; they may overlap."""
    found = []
    at = chance.expovariate(per_day / DAY_S)
    while at < steps * STEP_S:
        duration = chance.lognormvariate(math.log(length[0]), length[1])
        found.append((int(at / STEP_S), min(steps, math.ceil((at + duration) / STEP_S))))
        at += chance.expovariate(per_day / DAY_S)
    return found


def course(seed: int, index: int, steps: int) -> Course:
    """How the endpoint fares over so many steps."""
    chance = Random(f"{seed} course {index}")
    speed = array("d", map(math.exp, _wander(chance, steps, DRIFT_SPEED, chance.uniform(*DRIFT_S))))
    ttft = array("d", map(math.exp, _wander(chance, steps, DRIFT_TTFT, chance.uniform(*DRIFT_S))))
    mean, swing, phase = chance.uniform(*BACKGROUND), chance.uniform(*CYCLE), chance.random()
    background = _wander(chance, steps, FLUCTUATION, FLUCTUATION_S)
    for step in range(steps):
        cycle = mean + swing * math.sin(2 * math.pi * (step * STEP_S / DAY_S + phase))
        background[step] = min(1.0, max(0.0, cycle + background[step]))
    for first, end in _episodes(chance, steps, COLLAPSES_PER_DAY, COLLAPSE_S):
        factor = chance.uniform(*COLLAPSE)
        for step in range(first, end):
            speed[step] *= factor
    fault, share = bytearray(steps), array("d", bytes(8 * steps))
    for first, end in _episodes(chance, steps, OUTAGES_PER_DAY, OUTAGE_S):
        kind = chance.choice((Fault.REFUSES, Fault.ERRORS, Fault.STALLS))
        meets = chance.uniform(*ERROR_SHARE) if kind is Fault.ERRORS else 1.0
        for step in range(first, end):
            fault[step], share[step] = kind, meets
    return Course(speed, ttft, background, fault, share)


class Fleet:
    """The endpoints of a seed and how they fare in a scenario."""

    def __init__(self, seed: int, scenario: Scenario) -> None:
        self.scenario = scenario
        self.steps = math.ceil(scenario.hours * 3600 / STEP_S)
        self.endpoints = endpoints(seed)
        self.courses = tuple(course(seed, index, self.steps) for index in range(ENDPOINTS))

    def step(self, now: float) -> int:
        """The step of a time; what is after the last one stays as in the last."""
        return min(int(now / STEP_S), self.steps - 1)
