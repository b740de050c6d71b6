"""Rows of measurements as deployments and loads."""

from __future__ import annotations

import datetime as dt

import pytest

from tokenway.planner.errors import PlanError
from tokenway.planner.serving.deployment import Pool
from tokenway.planner.serving.points import asked, points, points_in

ROW = {
    "model_path": "deepseek-ai/DeepSeek-R1-0528",
    "system": "b200_sxm",
    "precision": "fp4",
    "backend": "trtllm",
    "mode": "agg",
    "isl": "8192",
    "osl": "1024",
    "conc": "64.0",
    "num_gpus": "8.0",
    "tp_size": "8.0",
    "moe_ep_size": "8.0",
}


def test_a_row() -> None:
    """Lengths are nine tenths of what they are called."""
    deployment, load = asked(ROW)
    assert deployment.shape.title == "DeepSeek V3 and R1"
    assert deployment.numbers.weights.name == "nvfp4"
    assert deployment.pool == Pool(tp=8, ep=8)
    assert (load.input, load.output, load.concurrency) == pytest.approx((7372.8, 921.6, 64))


@pytest.mark.parametrize(
    ("told", "pool"),
    [
        ({"num_gpus": "8", "tp_size": "1", "attention_dp_size": "8", "moe_ep_size": "8"}, Pool(dp=8, ep=8)),
        ({"num_gpus": "8", "tp_size": "8", "attention_dp_size": "8", "moe_ep_size": "8"}, Pool(dp=8, ep=8)),
        ({"num_gpus": "8", "tp_size": "1", "moe_ep_size": ""}, Pool(dp=8, ep=8)),
        ({"num_gpus": "", "tp_size": "4", "moe_ep_size": "1"}, Pool(tp=4)),
        ({"num_gpus": "4", "tp_size": "", "moe_ep_size": ""}, Pool(tp=4)),
        ({"num_gpus": "4", "tp_size": "8", "moe_ep_size": "8"}, Pool(tp=4, ep=4)),
        ({"num_gpus": "", "tp_size": "", "attention_dp_size": "8"}, Pool(dp=8, ep=8)),
        ({"num_gpus": "nan", "tp_size": "4.0", "moe_ep_size": "16"}, Pool(tp=4, ep=4)),
        ({"num_gpus": "8", "tp_size": "0", "moe_ep_size": "None"}, Pool(tp=8)),
    ],
)
def test_layouts_of_one_pool(told: dict[str, str], pool: Pool) -> None:
    """What is not told follows from the rest."""
    assert asked({**ROW, **told})[0].pool == pool


def test_pools_apart() -> None:
    """GPUs of each, and their workers."""
    row = {
        **ROW,
        "mode": "disagg",
        "num_gpus": "48",
        "prefill_gpus": "16",
        "decode_gpus": "32",
        "decode_num_workers": "1",
        "decode_tp_size": "1",
        "decode_moe_ep_size": "32",
        "prefill_num_workers": "4",
        "prefill_tp_size": "4",
    }
    deployment, _ = asked(row)
    assert deployment.pool == Pool(dp=32, ep=32)
    assert deployment.prefill == Pool(workers=4, tp=4)
    assert asked({**row, "decode_gpus": ""})[0].pool.gpus == 32
    with pytest.raises(PlanError, match="decode_gpus"):
        asked({**row, "prefill_gpus": "", "decode_gpus": ""})


def test_pools_apart_that_tell_no_layout() -> None:
    """Up to eight chips share attention where the row says 1 for all; more of them have it apart."""
    row = {**ROW, "mode": "disagg", "prefill_gpus": "8", "decode_tp_size": "1", "decode_moe_ep_size": "1"}
    assert asked({**row, "decode_gpus": "8", "decode_num_workers": "2"})[0].pool == Pool(workers=2, tp=4)
    assert asked({**row, "decode_gpus": "32", "decode_num_workers": "1"})[0].pool == Pool(dp=32, ep=32)
    assert asked({**row, "decode_gpus": "8", "decode_moe_ep_size": "8"})[0].pool == Pool(dp=8, ep=8)


def test_pools_are_apart_where_some_prefill_and_no_mode_is_told() -> None:
    """Else the mode says so."""
    row = {**ROW, "prefill_gpus": "8", "decode_gpus": "8"}
    assert asked(row)[0].prefill is None
    assert asked({**row, "mode": ""})[0].prefill == Pool(tp=8)
    assert asked({**ROW, "mode": "", "prefill_gpus": "0.0"})[0].prefill is None


def test_what_is_unknown_is_told() -> None:
    """With the nearest names, or which column is wrong."""
    for told, said in (
        ({"model_path": "acme/llama-3-71b"}, "did you mean .*llama-3-70b"),
        ({"system": "h300"}, "There is no GPU 'h300'"),
        ({"precision": "fp5"}, "did you mean"),
        ({"isl": ""}, "isl is missing"),
        ({"osl": "-1"}, "osl has to be a number above 0"),
        ({"conc": "many"}, "not 'many'"),
        ({"conc": "nan"}, "conc is missing"),
        ({"conc": "inf"}, "conc has to be"),
        ({"num_gpus": "1.5"}, "num_gpus has to be a whole number"),
        ({"num_gpus": "inf"}, "num_gpus has to be a whole number"),
        ({"tp_size": "two"}, "tp_size has to be a whole number, not 'two'"),
        ({"tp_size": "3"}, "do not come out even on 6 GPUs"),
        ({"num_gpus": "", "tp_size": ""}, "How many GPUs there are is missing"),
    ):
        with pytest.raises(PlanError, match=said):
            asked({**ROW, **told})


def test_how_new_an_engine_is() -> None:
    """By the day of the measurement, else by its version, else not told."""
    assert asked({**ROW, "measured": "2026-01-14"})[0].released == dt.date(2026, 1, 14)
    assert asked({**ROW, "backend_version": "1.0.0rc3"})[0].released == dt.date(2025, 7, 15)
    assert asked({**ROW, "backend_version": "9.9"})[0].released is None


def test_those_that_are_shipped() -> None:
    """All of them, with times."""
    found = points()
    assert len(found) == 1650
    assert all(0.001 < point.tpot < 1 for point in found)
    assert len({point.group for point in found}) == 47


def test_a_file_with_a_row_that_cannot_be_told() -> None:
    """Says which column."""
    with pytest.raises(PlanError, match="tpot_ms is missing"):
        points_in(",".join(ROW) + ",tpot_ms\n" + ",".join(ROW.values()) + ",\n")
