"""The simulation against queues whose answers are known, and what callers see when more and more comes."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import pytest

from tokenway.planner.fleet.queueing import Server, Traffic, simulate

SLOTS: Final = 400
EASY: Final = Server(np.concatenate(([0.0], 0.010 + 0.0002 * np.arange(1, 65))), prefill=1 / 20_000, overhead=0.01)


def _server(step: float, prefill: float) -> Server:
    return Server(np.full(SLOTS + 1, step), prefill)


def _erlang(rate: float, wait: float) -> float:
    """How many wait no longer than that in M/D/1 with work of one second (Erlang 1909)."""
    terms = ((rate * (k - wait)) ** k / math.factorial(k) * math.exp(-rate * (k - wait)) for k in range(int(wait) + 1))
    return (1 - rate) * sum(terms)


@pytest.mark.parametrize("busy", [0.6, 0.8])
def test_prefills_wait_as_in_a_queue_with_fixed_work(busy: float) -> None:
    """Poisson arrivals, one server, work of a second: every quantile is where Erlang's formula has it."""
    traffic = Traffic(busy, 1_000, 1, input_variation=0, output_variation=0)
    tails = [simulate(_server(1e-9, 1e-3), 1, traffic, requests=20_000, seed=seed) for seed in range(3)]
    for quantile in (0.5, 0.9, 0.95):
        time = np.mean([each.ttft[quantile] for each in tails])
        assert _erlang(busy, float(time) - 1) == pytest.approx(quantile, abs=0.02)


def test_decoding_is_shared() -> None:
    """With a step that grows as the batch the machine is shared: 1/(1-ρ) times as long, whatever the lengths are."""
    step = np.arange(SLOTS + 1, dtype=np.float64) / 1_000
    # 0.6 requests/s of 1,000 tokens, each of which takes a millisecond of the machine.
    tails = simulate(Server(step, 0.0), 1, Traffic(0.6, 1, 1_000), requests=20_000, seed=5)
    # The speed of a request that shares with N others, where N is geometric: its median lies at about 1/(1-ρ).
    assert 1_000 / tails.speed[0.5] == pytest.approx(1 / (1 - 0.6), rel=0.25)
    assert tails.busy * SLOTS == pytest.approx(0.6 / (1 - 0.6), rel=0.15)


def test_the_same_seed_gives_the_same_answer() -> None:
    """A plan can be repeated."""
    traffic = Traffic(3.0, 1_000, 200)
    assert simulate(EASY, 2, traffic, requests=500, seed=7) == simulate(EASY, 2, traffic, requests=500, seed=7)


def test_more_traffic_is_slower() -> None:
    """Waits rise, speeds fall."""
    tails = [simulate(EASY, 1, Traffic(rate, 1_000, 200), requests=2_000, seed=3) for rate in (1.0, 3.0, 5.0)]
    waits = [each.ttft[0.95] for each in tails]
    speeds = [each.speed[0.95] for each in tails]
    assert waits == sorted(waits)
    assert speeds == sorted(speeds, reverse=True)


def test_bunches_wait_longer() -> None:
    """The same rate in bunches."""
    even, bunched = (
        simulate(EASY, 1, Traffic(4.0, 1_000, 200, burstiness=each), requests=3_000, seed=4) for each in (0.5, 3.0)
    )
    assert bunched.ttft[0.95] > 1.5 * even.ttft[0.95]


def test_too_much_traffic_is_seen() -> None:
    """Where more comes than is served the queue grows, and no quantile means anything."""
    assert simulate(EASY, 1, Traffic(4.0, 1_000, 200), requests=2_000, seed=1).keeps_up
    assert not simulate(EASY, 1, Traffic(40.0, 1_000, 200), requests=2_000, seed=1).keeps_up


def test_slots_bound_who_decodes() -> None:
    """With one slot requests come one after the other."""
    server = Server(np.array([0.0, 0.01]), 0.0)
    tails = simulate(server, 1, Traffic(100.0, 1, 101, output_variation=0), requests=200, seed=1)
    assert tails.speed[0.99] == pytest.approx(100)
    assert tails.busy == pytest.approx(1.0, abs=0.05)


def test_prefills_slow_who_decodes() -> None:
    """In an aggregated engine."""
    traffic = Traffic(6.0, 2_000, 100)
    alone, shared = (
        simulate(EASY._replace(interference=each), 1, traffic, requests=2_000, seed=9) for each in (0.0, 0.7)
    )
    assert shared.speed[0.5] < 0.8 * alone.speed[0.5]


def test_many_replicas_wait_less_than_one() -> None:
    """With the same load of each, requests go where the fewest are."""
    one = simulate(EASY, 1, Traffic(5.0, 1_000, 200), requests=3_000, seed=2)
    eight = simulate(EASY, 8, Traffic(40.0, 1_000, 200), requests=12_000, seed=2)
    assert eight.ttft[0.95] < one.ttft[0.95]
    hundred = simulate(EASY, 100, Traffic(500.0, 1_000, 200), requests=12_000, seed=2)
    assert hundred.ttft[0.95] == pytest.approx(eight.ttft[0.95], rel=0.1)
