"""Policies against each other."""

from __future__ import annotations

from array import array

import pytest

from benchmarks.routing.contest import POLICIES, figures, hold, play, shortened
from benchmarks.routing.fleet import SCENARIOS, Fleet
from benchmarks.routing.simulate import Record
from benchmarks.routing.workload import requests


def quiet(_what: str, _done: int) -> None:
    """No progress."""


def test_shortening_keeps_the_rate() -> None:
    """A tenth of the requests is a tenth of the time."""
    short = shortened(SCENARIOS["day"], 10_000)
    assert short.requests == 10_000
    assert short.hours == pytest.approx(2.4)
    assert shortened(SCENARIOS["day"], None) is SCENARIOS["day"]


def test_no_policy_changes_the_fleet() -> None:
    """Courses and requests are the same after each of them, and each meets them as the first one did."""
    scenario = shortened(SCENARIOS["day"], 1000)
    fleet, asked = Fleet(1, scenario), requests(1, 1000, scenario.hours * 3600)
    untouched = Fleet(1, scenario)
    first = play("random", fleet, asked, 1)
    for name in POLICIES:
        play(name, fleet, asked, 1)
    assert fleet.courses == untouched.courses
    assert asked == requests(1, 1000, scenario.hours * 3600)
    assert play("random", fleet, asked, 1) == first


@pytest.mark.parametrize("scenario", list(SCENARIOS))
def test_nobody_beats_the_oracle(scenario: str) -> None:
    """In the mean over its seeds, and it is far ahead of chance."""
    samples = hold(shortened(SCENARIOS[scenario], 3000), (1, 2), list(POLICIES), quiet)
    finish = {name: sum(found["finish"] for found in each) for name, each in samples.items()}
    assert min(finish, key=finish.__getitem__) == "oracle"
    assert finish["random"] > 1.5 * finish["oracle"]
    assert all(found["regret"] == 0 for found in samples["oracle"])


def test_figures_count_failures_with_their_time() -> None:
    """One of four failed: it is in the mean finish, not in the mean first token; one of two measured speeds is slow."""
    records = [
        Record(finish=1.0, ttft=0.5, speed=30.0, cost=10**9),
        Record(finish=2.0, ttft=0.5, speed=10.0, cost=10**9),
        Record(finish=3.0, ttft=0.8, speed=None, cost=10**9),
        Record(finish=70.0),
    ]
    found = figures(records)
    assert found["finish"] == 19.0
    assert found["ttft"] == pytest.approx(0.6)
    assert (found["slow"], found["failed"], found["cost"]) == (0.5, 1.0, 3.0)
    assert (found["finish.p50"], found["finish.p99"]) == (3.0, 70.0)


def test_a_fleet_that_is_down_fails_everything() -> None:
    """Failures of whole runs are counted, and cost nothing."""
    scenario = shortened(SCENARIOS["day"], 200)
    fleet, asked = Fleet(1, scenario), requests(1, 200, scenario.hours * 3600)
    for course in fleet.courses:
        course.fault[:] = bytes([1]) * fleet.steps
        course.fault_share[:] = array("d", [1.0]) * fleet.steps
    found = figures(play("random", fleet, asked, 1))
    assert (found["failed"], found["cost"], found["slow"]) == (200, 0, 0)
    assert found["finish"] > 60


def test_ratios_are_to_the_best_peer_and_to_chance() -> None:
    """A peer's own ratio is 1 at best; without the oracle there is no regret."""
    scenario = shortened(SCENARIOS["day"], 500)
    samples = hold(scenario, (1,), ["random", "price", "oracle"], quiet)
    assert min(samples[name][0]["regret.ratio"] for name in ("random", "price")) == 1.0
    assert samples["random"][0]["slow.ratio"] == 1.0
    assert "regret" not in hold(scenario, (1,), ["random"], quiet)["random"][0]


def test_progress_rises_over_seeds_and_policies() -> None:
    """Each run of 2,000 requests tells twice, on top of what was played before."""
    told: list[int] = []
    hold(shortened(SCENARIOS["day"], 2000), (1, 2), ["random"], lambda _what, done: told.append(done))
    assert told == [1000, 2000, 3000, 4000]
