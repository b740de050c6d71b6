"""Measurements of one's own move the predictions for their chip and format, and no others."""

from __future__ import annotations

import pytest

from tests.unit.planner.fleet.asked import FP8, MIX, MODEL, TARGETS, offer
from tokenway.planner.errors import PlanError
from tokenway.planner.fleet.measured import factors
from tokenway.planner.fleet.search import search
from tokenway.planner.serving.points import points_in
from tokenway.planner.serving.predict import predict

HEAD = "model_path,system,precision,backend,isl,osl,conc,num_gpus,tp_size,tpot_ms\n"
ROW = "meta-llama/Llama-3.3-70B-Instruct,h100_sxm,fp8,vllm,2000,300,32,4,4,{:.6f}\n"


def _rows(*times: float) -> str:
    """Rows that took so many times as long as is predicted."""
    [point] = points_in(HEAD + ROW.format(1.0))
    said = predict(point.deployment, point.load).tpot * 1e3
    return HEAD + "".join(ROW.format(said * each) for each in times)


def test_a_factor_is_what_was_measured_by_what_was_said() -> None:
    """Of several the median."""
    found = factors(_rows(0.8, 1.5, 1.25), "llama-3-70b")
    assert {place: each.factor for place, each in found.items()} == {("h100", "fp8"): pytest.approx(1.25)}


def test_other_chips_stay_as_they_are() -> None:
    """A slower engine here makes the fleet dearer here alone."""
    slower = MODEL._replace(measured=factors(_rows(1.5), "llama-3-70b"))
    for chip, is_dearer in (("h100", True), ("b200", False)):
        before, after = (
            search(each, MIX, TARGETS, [offer(chip)], [FP8]).replicas[0].cost() for each in (MODEL, slower)
        )
        assert (after > 1.2 * before) is is_dearer


def test_measurements_of_another_model() -> None:
    """Say nothing of this one."""
    with pytest.raises(PlanError, match="No row of the measurements is about qwen3-32b"):
        factors(_rows(1.0), "qwen3-32b")
