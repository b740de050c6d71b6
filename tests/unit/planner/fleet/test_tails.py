"""What the peak hour may bring before the slow end of the callers is too slow."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from tests.unit.planner.fleet.asked import FP8, MIX, MODEL, TARGETS, cheapest, offer
from tokenway.planner.fleet.search import Served, search
from tokenway.planner.fleet.tails import alone, server_of, usable
from tokenway.planner.fleet.workload import Mix, Targets
from tokenway.planner.shapes import shapes


def test_a_replica_as_a_queue() -> None:
    """A step takes longer with more sequences; prefill stops decoding where the chips do both."""
    replica = msgspec.structs.replace(cheapest(), prefill_gpus=0.0)
    server = server_of(MODEL, replica)
    assert server.slots >= replica.concurrency
    assert np.all(np.diff(server.step[1:]) >= 0)
    assert server.interference == 1.0
    apart = server_of(MODEL, msgspec.structs.replace(replica, prefill_gpus=4.0))
    assert apart.interference == 0.0


def test_targets_hold_where_it_says() -> None:
    """With a little load both do; the share is never above what was allowed."""
    found = usable(MODEL, cheapest(), TARGETS)
    assert 0 < found.share <= TARGETS.utilisation
    assert found.tails.ttft[TARGETS.quantile] <= TARGETS.ttft
    assert found.tails.speed[0.5] >= TARGETS.speed


def test_a_stricter_first_token_leaves_less() -> None:
    """A tighter bound for a larger share of the callers, and bunches of requests."""
    bunched = msgspec.structs.replace(cheapest(), mix=msgspec.structs.replace(MIX, burstiness=4.0))
    easy = usable(MODEL, bunched, Targets(speed=5, ttft=5.0, quantile=0.9))
    strict = usable(MODEL, bunched, Targets(speed=5, ttft=0.35, quantile=0.99))
    assert strict.share < easy.share


def test_a_request_alone_has_its_first_token_soonest() -> None:
    """No load makes it sooner, and with hardly any it is that."""
    replica = cheapest()
    least = alone(MODEL, replica, TARGETS)
    tails = usable(MODEL, replica, Targets(speed=5, ttft=1e-6)).tails
    assert least <= tails.ttft[0.95] * 1.02
    assert least == pytest.approx(tails.ttft[0.95], rel=0.1)


def test_what_cannot_be_kept_at_any_load() -> None:
    """A first token sooner than a prefill: what it would be with the least work is told."""
    found = usable(MODEL, cheapest(), Targets(speed=5, ttft=1e-6))
    assert found.share == 0
    assert found.tails.ttft[0.95] > 1e-6


def test_short_prompts_do_not_wait_for_one_another() -> None:
    """What starts a request takes time, but not the machine's: chats of a few hundred tokens fill a replica too."""
    mix = Mix(input=200, output=200, cached=0)
    [replica, *_] = search(Served(shapes()["llama-3-8b"]), mix, TARGETS, [offer("h100")], [FP8]).replicas
    served = Served(shapes()["llama-3-8b"])
    server = server_of(served, replica)
    assert server.prefill * mix.input * replica.requests < 1
    assert server.overhead > 10 * server.prefill * mix.input
    found = usable(served, replica, TARGETS)
    assert found.share > 0.7
    assert found.tails.ttft[0.95] < 2 * server.overhead


def test_less_than_a_share_is_not_looked_for() -> None:
    """Where it would cost more than what is known already."""
    targets = Targets(speed=5, ttft=0.19, quantile=0.9)
    share = usable(MODEL, cheapest(), targets).share
    assert usable(MODEL, cheapest(), targets, share * 0.9).share == pytest.approx(share, rel=0.15)
    assert usable(MODEL, cheapest(), targets, min(1.0, share * 1.3)).share == 0
