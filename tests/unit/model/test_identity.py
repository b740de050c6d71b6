"""The ids of exchanges: their day can be read from them, and they sort by it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenway.model.identity import day_in, day_of, ids_of_day

DAYS = st.integers(0, 0xFFFF)


@given(DAYS, DAYS, st.text("0123456789abcdef", min_size=1))
def test_ids_sort_by_their_days(one: int, other: int, rest: str) -> None:
    """Whatever stands behind the day; and it is found again."""
    assert day_in(ids_of_day(one) + rest) == one
    assert (ids_of_day(one) + rest < ids_of_day(other) + "0") == (one < other) or one == other


def test_days_begin_at_midnight_in_utc() -> None:
    """The first one in 1970; what lies outside the count is put at its ends."""
    assert [day_of(at) for at in (0.0, 86_399.9, 86_400.0, 1_767_268_800.0)] == [0, 0, 1, 20454]
    assert ids_of_day(20454) == "gen-4fe6-"
    assert (ids_of_day(-1), ids_of_day(70_000)) == ("gen-0000-", "gen-ffff-")


@pytest.mark.parametrize(
    "identity", ["", "gen-", "gen-000001", "gen-4fe6", "gen-4FE6-0", "gen-69565f80-00", "probe-20454-1", "gen- 4f-0-"]
)
def test_ids_of_another_form_have_no_day(identity: str) -> None:
    """Those that a caller invents, and those of older versions."""
    assert day_in(identity) is None
