"""What is told a line at a time."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tokenway.compose.terminal import complain, is_terminal, say


def test_complaints_say_who_makes_them(capsys: pytest.CaptureFixture[str]) -> None:
    """On standard error, and what is said on standard output."""
    complain("it is late")
    say("good morning")
    assert capsys.readouterr() == ("good morning\n", "tokenway: it is late\n")


def test_a_reader_that_has_gone_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be written goes nowhere from then on."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        for _ in range(2):
            say("anything")
        assert os.fstat(stream.fileno()).st_rdev == Path(os.devnull).stat().st_rdev


def test_a_pipe_is_no_terminal() -> None:
    """Whatever the tests write to."""
    assert is_terminal() == os.isatty(1)
