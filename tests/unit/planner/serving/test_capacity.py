"""What fits."""

from __future__ import annotations

import pytest

from tests.unit.planner.serving.asked import deployed, load
from tokenway.planner.serving.capacity import memory_of, most_running
from tokenway.planner.serving.cases import cases_of
from tokenway.planner.serving.deployment import Pool


def test_a_sequence_takes_what_it_leaves_in_the_cache() -> None:
    """Llama 3 70B: 163,840 bytes a token in FP8; over eight chips an eighth of it each."""
    cases = cases_of([(deployed(pool=Pool(tp=tp)), load(input_=1000, output=500)) for tp in (1, 8, 16)])
    assert memory_of(cases).sequence.tolist() == pytest.approx([1500 * 163_840, 1500 * 163_840 / 8, 1500 * 163_840 / 8])


def test_models_that_do_not_fit() -> None:
    """R1 in FP8 is larger than eight H100; it fits eight H200, and eight B200 in four bits hold more."""
    chips = (("h100", "fp8"), ("h200", "fp8"), ("b200", "nvfp4"))
    most = most_running(cases_of([(deployed("deepseek-r1", chip, numbers), load()) for chip, numbers in chips]))
    assert most[0] == 0
    assert 1 < most[1] < most[2]


def test_attention_apart_holds_more_of_latents() -> None:
    """Eight chips that share attention keep the same latents eight times."""
    shared, apart = most_running(
        cases_of([(deployed("deepseek-r1", pool=pool), load()) for pool in (Pool(tp=8, ep=8), Pool(dp=8, ep=8))])
    )
    assert apart > 3 * shared


@pytest.mark.parametrize(
    ("chip", "numbers", "lengths", "ran"),
    [("h200", "fp8", (8192, 1024), 46.5), ("b200", "fp8", (1024, 8192), 75), ("b200", "nvfp4", (1024, 8192), 94)],
)
def test_queues_as_they_were_measured(chip: str, numbers: str, lengths: tuple[int, int], ran: float) -> None:
    """Llama 3 70B on one GPU; how many of 128 ran follows from the times to the first and per token."""
    asked = load(128, lengths[0] * 0.9, lengths[1] * 0.9)
    most = most_running(cases_of([(deployed("llama-3-70b", chip, numbers, Pool(tp=1)), asked)]))
    assert most[0] == pytest.approx(ran, rel=0.1)


def test_what_was_measured_fits() -> None:
    """R1 in FP8 on four chips of 180 and of 186 GB, attention apart on the latter."""
    asked = [("b200", Pool(tp=4)), ("gb200", Pool(dp=4, ep=4))]
    assert (
        most_running(cases_of([(deployed("deepseek-r1", chip, pool=pool), load()) for chip, pool in asked])) > 1
    ).all()
