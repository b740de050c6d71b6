"""Rows and their answers."""

from __future__ import annotations

import time

import pytest

from tests.unit.planner.serving.test_points import ROW
from tokenway.planner.serving.bulk import ADDED, answers
from tokenway.planner.serving.points import asked
from tokenway.planner.serving.predict import predict


def test_answers_keep_the_order_and_say_why_there_is_none() -> None:
    """Each row by itself."""
    rows = [ROW, {**ROW, "system": "h100_sxm", "precision": "fp8"}, {**ROW, "model_path": "x"}, {**ROW, "conc": "4"}]
    found = answers(rows)
    assert found.answered == 2
    assert all(tuple(row) == ADDED for row in found.rows)
    assert [bool(row["tpot_ms"]) for row in found.rows] == [True, False, False, True]
    assert "does not fit: a GPU would hold" in found.rows[1]["reason"]
    assert "There is no model 'x'" in found.rows[2]["reason"]
    for number in (0, 3):
        alone = predict(*asked(rows[number]))
        numbers = {name: float(found.rows[number][name]) for name in ADDED[:-1]}
        assert numbers["tpot_ms"] == pytest.approx(1e3 * alone.tpot, rel=1e-5)
        assert numbers["tpot_low"] < numbers["tpot_ms"] < numbers["tpot_high"]
        assert numbers["ttft_ms"] == pytest.approx(1e3 * alone.ttft, rel=1e-5)
        assert numbers["tokens_per_s_per_gpu"] == pytest.approx(alone.tokens_per_s_gpu, rel=1e-5)


@pytest.mark.parametrize(
    "told",
    [
        {
            "model_path": "moonshotai/Kimi-K2-Instruct",
            "precision": "int4",
            "system": "gb300_nvl72",
            "backend": "dynamo-trt",
        },
        {
            "model_path": "zai-org/GLM-4.6-FP8",
            "precision": "fp8_e4m3",
            "system": "b300_sxm",
            "backend": "dynamo-sglang",
        },
        {"model_path": "MiniMaxAI/MiniMax-M2", "precision": "fp8", "system": "h200", "tp_size": "", "backend": "vllm"},
        {
            "model_path": "amd/DeepSeek-R1-0528-MXFP4-Preview",
            "precision": "mxfp4",
            "system": "mi355x",
            "backend": "atom",
        },
        {
            "model_path": "deepseek-ai/DeepSeek-V3.2-Exp",
            "precision": "fp8",
            "moe_ep_size": "16",
            "backend": "sglang-disagg",
        },
        {"model_path": "openai/gpt-oss-20b", "precision": "mxfp4", "system": "h100", "num_gpus": "1", "tp_size": "1"},
        {"model_path": "Qwen/Qwen3-Next-80B-A3B", "precision": "w4a16", "num_gpus": "", "measured": "2026-04-20"},
    ],
)
def test_rows_that_no_calibration_has_seen(told: dict[str, str]) -> None:
    """New models, chips and spellings have answers."""
    row = answers([{**ROW, **told}]).rows[0]
    assert row["reason"] == ""
    assert 1 < float(row["tpot_low"]) < float(row["tpot_ms"]) < float(row["tpot_high"]) < 200
    assert float(row["tpot_ms"]) < float(row["ttft_ms"]) < 10_000


def test_nothing_to_answer() -> None:
    """No rows, or none that can be told."""
    assert answers([]) == ([], 0)
    assert answers([{}]).rows[0]["reason"] == "model_path is missing."


def test_a_thousand_rows_take_well_below_two_seconds() -> None:
    """Of many kinds."""
    rows = [{**ROW, "conc": str(n % 500 + 1), "osl": str(100 + n)} for n in range(1000)]
    began = time.perf_counter()
    assert answers(rows).answered == 1000
    assert time.perf_counter() - began < 1
