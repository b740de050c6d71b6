"""Medians, ratios and tables of the benchmark report."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks import report
from benchmarks.runner import Figures

MACHINE = dict.fromkeys(("date", "processor", "cores", "memory_gib", "kernel", "python", "load_average"), "?")


def result(samples: dict[str, list[Figures]]) -> report.Result:
    """A result with these samples and nothing else of interest."""
    return report.Result(MACHINE, {"nginx": "1.0"}, {"rounds": 2, "seconds": 1.0}, samples, ["traefik: left out"])


def test_median_is_over_the_visits_that_have_the_figure() -> None:
    """A visit that lacks a figure neither counts as zero nor hides the others."""
    found = result({"nginx": [{"plain.cpu_us": 30.0}, {}, {"plain.cpu_us": 50.0}]})
    assert found.median("nginx", "plain.cpu_us") == 40.0
    assert found.median("nginx", "plain.rps") is None
    assert found.median("envoy", "plain.cpu_us") is None


def test_ratio_is_against_nginx_and_never_for_the_upstream() -> None:
    """A subject twice as dear as nginx reads 2.00×; nginx and the upstream alone have no ratio."""
    found = result(
        {name: [{"plain.cpu_us": cpu}] for name, cpu in (("direct", 10.0), ("nginx", 30.0), ("tokenway", 60.0))}
    )
    rows = report.table(found, report.PLAIN, ["direct", "nginx", "tokenway"]).splitlines()[2:]
    assert [("×" in row) for row in rows] == [False, False, True]
    assert "60 **2.00×**" in rows[2]


def test_spread_shows_the_lowest_and_the_highest_round() -> None:
    """Two rounds of 20 and 40 read as their median and both ends."""
    found = result({"nginx": [{"plain.cpu_us": 40.0}, {"plain.cpu_us": 20.0}]})
    assert "30 (20-40)" in report.table(found, report.PLAIN, ["nginx"])


def test_report_holds_what_failed_and_what_was_left_out() -> None:
    """Failures are summed over all phases and notes are listed, so that no gap goes unseen."""
    text = report.markdown(result({"nginx": [{"plain.failed": 2.0, "half.failed": 1.0}]}))
    assert "3 answers failed" in text
    assert "* traefik: left out" in text
    assert "(not measured)" in text


def test_translation_is_told_beside_one_dialect() -> None:
    """As a ratio of the same run; without either of them nothing is told."""
    both = result(
        {"tokenway": [{"stream.cpu_us": 400.0, "translated.cpu_us": 600.0}], "nginx": [{"stream.cpu_us": 1.0}]}
    )
    assert "interleaved 600 µs, 1.50 times the 400 µs of one dialect." in report.translated(both, "tokenway")
    assert "1.50 times" in report.markdown(both)
    assert report.translated(both, "nginx") == ""


def test_result_is_json_with_medians_beside_the_samples() -> None:
    """What is written to a file can be read back and holds each figure's median."""
    found = json.loads(json.dumps(result({"nginx": [{"plain.rps": 1.0}, {"plain.rps": 3.0}]}).as_json()))
    assert found["medians"] == {"nginx": {"plain.rps": 2.0}}
    assert found["samples"]["nginx"] == [{"plain.rps": 1.0}, {"plain.rps": 3.0}]


def test_readme_keeps_what_stands_around_the_results(tmp_path: Path) -> None:
    """Writing the newest result twice changes nothing but the part between the marks."""
    readme = tmp_path / "README.md"
    readme.write_text(f"above\n{report.MARK_BEGIN}\nold\n{report.MARK_END}\nbelow\n")
    for _ in range(2):
        report.write_readme(readme, "new\n")
    assert readme.read_text() == f"above\n{report.MARK_BEGIN}\n\nnew\n\n{report.MARK_END}\nbelow\n"
