"""`tokenway plan predict`."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Run

HEADER = "note,model_path,system,precision,backend,mode,isl,osl,conc,num_gpus,tp_size"
ROWS = (
    '"a, b",openai/gpt-oss-120b,h200_sxm,fp4,vllm,agg,1024,1024,8,1,1',
    "c,acme/none,h200_sxm,fp4,vllm,agg,1024,1024,8,1,1",
    "d,deepseek-ai/DeepSeek-R1,gb300,fp8",
    "e,Qwen/Qwen3-32B,b300_sxm,bf16,sglang,agg,1024,1024,8,1,1,beyond",
)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Rows of all kinds: two with an answer, one of an unknown model, one that is too short."""
    path = tmp_path / "in.csv"
    path.write_text("\n".join((HEADER, *ROWS)) + "\n", encoding="utf-8-sig")
    return path


def _predict(tokenway: Run, table: Path, out: Path) -> list[dict[str, str]]:
    done = tokenway("plan", "predict", "--csv", str(table), "--out", str(out))
    assert (done.returncode, done.stdout) == (0, "")
    with out.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def test_rows_come_back_in_order(table: Path, tmp_path: Path, tokenway: Run) -> None:
    """With their own columns first, numbers or a reason."""
    rows = _predict(tokenway, table, tmp_path / "out.csv")
    assert [row["note"] for row in rows] == ["a, b", "c", "d", "e"]
    added = ["tpot_ms", "tpot_low", "tpot_high", "ttft_ms", "tokens_per_s_per_gpu", "reason"]
    assert list(rows[0]) == [*HEADER.split(","), *added]
    assert float(rows[0]["tpot_low"]) < float(rows[0]["tpot_ms"]) < float(rows[0]["tpot_high"])
    assert rows[0]["reason"] == rows[3]["reason"] == ""
    assert (rows[1]["tpot_ms"], rows[2]["reason"]) == ("", "isl is missing.")
    assert "There is no model 'acme/none'" in rows[1]["reason"]


def test_predictions_can_be_predicted_again(table: Path, tmp_path: Path, tokenway: Run) -> None:
    """What was there is replaced."""
    first = _predict(tokenway, table, tmp_path / "out.csv")
    assert _predict(tokenway, tmp_path / "out.csv", tmp_path / "again.csv") == first


def test_it_says_how_many_have_no_answer(table: Path, tmp_path: Path, tokenway: Run) -> None:
    """To standard error."""
    done = tokenway("plan", "predict", "--csv", str(table), "--out", str(tmp_path / "out.csv"))
    assert "has 2 predictions, and 2 rows with a reason." in done.stderr


def test_files_that_cannot_be_used(table: Path, tmp_path: Path, tokenway: Run) -> None:
    """Missing, no text, without names, or a place that cannot be written."""
    out = str(tmp_path / "out.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "empty.csv").write_text("")
    for name, said, status in (
        ("none.csv", "cannot be read", 2),
        ("binary.csv", "not UTF-8 text", 2),
        ("empty.csv", "no columns model_path", 1),
    ):
        done = tokenway("plan", "predict", "--csv", str(tmp_path / name), "--out", out)
        assert done.returncode == status
        assert said in done.stderr
    done = tokenway("plan", "predict", "--csv", str(table), "--out", str(tmp_path))
    assert (done.returncode, "cannot be written" in done.stderr) == (1, True)
