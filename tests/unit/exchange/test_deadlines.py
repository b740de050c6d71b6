"""Deadlines, of which the earliest is armed."""

from __future__ import annotations

from math import inf

from tokenway.exchange.deadlines import LANES, Deadline, Deadlines


def test_without_deadlines_nothing_is_armed() -> None:
    """What is not set never passes."""
    deadlines = Deadlines()
    assert deadlines.armed == inf
    assert deadlines.passed(1e12) == []


def test_an_earlier_deadline_moves_the_alarm() -> None:
    """A later one does not: waking too early is cheap."""
    deadlines = Deadlines()
    deadlines.set(Deadline.TOTAL, 100.0)
    deadlines.set(Deadline.CONNECT, 5.0)
    assert deadlines.armed == 5.0
    deadlines.set(Deadline.CONNECT, 8.0)
    deadlines.clear(Deadline.CONNECT)
    assert deadlines.armed == 5.0


def test_an_alarm_is_set_anew_when_it_has_rung() -> None:
    """Then it is the earliest of those that are set, or none."""
    deadlines = Deadlines()
    deadlines.set(Deadline.CONNECT, 5.0)
    deadlines.set(Deadline.TOTAL, 100.0)
    deadlines.clear(Deadline.CONNECT)
    deadlines.rearm()
    assert (deadlines.armed, deadlines.time_of(Deadline.TOTAL)) == (100.0, 100.0)
    deadlines.clear(Deadline.TOTAL)
    deadlines.rearm()
    assert deadlines.armed == inf


def test_the_total_passes_first() -> None:
    """Of several that have passed, the one that ends everything comes first, and what only helps comes last."""
    deadlines = Deadlines()
    for which in Deadline:
        for lane in range(LANES):
            deadlines.set(which, 5.0, lane if which >= Deadline.CONNECT else 0)
    assert deadlines.passed(4.999) == []
    passed = deadlines.passed(5.0)
    assert passed[:3] == [(Deadline.TOTAL, 0), (Deadline.CONNECT, 0), (Deadline.CONNECT, 1)]
    assert passed[-3:] == [(Deadline.RETRY, 0), (Deadline.HEDGE, 0), (Deadline.SLOW, 0)]
    assert len(passed) == len(set(passed)) == len(Deadline) - 5 + 5 * LANES


def test_an_attempts_deadlines_end_with_it() -> None:
    """Those of the exchange outlive an attempt, and so do those of the other lane."""
    deadlines = Deadlines()
    deadlines.set(Deadline.TOTAL, 5.0)
    for lane in range(LANES):
        for which in (Deadline.CONNECT, Deadline.FIRST_TOKEN, Deadline.BETWEEN_TOKENS, Deadline.ATTEMPT):
            deadlines.set(which, 5.0, lane)
    deadlines.clear_lane(0)
    assert {lane for which, lane in deadlines.passed(5.0) if which is not Deadline.TOTAL} == {1}
    deadlines.clear_lane(1)
    assert deadlines.passed(5.0) == [(Deadline.TOTAL, 0)]
