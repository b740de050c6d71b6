"""A lease holds what it was granted, in every order of what can happen to it."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tokenway.metering.lease import IDLE_SECONDS, Back, Lease, Stretch

DAY = 86_400.0


def lease(granted: int = 100, period: int = 0, begins: float = 0.0, ends: float = 0.0) -> Lease:
    """One that was granted so much."""
    made = Lease()
    made.take(period, begins, ends, granted)
    return made


def sums(made: Lease) -> tuple[int, int, int]:
    """What was granted, is left, and is held."""
    return made.granted, made.left, made.held


def test_what_is_drawn_is_held_and_what_was_not_used_comes_back() -> None:
    """Sixty are held while the call runs; of them only what it took is gone."""
    made = lease()
    made.draw(60, 1.0)
    assert sums(made) == (100, 40, 60)
    assert made.close(60, made.stretch, 25) is None
    assert sums(made) == (100, 75, 0)


@pytest.mark.parametrize(
    ("left", "amount", "holds"), [(10, 10, True), (10, 11, False), (1, 0, True), (0, 0, False), (0, 1, False)]
)
def test_nothing_left_holds_not_even_what_is_free(left: int, amount: int, holds: bool) -> None:
    """A budget that is used up ends all calls; the whole rest may be drawn."""
    assert lease(left).holds(amount, 1.0) is holds


def test_a_lease_that_was_never_granted_holds_nothing() -> None:
    """At no time."""
    made = Lease()
    assert not made.holds(0, 0.0)
    assert made.lacks(7, 0.0) == 7


@pytest.mark.parametrize(("now", "holds"), [(DAY - 1, False), (DAY, True), (2 * DAY - 1, True), (2 * DAY, False)])
def test_a_period_begins_and_ends(now: float, holds: bool) -> None:
    """What was granted for it is drawn in it; a clock that steps back before it, or out of it, has to ask."""
    made = lease(10, 1, DAY, 2 * DAY)
    assert made.holds(10, now) is holds
    assert made.lacks(10, now) == (0 if holds else 10)


def test_what_was_overdrawn_is_lacking() -> None:
    """A call that took more than it had drawn leaves less than nothing, which the next grant pays first."""
    made = lease(10)
    made.draw(10, 0.0)
    made.close(10, made.stretch, 15)
    assert sums(made) == (10, -5, 0)
    assert made.lacks(3, 1.0) == 8
    made.take(0, 0.0, 0.0, 8)
    assert made.holds(3, 1.0)


def test_a_new_period_begins_with_what_is_granted_and_the_rest_goes_back() -> None:
    """What calls of the old one did not use goes back there, and not into the new one."""
    made = lease(10, 1, DAY, 2 * DAY)
    made.draw(4, 0.0)
    first = made.stretch
    assert made.take(2, 2 * DAY, 3 * DAY, 8) == Back(1, 6)
    assert sums(made) == (8, 8, 0)
    assert made.close(4, first, 1) == Back(1, 3)
    assert sums(made) == (8, 8, 0)
    assert made.close(4, first, 4) is None


def test_a_period_without_an_end_lasts() -> None:
    """As that of a total."""
    assert lease().ends == inf


def test_more_is_asked_for_below_half_a_chunk() -> None:
    """Not when nothing was granted last, and asking is vain."""
    made = lease(10)
    found = []
    for amount in (5, 1):
        made.draw(amount, 0.0)
        found.append(made.is_low)
    made.take(0, 0.0, 0.0, 0)
    assert [*found, made.is_low] == [False, True, False]


def test_surplus_goes_back_beyond_four_times_what_is_needed() -> None:
    """Of a call that set much aside and took little, twice as much is kept as the next one may need."""
    made = lease(1)
    made.chunk = 0
    made.take(0, 0.0, 0.0, 1)
    made.left = made.granted = 40
    made.usual = 10
    assert made.surplus == 0
    made.left = made.granted = 41
    assert made.surplus == 21


def test_it_is_idle_when_nobody_has_drawn_for_long() -> None:
    """By the clock that does not step."""
    made = lease()
    made.draw(1, 100.0)
    assert not made.is_idle(100.0 + IDLE_SECONDS - 0.1)
    assert made.is_idle(100.0 + IDLE_SECONDS)


def test_no_more_goes_back_than_is_left() -> None:
    """And what goes back is not asked for ahead again."""
    made = lease()
    made.draw(60, 0.0)
    with pytest.raises(ValueError, match="41"):
        made.give_back(41)
    assert made.give_back() == Back(0, 40)
    assert sums(made) == (60, 0, 60)
    assert (made.give_back(), made.is_low) == (None, False)


def test_no_more_is_drawn_than_is_left() -> None:
    """Who did not ask first has a mistake."""
    with pytest.raises(ValueError, match="101"):
        lease().draw(101, 0.0)


def test_a_share_of_its_own_is_taken_once_and_let_go_of() -> None:
    """Twice in one minute is one share; when somebody answers, what calls have of it has to be granted."""
    made = Lease()
    made.own(7, 420.0, 480.0, 10)
    made.own(7, 420.0, 480.0, 10)
    assert sums(made) == (10, 10, 0)
    made.draw(4, 0.0)
    assert made.take(7, 420.0, 480.0, 5) is None
    assert sums(made) == (5, 1, 4)
    made.own(7, 420.0, 480.0, 10)
    assert sums(made) == (10, 6, 4)
    assert made.give_back() == Back(7, 1)
    assert (made.owned, made.left) == (0, 0)


def test_a_share_of_its_own_ends_with_its_minute() -> None:
    """Nothing of it goes back: nobody gave it."""
    made = Lease()
    made.own(7, 420.0, 480.0, 10)
    assert made.own(8, 480.0, 540.0, 10) is None
    assert sums(made) == (10, 10, 0)


def test_what_was_forgotten_has_to_be_granted_again() -> None:
    """Two places are taken: the next call needs three of whoever knows nothing of them."""
    made = lease(5)
    made.draw(1, 0.0)
    made.draw(1, 0.0)
    made.forgotten()
    assert sums(made) == (0, -2, 2)
    assert made.lacks(1, 1.0) == 3
    made.close(1, made.stretch, 0)
    assert made.lacks(1, 1.0) == 2


class LeaseMachine(RuleBasedStateMachine):
    """A lease beside the plainest bookkeeping of it: for each period what came, what is out, and what was taken."""

    def __init__(self) -> None:
        super().__init__()
        self.lease = Lease()
        self.now = 0.5
        self.open: list[tuple[int, Stretch]] = []
        self.came: dict[int, int] = {}
        """Granted by others, less what went back, by period."""
        self.gone: dict[int, int] = {}
        """Taken by calls that are over."""
        self.shares: dict[int, int] = {}
        """The most that it could have taken by itself."""
        self.drawn = self.closed = self.over = 0

    def _back(self, back: Back | None) -> None:
        if back is not None:
            assert back.amount > 0
            self.came[back.period] -= back.amount

    @rule(amount=st.integers(0, 50))
    def take(self, amount: int) -> None:
        """Something is granted of the period that the clock is in."""
        period = int(self.now)
        self.came[period] = self.came.get(period, 0) + amount
        self._back(self.lease.take(period, float(period), float(period + 1), amount))

    @rule(share=st.integers(0, 50))
    def own(self, share: int) -> None:
        """Nobody can be asked."""
        period = int(self.now)
        self.came.setdefault(period, 0)
        self.shares[period] = max(share, self.shares.get(period, 0))
        self._back(self.lease.own(period, float(period), float(period + 1), share))

    @rule(amount=st.integers(0, 60))
    def draw(self, amount: int) -> None:
        """A call asks, and draws what it may."""
        if self.lease.holds(amount, self.now):
            self.lease.draw(amount, self.now)
            self.open.append((amount, self.lease.stretch))
            self.drawn += 1

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def close(self, data: st.DataObject) -> None:
        """A call is over, and took no more than it had drawn."""
        amount, stretch = self.open.pop(data.draw(st.integers(0, len(self.open) - 1)))
        used, period = data.draw(st.integers(0, amount)), stretch.period
        self.gone[period] = self.gone.get(period, 0) + used
        self.closed += 1
        self._back(self.lease.close(amount, stretch, used))

    @rule(step=st.sampled_from([0.0, 0.3, 1.0, 2.0, -1.0]))
    def pass_time(self, step: float) -> None:
        """The clock goes on, or steps back."""
        self.now = max(0.5, self.now + step)

    @rule()
    def give_back(self) -> None:
        """Nobody draws from it."""
        self._back(self.lease.give_back())
        assert self.lease.left <= 0

    @rule()
    def disown(self) -> None:
        """Somebody can be asked again."""
        self.lease.disown()

    @rule()
    def give_surplus(self) -> None:
        """Too much is left."""
        surplus = self.lease.surplus
        if surplus:
            self._back(self.lease.give_back(surplus))
            assert self.lease.left >= 0

    @invariant()
    def never_spends_more_than_it_was_given(self) -> None:
        """In any period: what runs and what was taken is within what came, and the share of its own."""
        for period, came in self.came.items():
            out = sum(amount for amount, of in self.open if of.period == period)
            spent = out + self.gone.get(period, 0)
            assert spent <= came + self.shares.get(period, 0)

    @invariant()
    def adds_up(self) -> None:
        """What was granted is left, held or taken."""
        lease = self.lease
        assert lease.held == sum(amount for amount, of in self.open if of is lease.stretch)
        assert lease.granted - lease.left - lease.held >= 0
        assert lease.owned >= 0
        assert self.drawn == self.closed + len(self.open)


LeaseMachine.TestCase.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)
TestLeaseMachine = LeaseMachine.TestCase
