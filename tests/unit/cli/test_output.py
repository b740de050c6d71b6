"""`tokenway.cli.output`: what a pipe and a person get."""

from __future__ import annotations

import json

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
