"""Layouts and loads that cannot be."""

from __future__ import annotations

import pytest

from tests.unit.planner.serving.asked import deployed, load
from tokenway.planner.errors import PlanError
from tokenway.planner.serving.deployment import Draft, Load, Pool


def test_gpus_of_pools() -> None:
    """Workers times what shares a layer times what has attention apart."""
    assert Pool(workers=3, tp=2, dp=4, ep=8).gpus == 24
    assert deployed(pool=Pool(tp=4), prefill=Pool(workers=2, tp=2)).gpus == 8


@pytest.mark.parametrize("wrong", [{"tp": 0}, {"workers": 0}, {"tp": 4, "ep": 3}, {"ep": 2}])
def test_layouts_that_no_chips_have(wrong: dict[str, int]) -> None:
    """Nothing below one, and experts come out even."""
    with pytest.raises(PlanError):
        Pool(**wrong)


@pytest.mark.parametrize("wrong", [{"input": -1}, {"output": 0}, {"concurrency": 0}, {"cached": 1.1}, {"cached": -0.1}])
def test_loads_that_no_requests_are(wrong: dict[str, float]) -> None:
    """Each field has its bounds."""
    with pytest.raises(PlanError, match="A load has"):
        Load(**{"input": 1.0, "output": 1.0, "concurrency": 1.0, **wrong})


@pytest.mark.parametrize("wrong", [{"tokens": 0}, {"accepted": 1.0}, {"cost": -1.0}])
def test_drafts_that_are_none(wrong: dict[str, float]) -> None:
    """One that is always right would never end."""
    with pytest.raises(PlanError, match="A draft"):
        Draft(**wrong)  # type: ignore[arg-type]


def test_an_unknown_engine_names_those_that_are_known() -> None:
    """With the nearest one."""
    with pytest.raises(PlanError, match="did you mean vllm"):
        deployed(engine="vlm")
    assert load().cached == 0
