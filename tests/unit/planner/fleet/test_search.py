"""Replicas that keep targets, the cheapest first, and what stands in the way where none does."""

from __future__ import annotations

import pytest

from tests.unit.planner.fleet.asked import FP8, MIX, MODEL, TARGETS, offer
from tokenway.planner.errors import PlanError
from tokenway.planner.fleet.search import Served, label, search
from tokenway.planner.fleet.workload import Targets
from tokenway.planner.formats import numbers_of
from tokenway.planner.serving.deployment import Pool
from tokenway.planner.shapes import shapes

NVFP4 = numbers_of("nvfp4")


def test_all_of_them_keep_the_targets() -> None:
    """And stand by what a request costs when they are busy."""
    found = search(MODEL, MIX, TARGETS, [offer("h100"), offer("b200")], [FP8, NVFP4]).replicas
    assert {each.offer.name for each in found} == {"h100", "b200"}
    costs = [each.cost() for each in found]
    assert costs == sorted(costs)
    for each in found:
        assert each.speed >= TARGETS.speed
        assert each.ttft <= TARGETS.ttft
        assert each.concurrency <= max(1.0, each.most)
        assert each.low <= each.tpot <= each.high


def test_a_faster_target_is_dearer() -> None:
    """Because fewer share a machine."""
    costs = [
        search(MODEL, MIX, Targets(speed=speed, ttft=2), [offer("h200")], [FP8]).replicas[0].cost()
        for speed in (20, 40, 80)
    ]
    assert costs == sorted(costs)
    assert costs[2] > 1.2 * costs[0]


def test_input_and_output_share_the_cost() -> None:
    """A million tokens of each add up to what the requests cost that have them."""
    replica = search(MODEL, MIX, TARGETS, [offer("h100")], [FP8]).replicas[0]
    came_in, came_out = replica.per_million(replica.cost())
    assert (came_in * MIX.input + came_out * MIX.output) / 1e6 == pytest.approx(replica.cost())
    assert 0 < came_in < came_out


def test_a_model_may_stretch_over_two_domains() -> None:
    """Where one does not hold it: 671 GB of weights, and eight chips of 80 GB."""
    found = search(Served(shapes()["deepseek-v3"]), MIX, Targets(speed=5, ttft=10), [offer("h100")], [FP8]).replicas
    assert {each.layout.chips for each in found} == {16}


def test_four_bits_are_those_of_the_maker() -> None:
    """NVFP4 is NVIDIA's; AMD's chips have units for MXFP4."""
    found = search(MODEL, MIX, TARGETS, [offer("mi355x"), offer("b200")], [NVFP4]).replicas
    assert {(each.offer.name, each.numbers.label) for each in found} == {("mi355x", "mxfp4"), ("b200", "nvfp4")}


def test_a_layout_has_a_name() -> None:
    """Of what is more than one."""
    assert (label(Pool(tp=8)), label(Pool(dp=32, ep=32)), label(Pool())) == ("TP8", "DP32 EP32", "TP1")


def test_prefill_apart_keeps_pace() -> None:
    """Where prefill has chips of its own, they are part of the replica and of its cost."""
    found = search(MODEL, MIX, TARGETS, [offer("b200")], [FP8]).replicas
    apart = [each for each in found if each.prefill_gpus]
    assert apart
    for each in apart:
        assert each.gpus == each.layout.chips + each.prefill_gpus
        assert 0 < each.prefill_share < 1


def test_a_model_that_does_not_fit() -> None:
    """Two terabytes of BF16 weights on sixteen chips of 80 GB."""
    found = search(Served(shapes()["kimi-k2"]), MIX, TARGETS, [offer("h100")], [numbers_of("bf16")])
    assert not found.replicas
    [reason] = found.reasons
    assert "does not fit in any layout of h100 in bf16: its weights take 2,0" in reason
    assert "times what 16 h100 have, and beside them is room for 0 of a request" in reason


def test_targets_that_cannot_be_met() -> None:
    """It says which, by how much, and what comes nearest."""
    [speed] = search(MODEL, MIX, Targets(speed=5_000, ttft=2), [offer("h100"), offer("b200")], [FP8]).reasons
    assert speed.startswith("No layout reaches 5000 tokens/s for a caller: the fastest is b200 in fp8 with ")
    assert "times too slow" in speed
    [late] = search(MODEL, MIX, Targets(speed=5, ttft=0.0001), [offer("h100")], [FP8]).reasons
    assert late.startswith("No layout has a first token after 0.0001 s: the soonest is h100 in fp8 with ")


def test_nothing_to_search() -> None:
    """A chip and a format are needed."""
    with pytest.raises(PlanError, match="nothing to search"):
        search(MODEL, MIX, TARGETS, [], [FP8])
