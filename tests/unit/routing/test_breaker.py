"""A breaker: when it trips, how long it stays open, and the one probe that decides."""

from __future__ import annotations

from itertools import product
from typing import Final

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tokenway.routing.breaker import CREDENTIAL, ENDPOINT, TABLE, Breaker, Policy, Signal, State, UnaskedTryError

START: Final = 1000.0
PAUSE: Final = ENDPOINT.pause_first


def tripped(policy: Policy = ENDPOINT, at: float = START, dice: float = 0.0) -> Breaker:
    """A breaker that so many failures in a row have just opened."""
    breaker = Breaker(policy)
    for _ in range(policy.in_a_row):
        breaker.failed(breaker.try_begun(at), at, dice)
    return breaker


def probing(at: float = START + PAUSE) -> tuple[Breaker, int]:
    """A breaker whose probe is under way, and the probe's number."""
    breaker = tripped()
    return breaker, breaker.try_begun(at)


def test_everything_passes_at_first() -> None:
    """Nothing is known against it."""
    breaker = Breaker()
    assert breaker.is_closed
    assert breaker.state is State.CLOSED
    assert breaker.may_try(0.0)


def test_so_many_failures_in_a_row_open_it() -> None:
    """Four do not, five do, and then nothing passes until the pause is over."""
    breaker = Breaker()
    for _ in range(ENDPOINT.in_a_row - 1):
        breaker.failed(breaker.try_begun(START), START, 0.0)
    assert breaker.is_closed
    breaker.failed(breaker.try_begun(START), START, 0.0)
    assert breaker.state is State.OPEN
    assert not breaker.may_try(START)
    assert not breaker.may_try(breaker.open_until - 0.001)
    assert breaker.may_try(breaker.open_until)


def test_a_success_between_starts_the_row_again() -> None:
    """Four failures, a success, four failures: still closed."""
    breaker = Breaker()
    for outcome in "ffffsffff":
        number = breaker.try_begun(START)
        if outcome == "f":
            breaker.failed(number, START, 0.0)
        else:
            breaker.succeeded(number, START)
    assert breaker.is_closed


def test_too_large_a_share_of_failures_opens_it() -> None:
    """Every other call fails: never two in a row, and it opens with the twentieth."""
    breaker = Breaker()
    for count in range(ENDPOINT.least):
        assert breaker.is_closed, count
        number = breaker.try_begun(START)
        if count % 2:
            breaker.failed(number, START, 0.0)
        else:
            breaker.succeeded(number, START)
    assert breaker.state is State.OPEN


def test_what_ended_long_ago_is_no_longer_counted() -> None:
    """Failures of a minute ago do not add to those of now; those of the slot before do."""
    for later, opens in ((ENDPOINT.window * 2.5, False), (ENDPOINT.window * 1.1, True)):
        breaker = Breaker()
        breaker.succeeded(breaker.number, START)
        for count in range(18):
            _tell(breaker, is_good=bool(count % 2), at=START)
        assert breaker.is_closed
        _tell(breaker, is_good=True, at=START + later)
        _tell(breaker, is_good=False, at=START + later)
        _tell(breaker, is_good=False, at=START + later)
        assert breaker.is_closed is not opens


def _tell(breaker: Breaker, *, is_good: bool, at: float) -> None:
    number = breaker.try_begun(at)
    if is_good:
        breaker.succeeded(number, at)
    else:
        breaker.failed(number, at, 0.0)


def test_one_probe_passes_and_a_success_closes() -> None:
    """While the probe is under way nobody else passes; its success lets all pass."""
    breaker, probe = probing()
    assert breaker.state is State.HALF_OPEN
    assert not breaker.may_try(START + 1e6)
    breaker.succeeded(probe, START + PAUSE)
    assert breaker.is_closed
    assert breaker.may_try(START + PAUSE)


