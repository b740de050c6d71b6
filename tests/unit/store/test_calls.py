"""What calls of one kind come to, before it is told to the tables."""

from __future__ import annotations

import pytest

from tokenway.model.usage import BUCKETS
from tokenway.store.calls import NO_TIMES, Calls, is_error, times_of
from tokenway.store.schema import INLINE_BUCKETS


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [(200, "", False), (400, "", True), (500, "x", True), (200, "upstream", True), (499, "x", False)],
)
def test_a_call_failed_by_its_status_or_at_its_end(status: int, error: str, expected: bool) -> None:
    """An answer that ended in an error failed too; a caller who left is no error."""
    assert is_error(status, error) is expected


def test_calls_are_added_up_and_the_latest_is_remembered() -> None:
    """In whatever order they come."""
    calls = Calls(())
    calls.add(20.0, 5, 1, (1, 2, 3, 4, 5))
    calls.add(10.0, 7, 0, (10, 20, 30, 40, 50))

    assert (calls.calls, calls.charged, calls.withheld, calls.last) == (2, 12, 1, 20.0)
    assert calls.times == (11, 22, 33, 44, 55)


def test_an_attempt_without_a_cost_has_tokens_all_the_same() -> None:
    """Each figure stands in the bucket that it was kept for."""
    calls = Calls(())
    figures = range(1, len(INLINE_BUCKETS) + 1)
    calls.add_attempt(None, figures)
    calls.add_attempt(9, figures)

    assert (calls.cost, calls.priced) == (9, 1)
    found = dict(zip(BUCKETS, calls.usage, strict=True))
    assert {name: found.pop(name) for name in INLINE_BUCKETS} == {
        name: 2 * figure for name, figure in zip(INLINE_BUCKETS, figures, strict=True)
    }
    assert set(found.values()) <= {0}


def test_times_are_whole_microseconds_and_what_was_not_measured_is_nothing() -> None:
    """The time of an output is what its speed says: the first token is none of it."""
    assert times_of(None, None, None, 0) == NO_TIMES
    assert times_of(0.25, 1.5, 50.0, 51) == (250_000, 1, 50, 1_000_000, 1_500_000)
