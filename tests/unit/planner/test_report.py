"""Answers, for people and for programs."""

from __future__ import annotations

import pytest

from tokenway.planner.report import Cell, Report, Source, amount, show


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


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *[
            (1.234e9, "1.23B"),
            (999.6, "1k"),
            (999.4, "999"),
            (7.891, "7.89"),
            (0.0, "0"),
            (3.2e15, "3.2Q"),
            (5e20, "500,000Q"),
        ],
        *[(9.9996e5, "1M"), (45_600.0, "45.6k")],
    ],
)
def test_amounts_have_three_digits(value: float, text: str) -> None:
    """And a letter for their size."""
    assert amount(value) == text
