"""A claim as a report."""

from __future__ import annotations

import json

from tokenway.planner.claims import CLAIMS
from tokenway.planner.regimes import claim_report

CLAIM = CLAIMS["blackwell-30x"]


def test_a_table_and_never_a_single_number() -> None:
    """The range with its regimes, a table for each baseline, and the factors."""
    report = claim_report(CLAIM, "owned")
    assert report.lines[0].startswith("There is no single number: per GPU it is from ")
    assert " of " in report.lines[2]
    assert "a ratio right to a factor of 1." in report.lines[3]
    assert report.inputs["engine"] == "trtllm"
    tables = {table.title.split(":")[0] for table in report.tables}
    assert {"Against H100 SXM in fp8", "Against H200 SXM in fp8", "Against B200 HGX in nvfp4"} <= tables
    factors = [table for table in report.tables if table.title.startswith("What brings it")]
    assert len(factors) == 2
    assert json.dumps(report.data(), allow_nan=False)
    assert any(source.name == "claim" for source in report.sources)


def test_a_model_of_ones_own_choice() -> None:
    """Only its rows are told, and its factors."""
    report = claim_report(CLAIM, "owned", ["llama-3-8b"])
    assert {row[0] for table in report.tables[:-1] for row in table.rows} == {"Llama 3.1 8B"}
    assert "Llama 3.1 8B" in report.tables[-1].title
