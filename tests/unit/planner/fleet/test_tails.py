"""What the peak hour may bring before the slow end of the callers is too slow."""

from __future__ import annotations

import msgspec
import numpy as np

from tests.unit.planner.fleet.asked import MIX, MODEL, TARGETS, cheapest
from tokenway.planner.fleet.tails import server_of, usable
from tokenway.planner.fleet.workload import Targets


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
    assert found.tails is not None
    assert 0 < found.share <= TARGETS.utilisation
    assert found.tails.ttft[TARGETS.quantile] <= TARGETS.ttft
    assert found.tails.speed[0.5] >= TARGETS.speed


def test_a_stricter_first_token_leaves_less() -> None:
    """A tighter bound for a larger share of the callers, and bunches of requests."""
    bunched = msgspec.structs.replace(cheapest(), mix=msgspec.structs.replace(MIX, burstiness=4.0))
    easy = usable(MODEL, bunched, Targets(speed=5, ttft=5.0, quantile=0.9))
    strict = usable(MODEL, bunched, Targets(speed=5, ttft=bunched.ttft * 4, quantile=0.99))
    assert strict.share < easy.share


def test_what_cannot_be_kept_at_any_load() -> None:
    """A first token sooner than a prefill."""
    assert usable(MODEL, cheapest(), Targets(speed=5, ttft=1e-6)) == (0.0, None)
