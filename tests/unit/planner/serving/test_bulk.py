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
