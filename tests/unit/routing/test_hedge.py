"""What may be spent on races."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tokenway.routing.hedge import FIRST, HedgeBudget


def test_a_share_of_the_calls() -> None:
    """One is free at the beginning; then three of a hundred calls."""
    budget = HedgeBudget()
    races = 0
    for _ in range(1000):
        budget.call(0.03)
        if budget.is_open:
            budget.race()
            races += 1
    assert races in {30, 31}


def test_a_share_of_what_is_spent() -> None:
    """A loser that cost more than the share closes the budget until as much was charged."""
    budget = HedgeBudget()
    budget.call(1.0)
    budget.charged(1000, 0.1)
    states = [budget.is_open]
    budget.lost(150)
    states.append(budget.is_open)
    budget.charged(500, 0.1)
    states.append(budget.is_open)
    assert states == [True, False, True]


@given(st.lists(st.booleans(), max_size=300), st.floats(0.0, 1.0))
def test_races_never_pass_the_share(calls: list[bool], share: float) -> None:
    """Whenever they are asked for."""
    budget = HedgeBudget()
    races = 0
    for number, wants in enumerate(calls, start=1):
        budget.call(share)
        if wants and budget.is_open:
            budget.race()
            races += 1
        assert races <= FIRST + share * number + 1e-9