def test_a_probe_that_fails_opens_for_twice_as_long() -> None:
    """The pause is doubled with each probe that fails, up to the bound."""
    breaker = tripped(dice=0.999999999)
    pauses = [breaker.open_until - START]
    for _ in range(10):
        now = breaker.open_until
        breaker.failed(breaker.try_begun(now), now, 0.999999999)
        pauses.append(breaker.open_until - now)
    assert pauses == pytest.approx([1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60], rel=1e-6)


def test_a_probe_that_is_given_up_lets_the_next_one_probe() -> None:
    """A caller that leaves tells nothing about the endpoint, and what comes of its call afterwards tells nothing."""
    breaker, probe = probing()
    breaker.abandoned(probe)
    assert breaker.may_try(START + PAUSE)
    second = breaker.try_begun(START + PAUSE)
    breaker.succeeded(probe, START + PAUSE)
    breaker.failed(probe, START + PAUSE, 0.0)
    breaker.abandoned(probe)
    assert breaker.state is State.HALF_OPEN
    breaker.succeeded(second, START + PAUSE)
    assert breaker.is_closed


def test_calls_from_before_decide_nothing() -> None:
    """Late answers and failures of calls that began before it opened neither close it nor lengthen the pause."""
    breaker = Breaker()
    old = breaker.try_begun(START)
    for _ in range(ENDPOINT.in_a_row):
        breaker.failed(old, START, 0.0)
    until = breaker.open_until
    breaker.succeeded(old, START)
    breaker.failed(old, START, 0.0)
    breaker.abandoned(old)
    assert (breaker.state, breaker.open_until) == (State.OPEN, until)
    breaker.try_begun(until)
    breaker.succeeded(old, until)
    breaker.failed(old, until, 0.0)
    breaker.abandoned(old)
    assert breaker.state is State.HALF_OPEN


def test_a_probe_may_succeed_and_fail_later() -> None:
    """A stream that begins closes it; that it is cut afterwards counts like any failure."""
    breaker, probe = probing()
    breaker.succeeded(probe, START + PAUSE)
    breaker.failed(probe, START + PAUSE, 0.0)
    assert breaker.is_closed
    for _ in range(ENDPOINT.in_a_row - 1):
        breaker.failed(breaker.try_begun(START + PAUSE), START + PAUSE, 0.0)
    assert not breaker.is_closed


def test_who_flaps_is_asked_ever_less_often() -> None:
    """A probe that succeeds does not start the pauses anew; a minute of good service does."""
    breaker, now = tripped(dice=1.0), START
    for expected in (2.0, 4.0, 8.0):
        now = breaker.open_until
        breaker.succeeded(breaker.try_begun(now), now)
        for _ in range(ENDPOINT.in_a_row):
            breaker.failed(breaker.try_begun(now), now, 1.0)
        assert breaker.open_until - now == expected
    breaker.succeeded(breaker.try_begun(breaker.open_until), breaker.open_until)
    now = breaker.open_until + ENDPOINT.pause_max
    for _ in range(ENDPOINT.in_a_row):
        breaker.failed(breaker.try_begun(now), now, 1.0)
    assert breaker.open_until - now == 1.0


@pytest.mark.parametrize(("asked", "expected"), [(0.0, 0.5), (0.3, 0.5), (20.0, 20.0), (1e9, 60.0)])
def test_an_upstream_may_name_a_longer_pause(asked: float, expected: float) -> None:
    """A 503 with `retry-after` is left alone as long as it asks, within the bound."""
    breaker = Breaker()
    for _ in range(ENDPOINT.in_a_row):
        breaker.failed(breaker.try_begun(START), START, 0.0, asked)
    assert breaker.open_until - START == expected


def test_a_try_that_is_not_allowed_is_a_bug() -> None:
    """Neither before the pause is over nor beside a probe."""
    with pytest.raises(UnaskedTryError):
        tripped().try_begun(START)
    breaker, _ = probing()
    with pytest.raises(UnaskedTryError):
        breaker.try_begun(START + 1e6)


