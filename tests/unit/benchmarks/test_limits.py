"""The bench of limits lets calls in, and settles them."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.limits import SETS, SPENT, Bench, Set
from tokenway.model.limits import Measure


@pytest.mark.parametrize("limits", SETS, ids=lambda limits: limits.name)
def test_a_call_draws_from_each_of_its_limits(tmp_path: Path, limits: Set) -> None:
    """The books hear of the budgets, and afterwards nothing is held."""
    bench = Bench(tmp_path, limits)
    made = bench.call()
    budgets = [measure for measure, _ in limits.measures if measure is Measure.USD]
    assert [draw.amount for draw in made.draws] == [SPENT] * len(budgets)
    assert len(bench.admission.remaining) == len(limits.measures)
    assert bench.microseconds(1) > 0
    assert bench.microseconds(1, is_bare=True) > 0
