"""`tokenway.cli.output`: what a pipe and a person get."""

from __future__ import annotations

import json
import re

import pytest

from tokenway.cli.output import Column, money, number, print_json, print_table, wants_colour

COLUMNS = (Column("model"), Column("tokens", right=True))


def test_a_pipe_gets_tab_separated_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Titles and cells are separated by tabs, so cut and awk can read them."""
    print_table(COLUMNS, [["a model", "5"], ["b", "6"]], empty="None.")
    assert capsys.readouterr().out == "model\ttokens\na model\t5\nb\t6\n"


def test_a_terminal_gets_an_aligned_table(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Columns stand under their titles, numbers to the right, and brackets in names are just text."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")
    print_table(COLUMNS, [["[red]a", "5"], ["b", "1234567"]], empty="None.")
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines[0].endswith(" tokens")
    assert "[red]a" in lines[1]
    assert lines[1].endswith(" 5")
    assert len(lines[1]) == len(lines[2])


WIDE = (Column("id"), Column("at"), Column("limits", spare=True), Column("tokens", right=True))
ROW = ["key_8a6a056e0965c9aa", "2026-11-26T18:12:43Z", "60 requests a minute", "1234567"]


def on_terminal(
    rows: list[list[str]], width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """What a terminal so wide shows of a table."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    print_table(WIDE, rows, empty="None.")
    plain = re.sub(r"\x1b\[\d*m", "", capsys.readouterr().out)
    return [line.rstrip() for line in plain.splitlines()]


@pytest.mark.parametrize("width", range(20, 90))
def test_ids_and_figures_are_whole_at_any_width(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are there to be copied; words go below one another, and where no table fits, each row is a block."""
    lines = on_terminal([ROW, ROW], width, capsys, monkeypatch)
    if width >= 30:
        assert max(map(len, lines)) <= width
        assert sum(ROW[0] in line for line in lines) == sum("1234567" in line for line in lines) == 2
        assert sum("18:12:43Z" in line for line in lines) == 2
    assert {word for line in lines for word in line.split()} >= {"requests", "minute"}


def test_a_narrow_terminal_gets_blocks(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A title before each cell, without those that say nothing, and a blank line between rows."""
    lines = on_terminal([ROW, [ROW[0], "–", "", "5"]], 40, capsys, monkeypatch)
    assert lines == [
        "id      key_8a6a056e0965c9aa",
        "at      2026-11-26 18:12:43Z",
        "limits  60 requests a minute",
        "tokens  1234567",
        "",
        "id      key_8a6a056e0965c9aa",
        "tokens  5",
    ]


def test_a_spare_column_is_left_out_where_it_says_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal only; a pipe always has the same columns."""
    idle = [ROW[0], ROW[1], "–", "0"]
    assert "limits" not in on_terminal([idle], 120, capsys, monkeypatch)[0]
    assert "limits" in on_terminal([ROW, idle], 120, capsys, monkeypatch)[0]
    monkeypatch.setattr("sys.stdout.isatty", lambda: False)
    print_table(WIDE, [idle], empty="None.")
    assert capsys.readouterr().out.splitlines()[0] == "id\tat\tlimits\ttokens"


def test_no_rows_are_a_sentence_beside_the_data(capsys: pytest.CaptureFixture[str]) -> None:
    """An empty table leaves standard output empty and says so on standard error."""
    print_table(COLUMNS, [], empty="There is nothing.")
    assert capsys.readouterr() == ("", "There is nothing.\n")


def test_json_keeps_letters_readable(capsys: pytest.CaptureFixture[str]) -> None:
    """Output is valid JSON with letters as they are."""
    print_json({"name": "Zoë"})
    text = capsys.readouterr().out
    assert json.loads(text) == {"name": "Zoë"}
    assert "Zoë" in text


def test_unknown_figures_are_dashes_not_zeros() -> None:
    """What is not known is not shown as nothing spent."""
    assert (money(None), number(None)) == ("–", "–")
    assert (money(0), money(12_500), number(1.25, 2)) == ("$0", "$0.0000125", "1.25")
    assert (money(-12_500), money(-3_000_000_000)) == ("-$0.0000125", "-$3")


@pytest.mark.parametrize(
    ("terminal", "no_colour", "term", "wanted"),
    [(True, "", "xterm", True), (True, "1", "xterm", False), (True, "", "dumb", False), (False, "", "xterm", False)],
)
def test_colour_needs_a_terminal_that_wants_it(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, no_colour: str, term: str, wanted: bool
) -> None:
    """NO_COLOR, a dumb terminal or a pipe means no colour."""
    monkeypatch.setenv("NO_COLOR", no_colour)
    monkeypatch.setenv("TERM", term)
    assert wants_colour(stream_is_terminal=terminal) is wanted
