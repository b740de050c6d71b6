"""Laws of an allowance: it never sends more than the limits allow, and waiting always helps.

Three machines play calls in any order: under configured limits, with a provider that tells its level, and with one that
says anything at all.
"""

from __future__ import annotations

from math import inf
from typing import Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tokenway.model.catalog import EndpointLimits
from tokenway.routing.hints import Hints, Limit, Quota
from tokenway.routing.rate import PAUSE_MAX, Allowance, Call

NOW: Final = 1000.0


class ConfiguredMachine(RuleBasedStateMachine):
    """Calls that begin and end in any order under configured limits; `times` has all that were sent."""

    @initialize(rpm=st.integers(1, 8), tpm=st.integers(1, 100), concurrency=st.integers(1, 4))
    def begin(self, rpm: int, tpm: int, concurrency: int) -> None:
        """Limits that are reached soon."""
        self.limits = EndpointLimits(rpm, tpm, concurrency)
        self.allowance = Allowance(self.limits)
        self.now = NOW
        self.running: list[Call] = []
        self.times: list[tuple[float, int]] = []

    @rule(seconds=st.floats(0, 40))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds

    @rule(tokens=st.integers(0, 150))
    def send(self, tokens: int) -> None:
        """A call, if it may."""
        if self.allowance.may_send(self.now, tokens) is None:
            self.running.append(self.allowance.sent(self.now, tokens))
            self.times.append((self.now, tokens))

    @precondition(lambda self: self.running)
    @rule(pick=st.integers(0, 10**6), answer=st.sampled_from([None, "ok", "429"]))
    def end(self, pick: int, answer: str | None) -> None:
        """A call ends, with an answer, a refusal or neither."""
        call = self.running.pop(pick % len(self.running))
        if answer == "ok":
            self.allowance.answered(call, self.now)
        elif answer == "429":
            self.allowance.refused(call, self.now, 0.5)
        self.allowance.ended(call)

    @invariant()
    def no_sixty_seconds_hold_more(self) -> None:
        """Neither requests nor tokens, save a call that is alone in its minute; nor more at once."""
        recent = [tokens for at, tokens in self.times if at > self.now - 60]
        assert len(recent) <= (self.limits.rpm or 0)
        assert sum(recent) <= (self.limits.tpm or 0) or sum(1 for tokens in recent if tokens) == 1
        assert len(self.running) <= (self.limits.concurrency or 0)


class Provider:
    """A provider that counts: a bucket that fills, or a window that ends."""

    def __init__(self, limit: Limit, most: int, seconds: float) -> None:
        self.limit, self.most, self.seconds = limit, most, seconds
        self.left = float(most)
        self.at = NOW
        self.ends_at = NOW + seconds

    def arrive(self, now: float, tokens: int) -> Quota | None:
        """Counts a call and tells what is left; None refuses it."""
        if self.limit is Limit.WINDOW:
            while now >= self.ends_at:
                self.left, self.ends_at = float(self.most), self.ends_at + self.seconds
        else:
            self.left = min(self.most, self.left + (now - self.at) * self.most / self.seconds)
        self.at = now
        amount = tokens if self.limit is Limit.TOKENS else 1
        if self.left + 1e-6 < amount:
            return None
        self.left -= amount
        whole = (self.most - self.left) * self.seconds / self.most
        reset = self.ends_at - now if self.limit is Limit.WINDOW else whole
        return Quota(self.limit, max(0.0, self.left), self.most, reset)


