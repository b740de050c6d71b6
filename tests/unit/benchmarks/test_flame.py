"""The table of the profile."""

from __future__ import annotations

from benchmarks.flame import top


def test_own_time_and_time_below_are_told_apart() -> None:
    """A caller has all samples of what it calls, but only its own count as its own, and recursion counts once."""
    lines = top("main;relay 3\nmain;relay;relay;parse 1\nmain 1\n").splitlines()
    assert lines[0] == "5 samples"
    assert lines[2:] == ["60.0% 80.0%  relay", "20.0% 20.0%  parse", "20.0% 100.0%  main"]


def test_lines_of_a_function_are_joined_unless_asked_for() -> None:
    """Two lines of one function are one row by default and two with `is_by_line`."""
    raw = "main (a.py:1);relay (a.py:7) 3\nmain (a.py:2);relay (a.py:9) 1\n"
    assert top(raw).splitlines()[2:] == ["100.0% 100.0%  relay (a.py)"]
    assert len(top(raw, is_by_line=True).splitlines()) == 4
