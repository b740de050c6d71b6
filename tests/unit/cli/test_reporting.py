"""The planner's answers on standard output, and what they rest on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tokenway.cli.errors import BadUsage, CommandError
from tokenway.cli.output import Column
from tokenway.cli.reporting import check_picture, planning, present, print_report, write_picture
from tokenway.planner.plots import canvas
from tokenway.planner.report import Report, Source, Table

REPORT = Report(
    title="A fleet",
    lines=("Eight will do.",),
    tables=(Table("By month", ("month", "GPUs"), (("2026-01", 8), ("2026-02", None))),),
    inputs={"model": "llama-3-8b"},
    sources=(Source("prices", "2026-01", "a list"),),
    figures={"gpus": 8},
)


def test_people_get_sentences_and_tables(capsys: pytest.CaptureFixture[str]) -> None:
    """Inputs and sources stand below them, so that a file that is kept has what the answer rests on."""
    print_report(REPORT, as_json=False)
    out, err = capsys.readouterr()
    answer = "A fleet\nEight will do.\n\nBy month\nmonth\tGPUs\n2026-01\t8\n2026-02\t–\n"
    assert (out, err) == (f"{answer}\nmodel: llama-3-8b\nprices (2026-01): a list\n", "")


def test_quantities_stand_to_the_right(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those that are texts for their letter or sign; dates, names and intervals do not."""
    seen: list[Column] = []
    monkeypatch.setattr("tokenway.cli.reporting.print_table", lambda columns, *_, **__: seen.extend(columns))
    titles = ("month", "GPU", "median", "rate", "times", "interval", "USD")
    row = ("2026-05", "H100 SXM", "57.3T", "+4.5%", "1.20x", "+1.0% to +9.0%", None)
    table = Table("t", titles, (row, (*row[:-1], 1234)))
    print_report(Report(title="A fleet", tables=(table,)), as_json=False)
    assert [column.title for column in seen if column.right] == ["median", "rate", "times", "USD"]


def test_programs_get_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    """With the figures as numbers."""
    print_report(REPORT, as_json=True)
    assert json.loads(capsys.readouterr().out)["gpus"] == 8


def test_a_missing_package_is_advice() -> None:
    """What to install is said instead of a traceback."""
    with (
        pytest.raises(CommandError, match=r"package no_such; install it with: pip install 'tokenway\[plan\]'"),
        planning(),
    ):
        raise ModuleNotFoundError(name="no_such")


def test_a_picture_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Which is said beside the answer; where it cannot be, that is. A page has the report's sentences."""
    page = tmp_path / "a.html"
    present(REPORT, as_json=True, plot=page, draw=lambda: canvas()[0])
    assert "<p>Eight will do.</p>" in page.read_text()
    assert capsys.readouterr().err == f"{page} is written.\n"
    with pytest.raises(CommandError, match="cannot be written"):
        write_picture(tmp_path / "no" / "a.png", canvas()[0], REPORT)


def test_a_picture_of_no_kind_is_refused_before_anything_is_computed() -> None:
    """No name is no picture."""
    check_picture(None)
    with pytest.raises(BadUsage, match=r"--plot 'a\.pdf' has to end in one of \.png, \.svg, \.html"):
        check_picture(Path("a.pdf"))
