"""Answers, for people and for programs."""

from __future__ import annotations

import pytest

from tokenway.planner.report import Cell, Report, Source, show


@pytest.mark.parametrize(
    ("cell", "shown"),
    [(None, "–"), ("fp8", "fp8"), (1234567, "1,234,567"), (1234.6, "1,235"), (0.012345, "0.0123"), (4.567, "4.57")],
)
def test_cells(cell: Cell, shown: str) -> None:
    """Three digits that count, and commas in what is long."""
    assert show(cell) == shown


def test_yes_and_no() -> None:
    """A truth is a word."""
    assert (show(cell=True), show(cell=False)) == ("yes", "no")


def test_programs_get_inputs_figures_and_sources() -> None:
    """Beside the sentences."""
    report = Report(
        title="Demand",
        lines=("It doubles.",),
        inputs={"days": 90},
        sources=(Source("ledger", "2026-01-02", "own calls"),),
        figures={"doubling_days": 70.5},
    )
    assert report.data() == {
        "title": "Demand",
        "summary": ["It doubles."],
        "inputs": {"days": 90},
        "doubling_days": 70.5,
        "sources": [{"name": "ledger", "as_of": "2026-01-02", "origin": "own calls"}],
    }
