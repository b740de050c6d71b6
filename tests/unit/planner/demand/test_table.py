"""CSV files of demand: what is mended, and what is refused with its line."""

from __future__ import annotations

from datetime import date

import pytest

from tokenway.planner.demand.table import Row, filled, read_table
from tokenway.planner.errors import PlanError


def test_a_file() -> None:
    """Dates of several forms, models, counts; a byte order mark and letters of any size are no matter."""
    table = read_table("\ufeffDate, Tokens ,model,calls\n2026-01-01,1e3,a,4\n2026-01-01T05:00:00Z,500,b,2\n")

    assert table.rows[0] == Row(date(2026, 1, 1), 1000.0, "a", (None, None, 4.0))
    assert table.models == ["a", "b"]
    assert table.of("b").series().values.tolist() == [500.0]
    assert table.series().values.tolist() == [1500.0]
    assert table.counts() == {"calls": {date(2026, 1, 1): 6.0}, "tokens": {date(2026, 1, 1): 1500.0}}


@pytest.mark.parametrize(
    ("text", "day"),
    [("2026-03", date(2026, 3, 1)), ("2026Q3", date(2026, 7, 1)), ("2026-q4", date(2026, 10, 1))],
)
def test_months_and_quarters(text: str, day: date) -> None:
    """Count for their first day."""
    assert read_table(f"month,tokens\n{text},5\n").rows[0].day == day


@pytest.mark.parametrize("separator", [";", "\t"])
def test_semicolons_and_tabs(separator: str) -> None:
    """Are what spreadsheets write in many countries."""
    table = read_table(
        "\n".join(separator.join(row) for row in (("date", "tokens", "model"), ("2026-01-01", "5", "a,b")))
    )

    assert table.rows == (Row(date(2026, 1, 1), 5.0, "a,b"),)


def test_rows_in_any_order() -> None:
    """Are sorted, which is told."""
    table = read_table("date,tokens\n2026-01-02,2\n2026-01-01,1\n")

    assert [row.tokens for row in table.rows] == [1, 2]
    assert table.notes == ("Rows were not in the order of their dates and are sorted.",)


def test_rows_that_are_there_twice() -> None:
    """The same one counts once; others of its date are added."""
    table = read_table("date,tokens\n2026-01-01,1\n2026-01-01,1\n2026-01-01,5\n2026-01-02,2\n")

    assert table.series().values.tolist() == [6.0, 2.0]
    assert table.notes == (
        "1 row is there more than once and counted once.",
        "1 row has the date of another and are added up.",
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "The first line has to name the columns date,tokens"),
        ("when,amount\n2026-01-01,5\n", "The first line has to name the columns date,tokens"),
        ("date,tokens\n", "has no rows"),
        ("date,tokens\n2026-01-01,5\n2026-01-02,-3\n", "Line 3: tokens cannot be negative, and -3 is"),
        ("date,tokens\n2026-01-01,nan\n", "Line 2: 'nan' is no number of tokens"),
        ("date,tokens\n2026-01-01,inf\n", "Line 2: 'inf' is no number of tokens"),
        ("date,tokens\n2026-01-01,many\n", "Line 2: 'many' is no number of tokens"),
        ("date,tokens\n2026-01-01\n", "Line 2: '' is no number of tokens"),
        ("date,tokens\n31/01/2026,5\n", "Line 2: '31/01/2026' is no date"),
        ("date,tokens\n2026-02-30,5\n", "Line 2: '2026-02-30' is no date"),
        ('date,tokens\n2026-01-01,"5\n', "is no CSV"),
        ("date,tokens\n2026-01-01,5\n2026-01-02,1,250,000\n", "Line 3 has more columns than the first line"),
        ("day,toks\n2026-01-01,5\n", "and is 'day,toks'"),
        ("date,tokens\n0001-01-01,5\n", "Line 2: '0001-01-01' is no date"),
        ("date,tokens\n9999Q4,5\n", "Line 2: '9999Q4' is no date"),
    ],
)
def test_what_is_refused(text: str, reason: str) -> None:
    """With the line that it is in."""
    with pytest.raises(PlanError, match=reason):
        read_table(text)


def test_counts_have_to_be_told_by_all_rows() -> None:
    """Else their sums would not be those of the tokens."""
    assert read_table("date,tokens,users\n2026-01-01,5,1\n2026-01-02,5,\n").counts() == {}


def test_days_of_a_ledger_are_filled() -> None:
    """What it does not have was not used."""
    points = filled({date(2026, 1, 1): 5.0, date(2026, 1, 3): 6.0}, date(2026, 1, 4))

    assert list(points.values()) == [5.0, 0.0, 6.0, 0.0]
    assert filled({}, date(2026, 1, 4)) == {}
