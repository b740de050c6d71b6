"""Windows: quantiles of the last minutes, and how often an endpoint failed."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenway.model.probe import asked_as
from tokenway.model.sample import Outcome, Sample
from tokenway.routing.window import LONG_SLOTS, SLOTS, Window, bin_of, quantile

NOW = 1_800_000_000.0


def stream(at: float, ttft: float = 0.5, speed: float = 40.0, **more: object) -> Sample:
    """A stream of a hundred and one tokens."""
    return Sample("p/m", "m", at, Outcome.ANSWERED, 3.0, ttft, 100 / speed, tokens=101, **more)  # type: ignore[arg-type]


def test_quantiles_are_right_to_three_per_cent() -> None:
    """Over four decades, against the sorted values themselves."""
    rng = Random(7)
    values = sorted(rng.lognormvariate(0, 2) for _ in range(5000))
    counts: dict[int, float] = {}
    for value in values:
        counts[bin_of(value)] = counts.get(bin_of(value), 0.0) + 1.0
    for share in (0.01, 0.5, 0.75, 0.9, 0.99):
        assert quantile(counts, share) == pytest.approx(values[int(share * len(values))], rel=0.04)
    assert quantile({}, 0.5) is None


def test_a_good_quantile_of_speed_is_a_low_speed() -> None:
    """Nine of ten reach `p90` or better: for a time that is the longer one, for a speed the slower one."""
    window = Window()
    for number in range(100):
        window.take(stream(NOW, ttft=0.1 + number / 100, speed=10.0 + number))
    assert window.ttft(NOW, 5, 0.9) == pytest.approx(1.0, rel=0.05)
    assert window.speed(NOW, 5, 0.9) == pytest.approx(20.0, rel=0.06)
    assert window.speed(NOW, 5, 0.5) == pytest.approx(60.0, rel=0.05)


def test_windows_forget() -> None:
    """What is older than the window is not in it, and is not kept for long."""
    window = Window()
    window.take(stream(NOW - 20 * 60, ttft=9.0))
    window.take(stream(NOW, ttft=0.5))
    assert window.ttft(NOW, 5, 0.99) == pytest.approx(0.5, rel=0.03)
    assert window.ttft(NOW, 30, 0.99) == pytest.approx(9.0, rel=0.03)
    assert window.ttft(NOW + 3600, 30, 0.5) is None


def test_memory_is_bounded() -> None:
    """A week of one request a minute leaves half an hour of slots, and a day of long ones."""
    window = Window()
    for minute in range(7 * 1440):
        window.take(stream(NOW + 60.0 * minute))
    assert len(window._slots) <= SLOTS
    assert len(window._days) <= LONG_SLOTS


def test_uptime_counts_answers_and_failures_only() -> None:
    """Turned away for too much, and given up by a caller, say nothing about whether it is up."""
    window = Window()
    for outcome, count in ((Outcome.ANSWERED, 8), (Outcome.FAILED, 2), (Outcome.LIMITED, 5), (Outcome.LEFT, 5)):
        window.take(Sample("p/m", "m", NOW, outcome, weight=count))
    assert window.uptime(NOW, 5) == pytest.approx(80.0)
    assert window.uptime(NOW, 1440) == pytest.approx(80.0)
    assert window.limited(NOW, 5) == pytest.approx(5 / 15)
    assert Window().uptime(NOW, 5) is None
    assert Window().limited(NOW, 5) is None


def test_a_day_of_uptime_reaches_back_a_day() -> None:
    """An hour of failures twenty hours ago counts for the day and not for the half hour; two days ago it does not."""
    window = Window()
    window.take(Sample("p/m", "m", NOW - 20 * 3600, Outcome.FAILED))
    window.take(stream(NOW))
    assert window.uptime(NOW, 30) == pytest.approx(100.0)
    assert window.uptime(NOW, 1440) == pytest.approx(50.0)
    assert window.uptime(NOW + 86400, 1440) == pytest.approx(100.0)


def test_gaps_are_told_by_the_power_of_two_above_them() -> None:
    """Nine of ten below 16 ms, one below 1024 ms."""
    window = Window()
    window.take(stream(NOW, gaps=(0, 0, 0, 0, 90, 0, 0, 0, 0, 0, 10)))
    assert window.gap(NOW, 5, 0.5) == pytest.approx(0.016)
    assert window.gap(NOW, 5, 0.99) == pytest.approx(1.024)
    assert Window().gap(NOW, 5, 0.5) is None


def test_what_is_beyond_all_reason_is_counted_all_the_same() -> None:
    """A span of almost nothing gives an endless speed."""
    window = Window()
    window.take(Sample("p/m", "m", NOW, Outcome.ANSWERED, 1.0, 1e-300, 1e-310, tokens=10**7))
    assert window.speed(NOW, 5, 0.5) == pytest.approx(1e9, rel=0.04)
    assert window.ttft(NOW, 5, 0.5) == pytest.approx(1e-6, rel=0.04)


@given(
    st.lists(
        st.tuples(
            st.integers(-40 * 60, 40 * 60), st.sampled_from([0.25, 1.0, 4.0]), st.sampled_from(Outcome), st.booleans()
        ),
        max_size=40,
    )
)
def test_what_is_kept_between_questions_says_what_the_slots_say(steps: list[tuple[int, float, Outcome, bool]]) -> None:
    """Whatever order samples and questions come in, and however their times jump."""
    window = Window()
    for number, (after, weight, outcome, is_asked) in enumerate(steps):
        now = NOW + after
        gaps = (0, number)
        window.take(
            Sample("p/m", "m", now, outcome, 3.0, 0.1 + number, 1.0, weight=weight, tokens=9 + number, gaps=gaps)
        )
        fresh = Window()
        fresh._slots = window._slots
        for minutes in (5, 30) if is_asked else ():
            for at in (now, now + 60.0, NOW):
                assert window.ended(at, minutes) == fresh.ended(at, minutes)
                for share in (0.0, 0.5, 0.9, 1.0):
                    assert window.ttft(at, minutes, share) == fresh.ttft(at, minutes, share)
                    assert window.speed(at, minutes, share) == fresh.speed(at, minutes, share)
                    assert window.gap(at, minutes, share) == fresh.gap(at, minutes, share)
                fresh._sums.clear()


def test_ends_are_counted() -> None:
    """Answered, failed, turned away; what was given up is none of them, and a weight counts as so many."""
    window = Window()
    for outcome, weight in zip(Outcome, (5.0, 3.0, 2.0, 7.0), strict=True):
        window.take(Sample("p/m", "m", NOW, outcome, 1.0, weight=weight))
    window.take(stream(NOW - 20 * 60))
    assert window.ended(NOW, 5) == (5, 2, 3)
    assert window.ended(NOW, 30) == (6, 2, 3)
    assert Window().ended(NOW, 30) == (0, 0, 0)


def test_probes_are_counted_apart() -> None:
    """They are among those that were answered or not, and their times are as good as others'."""
    window = Window()
    window.take(stream(NOW))
    for outcome in Outcome:
        window.take(Sample("p/m", asked_as("m"), NOW, outcome, 1.0, 0.25, weight=2.0))
    assert window.ended(NOW, 30) == (3.0, 2.0, 2.0)
    assert window.probes(NOW, 30) == 6.0
    assert window.probes(NOW + 3600, 30) == 0.0
    assert window.ttft(NOW, 30, 0.1) == pytest.approx(0.25, rel=0.05)
