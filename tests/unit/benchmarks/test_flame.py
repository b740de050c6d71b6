"""The table of the profile."""

from __future__ import annotations

from benchmarks.flame import top


def test_own_time_and_time_below_are_told_apart() -> None:
    """A caller has all samples of what it calls, but only its own count as its own, and recursion counts once."""
    lines = top("main;relay 3\nmain;relay;relay;parse 1\nmain 1\n").splitlines()
    assert lines[0] == "5 samples"
    assert lines[2:] == ["60.0% 80.0%  relay", "20.0% 20.0%  parse", "20.0% 100.0%  main"]
