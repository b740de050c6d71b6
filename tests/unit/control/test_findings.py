"""Findings and how they read."""

from __future__ import annotations

import pytest

from tokenway.control.findings import Finding, Severity, has_errors, nearest


@pytest.mark.parametrize(
    ("finding", "text"),
    [
        (Finding("a.yaml", 3, "server.prt", "no", ("port",)), "a.yaml:3: error: server.prt: no (did you mean 'port'?)"),
        (Finding("--port", 0, "", "no", (), Severity.WARNING), "--port: warning: no"),
        (
            Finding("a.yaml", 1, "x", "no", ("a", "b"), Severity.NOTE),
            "a.yaml:1: note: x: no (did you mean 'a' or 'b'?)",
        ),
    ],
)
def test_a_finding_is_one_line(finding: Finding, text: str) -> None:
    """Place, severity, setting, reason, and what was probably meant."""
    assert str(finding) == text


def test_nearest_ignores_case_and_keeps_the_spelling() -> None:
    """A suggestion is a valid name as it is written, and nothing is suggested for something else altogether."""
    assert nearest("gpt-4O", ["GPT-4o", "claude"]) == ("GPT-4o",)
    assert nearest("zzz", ["port", "host"]) == ()


def test_only_errors_keep_a_configuration_from_use() -> None:
    """Warnings and notes do not."""
    mild = [Finding("f", 1, "", "r", (), severity) for severity in (Severity.WARNING, Severity.NOTE)]
    assert not has_errors(mild)
    assert has_errors([*mild, Finding("f", 1, "", "r")])
