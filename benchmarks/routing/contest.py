"""Every policy on every seed of a scenario, and what came of it as figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from random import Random
from statistics import fmean

from benchmarks.routing.fleet import Fleet, Scenario
from benchmarks.routing.ours import Ours
from benchmarks.routing.policies import PEERS, Make, Oracle
from benchmarks.routing.simulate import Record, Simulation
from benchmarks.routing.workload import Request, requests
from benchmarks.runner import Figures

FLOOR = 20.0
"""Tokens per second below which a stream is slow to its reader."""
ORACLE = "oracle"
OURS = "ours"
RANDOM = "random"
POLICIES: dict[str, Make] = {**PEERS, OURS: Ours, ORACLE: Oracle}

Samples = dict[str, list[Figures]]
Progress = Callable[[str, int], None]
"""Called with what is played, and how many requests have arrived so far."""


def shortened(scenario: Scenario, count: int | None) -> Scenario:
    """The scenario with so many requests at the same rate."""
    if count is None:
        return scenario
    return replace(scenario, requests=count, hours=scenario.hours * count / scenario.requests)


def play(
    name: str, fleet: Fleet, asked: list[Request], seed: int, progress: Callable[[int], None] | None = None
) -> list[Record]:
    """One policy on one fleet; `progress` as in `Simulation.run`."""
    simulation = Simulation(fleet, asked)
    return simulation.run(POLICIES[name](Random(f"{seed} {name}"), simulation), progress)


def figures(records: Sequence[Record]) -> Figures:
    """Times in seconds, shares from 0 to 1, cost in USD. Failed requests count in `finish` with their penalty."""
    finishes = sorted(record.finish for record in records)
    served = [record.ttft for record in records if record.ttft is not None]
    speeds = [record.speed for record in records if record.speed is not None]
    return {
        "finish": fmean(finishes),
        "finish.p50": finishes[len(finishes) // 2],
        "finish.p99": finishes[len(finishes) * 99 // 100],
        "ttft": fmean(served) if served else 0.0,
        "slow": sum(speed < FLOOR for speed in speeds) / max(1, len(speeds)),
        "failed": float(len(records) - len(served)),
        "attempts": fmean(record.attempts for record in records),
        "cost": sum(record.cost for record in records) / 1e9,
    }


def hold(scenario: Scenario, seeds: Sequence[int], names: Sequence[str], progress: Progress) -> Samples:
    """The figures of each policy, one per seed; with `regret` (s) and both goals' ratios where they can be had."""
    samples: Samples = {name: [] for name in names}
    done = 0
    for seed in seeds:
        fleet = Fleet(seed, scenario)
        asked = requests(seed, scenario.requests, scenario.hours * 3600)
        round_: dict[str, Figures] = {}
        for name in names:
            told = partial(_tell, progress, f"{scenario.name}, seed {seed}: {name}", done)
            round_[name] = figures(play(name, fleet, asked, seed, told))
            done += len(asked)
        if ORACLE in round_:
            for found in round_.values():
                found["regret"] = found["finish"] - round_[ORACLE]["finish"]
            _compare(round_)
        for name, found in round_.items():
            samples[name].append(found)
    return samples


def _tell(progress: Progress, what: str, before: int, arrived: int) -> None:
    progress(what, before + arrived)


def _compare(round_: dict[str, Figures]) -> None:
    """Regret in that of the seed's best peer, and the share of slow streams in that of `random`."""
    peers = [found["regret"] for name, found in round_.items() if name in PEERS]
    for found in round_.values():
        if peers and min(peers) > 0:
            found["regret.ratio"] = found["regret"] / min(peers)
        if RANDOM in round_ and round_[RANDOM]["slow"]:
            found["slow.ratio"] = found["slow"] / round_[RANDOM]["slow"]