def test_the_table_has_the_rows_that_can_be_met() -> None:
    """Closed meets everything; open only a try; half-open everything but another try, and each failure trips."""
    impossible = set(product(State, Signal)) - set(TABLE)
    assert impossible == {
        *((State.OPEN, signal) for signal in Signal if signal is not Signal.TRY),
        (State.HALF_OPEN, Signal.TRY),
        (State.HALF_OPEN, Signal.FAILURE),
    }
    assert TABLE[State.CLOSED, Signal.SUCCESS] is State.CLOSED  # what `succeeded` takes for granted


@pytest.mark.parametrize("policy", [ENDPOINT, CREDENTIAL])
def test_policies_are_sound(policy: Policy) -> None:
    """The bounds are in order, and a few calls are no share."""
    assert 0 < policy.pause_first <= policy.pause_max
    assert 1 <= policy.in_a_row <= policy.least
    assert 0 < policy.share <= 1


class BreakerMachine(RuleBasedStateMachine):
    """Plays calls in any order; `running` has the numbers of those under way, `probe` that of the one that decides."""

    @initialize(policy=st.sampled_from([ENDPOINT, CREDENTIAL]))
    def begin(self, policy: Policy) -> None:
        """A new breaker at some time."""
        self.policy = policy
        self.breaker = Breaker(policy)
        self.now = START
        self.running: list[int] = []
        self.probe: int | None = None

    @rule(seconds=st.floats(0, 100))
    def wait(self, seconds: float) -> None:
        """Time never steps back."""
        self.now += seconds

    @precondition(lambda self: self.breaker.may_try(self.now))
    @rule()
    def start(self) -> None:
        """A call begins; in any state but closed it must be the only probe."""
        was_closed = self.breaker.is_closed
        number = self.breaker.try_begun(self.now)
        if not was_closed:
            assert self.probe is None
            assert self.breaker.state is State.HALF_OPEN
            self.probe = number
        self.running.append(number)

    @precondition(lambda self: self.running)
    @rule(pick=st.integers(0, 10**6), outcome=st.sampled_from("sfa"), dice=st.floats(0, 1), asked=st.floats(0, 1e4))
    def end(self, pick: int, outcome: str, dice: float, asked: float) -> None:
        """A call that is under way ends in one of the three ways."""
        number = self.running.pop(pick % len(self.running))
        before, until = self.breaker.state, self.breaker.open_until
        if outcome == "s":
            self.breaker.succeeded(number, self.now)
        elif outcome == "f":
            self.breaker.failed(number, self.now, dice, asked)
        else:
            self.breaker.abandoned(number)
        after = self.breaker.state
        if number == self.probe and before is State.HALF_OPEN:
            self.probe = None
            assert after is (State.CLOSED if outcome == "s" else State.OPEN)
            assert outcome != "a" or self.breaker.may_try(self.now)
        elif before is not State.CLOSED:
            assert (after, self.breaker.open_until) == (before, until)

    @invariant()
    def the_pause_is_bounded(self) -> None:
        """It is never longer than the policy's bound, whatever the upstream asks for."""
        assert self.breaker.open_until <= self.now + self.policy.pause_max

    @invariant()
    def one_probe_at_most(self) -> None:
        """Half-open means exactly one probe under way, and that nobody else may try."""
        is_half_open = self.breaker.state is State.HALF_OPEN
        assert is_half_open is (self.probe is not None)
        if is_half_open:
            assert self.probe in self.running
            assert not self.breaker.may_try(self.now)

    @invariant()
    def it_recovers(self) -> None:
        """Where no probe is under way, the end of the longest pause lets a call pass."""
        if self.breaker.state is not State.HALF_OPEN:
            assert self.breaker.may_try(self.now + self.policy.pause_max)
        assert self.breaker.is_closed is (self.breaker.state is State.CLOSED)


BreakerMachine.TestCase.settings = settings(stateful_step_count=60)
TestBreakerMachine = BreakerMachine.TestCase
