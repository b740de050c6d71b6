"""A claim is a table of regimes, and never a single number."""

from __future__ import annotations

import pytest

from tokenway.planner.claims import CLAIMS, Case, claim_of, factors, regimes
from tokenway.planner.errors import PlanError

CLAIM = CLAIMS["blackwell-30x"]


def test_the_ratio_is_another_one_in_every_regime() -> None:
    """By model, lengths, speed and baseline; where a side cannot do it there is none."""
    rows = list(regimes(CLAIM, "owned", speeds=(20.0, 100.0)))
    assert len(rows) == len(CLAIM.models) * len(CLAIM.lengths) * 2 * len(CLAIM.baselines)
    against = [row.per_gpu for row in rows if row.baseline == "h100" and row.per_gpu is not None]
    assert max(against) > 2 * min(against)
    dense = [row.per_gpu for row in rows if row.case.model == "llama-3-70b" and row.baseline == "h100"]
    assert all(1 < ratio < 12 for ratio in dense if ratio is not None), "dense models gain a few times"


def test_a_ratio_per_dollar_and_watt_is_lower() -> None:
    """The newer chip costs more, and takes more power."""
    row = next(each for each in regimes(CLAIM, "owned", speeds=(20.0,)) if each.per_gpu is not None)
    assert row.per_dollar is not None
    assert row.per_watt is not None
    assert row.per_gpu is not None
    assert row.per_dollar < row.per_gpu
    assert row.per_watt < row.per_gpu


def test_factors_multiply_to_the_whole() -> None:
    """Each figure of the chip is changed in its turn; together they are the ratio."""
    steps = factors(CLAIM, Case("deepseek-v3", 8192, 1024, 20.0), "owned")
    assert steps[0].name == "the baseline"
    product = 1.0
    for step in steps[1:]:
        assert step.gain is not None
        assert step.gain >= 0.99, f"{step.name} makes it slower"
        product *= step.gain
    first, last = steps[0].tokens_per_s_per_gpu, steps[-1].tokens_per_s_per_gpu
    assert first is not None
    assert last is not None
    assert product == pytest.approx(last / first)


def test_an_unknown_claim() -> None:
    """The nearest is told."""
    with pytest.raises(PlanError, match="did you mean blackwell-30x"):
        claim_of("blackwell-40x")
