"""How much of a replica's work the peak hour may bring, so that the slow end of the callers keeps the targets too.

The model of serving gives means. Here the replica that it chose is played with the arrivals of the mix, and the highest
rate is looked for at which the target's quantile of TTFT, and the median speed, hold.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from tokenway.planner.fleet.queueing import Server, Tails, Traffic, length_at, simulate
from tokenway.planner.fleet.search import PREFILL, Replica, Served
from tokenway.planner.fleet.workload import Targets
from tokenway.planner.serving.cases import spread
from tokenway.planner.serving.constants import calibration
from tokenway.planner.serving.deployment import Load
from tokenway.planner.serving.pareto import PREFILL_CHIPS
from tokenway.planner.serving.predict import predict_all
from tokenway.planner.serving.timing import own_prefill

REQUESTS: Final = (3_000, 15_000)
"""How many are played, at least and at most."""
ROUNDS: Final = 3
"""So many times what the replicas hold at once are played, so that they are full for most of the time."""
REPLICAS: Final = 2
SLOTS_MAX: Final = 4_096
TRIES: Final = 7
LEAST: Final = 0.02
"""Of less work than that nothing is hoped for."""
SEED: Final = 20_260_101


class Usable(NamedTuple):
    """The share of a replica's work that may be asked of it, and what callers see there.

    Where no share holds it is 0, and the tails are those of the least one that was played.
    """

    share: float
    tails: Tails


def server_of(served: Served, replica: Replica) -> Server:
    """The replica as a queue: its step at each batch, without the prefill that runs beside it.

    Where one pool does both, decoding stands still while a prefill runs, which is what the model's mean says too.
    """
    mix, apart = replica.mix, replica.prefill_gpus > 0
    slots = int(min(max(replica.concurrency, 1.0) * 1.25 + 1, max(replica.most, 1.0), SLOTS_MAX))
    deployment = served.on(replica.offer, replica.numbers, replica.layout)
    measured = served.factor(replica.offer, replica.numbers)
    load = Load(input=mix.input, output=mix.output, concurrency=1.0, cached=mix.cached)
    batches = np.arange(1.0, slots + 1)
    # One worker that prefills is asked; with more of them, requests wait less.
    chips = float(min(replica.offer.chip.domain, PREFILL_CHIPS))
    pool = {"prefill_gpus": np.full(slots, chips), "prefill_workers": np.ones(slots)} if apart else {}
    cases = spread(deployment, load, concurrency=batches, **pool)
    guess = predict_all(cases, measured)
    between, running = guess.tpot * guess.shares[PREFILL], guess.running
    if apart:
        workers = max(replica.prefill_gpus / chips, 1.0)
        work = float(np.max(own_prefill(cases, calibration().constants))) / chips
    else:
        # In each step there is one prefill for every `output` tokens of each that runs.
        workers, work = 1.0, float(between[-1] * mix.output / running[-1])
    return Server(
        np.concatenate(([0.0], np.maximum.accumulate(guess.tpot - between))),
        prefill=work / (mix.input * (1.0 - mix.cached)) / workers,
        overhead=max(float(guess.ttft[0]) - work, 0.0),
        interference=0.0 if apart else 1.0,
    )


def alone(served: Served, replica: Replica, targets: Targets) -> float:
    """Seconds in which the target's share of the requests has a first token where nobody else is served: the least."""
    server, mix = server_of(served, replica), replica.mix
    return server.overhead + server.prefill * length_at(
        targets.quantile, mix.input * (1.0 - mix.cached), mix.input_variation
    )


def usable(served: Served, replica: Replica, targets: Targets, least: float = LEAST) -> Usable:
    """The highest share of a replica's work, from `least` up to the targets' utilisation, at which they are kept."""
    server, mix = server_of(served, replica), replica.mix
    least = min(max(least, LEAST), targets.utilisation)
    requests = int(np.clip(ROUNDS * REPLICAS * replica.concurrency, *REQUESTS))

    def play(share: float) -> Tails:
        traffic = Traffic(
            rate=REPLICAS * share * replica.requests,
            input=mix.input * (1.0 - mix.cached),
            output=mix.output,
            burstiness=mix.burstiness,
            input_variation=mix.input_variation,
            output_variation=mix.output_variation,
        )
        return simulate(server, REPLICAS, traffic, requests=requests, seed=SEED, quantile=targets.quantile)

    def holds(tails: Tails) -> bool:
        return tails.keeps_up and tails.ttft[targets.quantile] <= targets.ttft and tails.speed[0.5] >= targets.speed

    best = Usable(least, play(least))
    if not holds(best.tails):
        return Usable(0.0, best.tails)
    low, high, share = least, targets.utilisation, targets.utilisation
    for _ in range(TRIES):
        tails = play(share)
        if holds(tails):
            best, low = Usable(share, tails), share
        else:
            high = share
        if low == high:
            break
        share = (low + high) / 2
    return best
