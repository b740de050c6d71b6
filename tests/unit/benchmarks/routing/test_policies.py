"""What the peers do."""

from __future__ import annotations

import math
from collections import Counter
from random import Random

import pytest

from benchmarks.routing.fleet import Fleet, Scenario
from benchmarks.routing.policies import LeastLatency, PeakEwma, PriceWeighted, Uniform
from benchmarks.routing.simulate import Observation, Outcome
from benchmarks.routing.workload import Ask

ASK = Ask(0, 0.0, 0, 0, 100)


def seen(
    index: int, *, end: float = 1.0, ttft: float | None = 0.5, outcome: Outcome = Outcome.OK, after: float | None = None
) -> Observation:
    """An attempt of a second that ended."""
    return Observation(index, ASK, end - 1.0, end, ttft, 10 if ttft else 0, 0.5, 0, outcome, after)


def end(policy: Uniform | PriceWeighted | LeastLatency | PeakEwma, observation: Observation) -> None:
    """It was sent before it ended."""
    policy.sent(observation.endpoint, ASK, observation.start)
    if observation.ttft is not None:
        policy.first(observation.endpoint, ASK, observation.start + observation.ttft, observation.ttft)
    policy.finished(observation)


def test_random_is_even_and_leaves_out_what_was_tried() -> None:
    """Each of the others gets its share."""
    policy = Uniform(Random(1))
    counts = Counter(policy.choose(ASK, 0.0, (3,)) for _ in range(7000))
    assert 3 not in counts
    assert all(800 < count < 1200 for count in counts.values())


def test_price_has_the_weight_of_its_inverse_square() -> None:
    """A tenth of the price is a hundred times the share; an outage counts for 30 seconds."""
    endpoints = Fleet(1, Scenario("test", 0, hours=0.1)).endpoints
    policy = PriceWeighted(Random(1), endpoints)
    counts = Counter(policy.choose(ASK, 0.0, ()) for _ in range(20_000))
    by_price = sorted(endpoints, key=lambda endpoint: endpoint.price_output)
    cheap, dear = by_price[0], by_price[-1]
    ratio = (dear.price_output / cheap.price_output) ** 2
    assert counts[cheap.index] / counts[dear.index] == pytest.approx(ratio, rel=0.3)
    end(policy, seen(cheap.index, ttft=None, outcome=Outcome.FAILED))
    assert all(policy.choose(ASK, 30.9, ()) != cheap.index for _ in range(200))
    assert any(policy.choose(ASK, 31.1, ()) == cheap.index for _ in range(200))


def test_least_latency_goes_to_the_lowest_average_of_ten() -> None:
    """What is unknown comes first; an eleventh figure pushes the first one out."""
    policy = LeastLatency(Random(1), is_per_token=False)
    for index in range(7):
        end(policy, seen(index, ttft=0.4 + index / 10))
    assert policy.choose(ASK, 2.0, ()) == 7
    end(policy, seen(7, ttft=9.0))
    assert policy.choose(ASK, 2.0, ()) == 0
    for _ in range(9):
        end(policy, seen(7, ttft=0.1))
    assert policy.choose(ASK, 2.0, ()) == 0
    end(policy, seen(7, ttft=0.1))
    assert policy.choose(ASK, 2.0, ()) == 7


def test_least_latency_cools_down_what_limits_it() -> None:
    """For five seconds after a 429; a single failure does not matter, five in a minute do."""
    policy = LeastLatency(Random(1), is_per_token=True)
    for index in range(8):
        end(policy, seen(index, ttft=None if index else 0.5, outcome=Outcome.RATE_LIMITED if index else Outcome.OK))
    assert policy.choose(ASK, 2.0, ()) == 0
    assert policy.candidates(6.1, ()) == list(range(8))
    for _ in range(4):
        end(policy, seen(1, end=67.0, ttft=None, outcome=Outcome.FAILED))
    assert 1 in policy.candidates(67.0, ())
    end(policy, seen(1, end=67.0, ttft=None, outcome=Outcome.FAILED))
    assert 1 not in policy.candidates(67.0, ())


def test_peak_ewma_follows_a_peak_at_once_and_fades() -> None:
    """After a decay time without anything seen, 1/e of the peak is left."""
    policy = PeakEwma(Random(1), is_first=False)
    end(policy, seen(0))
    assert policy._cost(0, 1.0) == pytest.approx(1.0)
    policy.sent(0, ASK, 1.0)
    assert policy._cost(0, 1.0 + policy.DECAY_S) == pytest.approx(2 / math.e)


def test_peak_ewma_takes_the_cheaper_of_two() -> None:
    """With two candidates left it is always the one with the lower latency, unless too much is in flight there."""
    policy = PeakEwma(Random(1), is_first=True)
    end(policy, seen(6, ttft=0.2))
    end(policy, seen(7, ttft=0.3))
    tried = tuple(range(6))
    assert policy.choose(ASK, 1.0, tried) == 6
    policy.sent(6, ASK, 1.0)
    assert policy.choose(ASK, 1.0, tried) == 7


def test_peak_ewma_takes_out_what_fails_five_times() -> None:
    """For five seconds first, then for ten."""
    policy = PeakEwma(Random(1), is_first=False)
    for _ in range(5):
        end(policy, seen(2, ttft=None, outcome=Outcome.FAILED))
    assert 2 not in policy.candidates(5.9, ())
    assert 2 in policy.candidates(6.1, ())
    end(policy, seen(2, end=7.0, ttft=None, outcome=Outcome.FAILED))
    assert 2 not in policy.candidates(16.9, ())