class ToldMachine(RuleBasedStateMachine):
    """We alone use a provider that tells its level with every answer: once it has, it never has to refuse."""

    @initialize(
        limit=st.sampled_from([Limit.REQUESTS, Limit.TOKENS, Limit.WINDOW]),
        most=st.integers(5, 50),
        seconds=st.sampled_from([1.0, 10.0, 60.0, 3600.0]),
    )
    def begin(self, limit: Limit, most: int, seconds: float) -> None:
        """The first call tells what the limit is; after a while the next finds a window in full."""
        self.provider = Provider(limit, most, seconds)
        self.allowance = Allowance()
        self.now = NOW
        self.waiting: list[tuple[Call, Quota]] = []
        self.running: list[Call] = []
        self.send(1)
        self.answer(0)

    @rule(seconds=st.floats(0, 100))
    def wait(self, seconds: float) -> None:
        """Time passes; where windows end meanwhile, answers come in time, since they tell of the one they began in."""
        while self.provider.limit is Limit.WINDOW and self.waiting:
            self.answer(0)
        self.now += seconds

    @rule(tokens=st.integers(1, 5), most=st.integers(1, 50))
    def send(self, tokens: int, most: int = 1) -> None:
        """As many calls as may be sent: then the provider has room for them."""
        for _ in range(most):
            if self.allowance.may_send(self.now, tokens) is not None:
                break
            call = self.allowance.sent(self.now, tokens)
            quota = self.provider.arrive(self.now, tokens)
            assert quota is not None
            self.waiting.append((call, quota))

    @precondition(lambda self: self.waiting)
    @rule(pick=st.integers(0, 10**6))
    def answer(self, pick: int) -> None:
        """An answer comes, in any order, with what was left when its call arrived."""
        call, quota = self.waiting.pop(pick % len(self.waiting))
        self.allowance.answered(call, self.now, Hints(quotas=(quota,)))
        self.running.append(call)

    @precondition(lambda self: self.running)
    @rule(pick=st.integers(0, 10**6))
    def end(self, pick: int) -> None:
        """A call is over."""
        self.allowance.ended(self.running.pop(pick % len(self.running)))


class AnyMachine(RuleBasedStateMachine):
    """Whatever providers tell and refuse: when all calls are over, waiting helps."""

    @initialize(rpm=st.none() | st.integers(1, 5), concurrency=st.none() | st.integers(1, 3))
    def begin(self, rpm: int | None, concurrency: int | None) -> None:
        """With or without configured limits."""
        self.allowance = Allowance(EndpointLimits(rpm=rpm, concurrency=concurrency))
        self.now = NOW
        self.running: list[Call] = []

    @rule(seconds=st.floats(0, 1000))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds

    @rule(tokens=st.integers(0, 10**6), asks=st.booleans())
    def send(self, tokens: int, asks: bool) -> None:
        """A call, with leave or without."""
        at = self.allowance.may_send(self.now, tokens)
        assert at is None or at > self.now
        if at is None or not asks:
            self.running.append(self.allowance.sent(self.now, tokens))

    @precondition(lambda self: self.running)
    @rule(
        pick=st.integers(0, 10**6),
        is_refused=st.booleans(),
        retry_after=st.none() | st.floats(0, 1e6),
        limit=st.sampled_from(Limit),
        remaining=st.floats(0, 1e14),
        most=st.none() | st.floats(1e-3, 1e14),
        reset=st.none() | st.floats(0, 1e6),
        dice=st.floats(0, 1),
    )
    def answer(
        self,
        pick: int,
        is_refused: bool,
        retry_after: float | None,
        limit: Limit,
        remaining: float,
        most: float | None,
        reset: float | None,
        dice: float,
    ) -> None:
        """Any answer to any call, also to one that has had one."""
        call = self.running[pick % len(self.running)]
        hints = Hints(quotas=(Quota(limit, remaining, most, reset),))
        if is_refused:
            self.allowance.refused(call, self.now, dice, retry_after, hints)
        else:
            self.allowance.answered(call, self.now, hints)

    @precondition(lambda self: self.running)
    @rule(pick=st.integers(0, 10**6))
    def end(self, pick: int) -> None:
        """A call is over."""
        self.allowance.ended(self.running.pop(pick % len(self.running)))

    @rule()
    def recover(self) -> None:
        """All calls end; then whatever has to be waited for comes within two days, in a few steps."""
        while self.running:
            self.allowance.ended(self.running.pop())
        start = self.now
        for _ in range(50):
            at = self.allowance.may_send(self.now, 100)
            if at is None:
                break
            assert self.now < at < inf
            self.now = at
        else:
            raise AssertionError("waiting does not help")
        assert self.now <= start + 2 * PAUSE_MAX


for machine in (ConfiguredMachine, ToldMachine, AnyMachine):
    machine.TestCase.settings = settings(stateful_step_count=60)
TestConfigured = ConfiguredMachine.TestCase
TestTold = ToldMachine.TestCase
TestAny = AnyMachine.TestCase
