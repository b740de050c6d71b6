"""Admission as a state machine: whatever happens in whatever order, no limit is passed and nothing is lost."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.unit.edge.calls import Call, Worker, clock, limit
from tokenway.model.limits import Measure, Term

__all__ = ["clock"]
pytestmark = pytest.mark.usefixtures("clock")

REQUESTS = limit(Measure.REQUESTS, 2, Term.MINUTE)


class AdmissionMachine(RuleBasedStateMachine):
    """Calls, answers, outages and time in any order: no limit is passed, and nothing is lost or told twice."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.clock = clock.__wrapped__(self.patch)  # type: ignore[attr-defined]
        self.limits = [
            limit(amount=100),
            limit(Measure.CONCURRENCY, 3),
            limit(Measure.REQUESTS, 6, name="calls"),
        ]
        self.worker = Worker(*self.limits, queue=3.0)
        self.worker.is_held = True
        self.running: list[Call] = []
        self.gone: list[Call] = []
        self.spent = self.calls = 0
        self.is_cut = False

    def teardown(self) -> None:
        """Everything ends: what was not spent is there."""
        self.worker.is_held = False
        if self.is_cut:
            self.mend()
        for _ in range(200):
            self.worker.answer()
            self.clock.mono += 0.05
            self.worker.admission.sweep(self.clock.mono)
        waiting = [each for each in self.worker.heard if each.is_waiting and each not in self.gone]
        assert waiting == []
        self._collect()
        while self.running:
            self.running.pop().end(0)
        assert self.worker.broker.unspent("usd") == 100 - self.spent
        self.patch.undo()

    def _collect(self) -> None:
        ended = {id(each) for each in self.gone}
        known = {id(each) for each in self.running}
        self.running += [each for each in self.worker.order if id(each) not in known | ended]

    @rule(amount=st.integers(0, 60))
    def call(self, amount: int) -> None:
        """Somebody calls."""
        made = self.worker.call(amount)
        made.amount = amount  # type: ignore[attr-defined]

    @rule()
    def answer(self) -> None:
        """The control process answers what it was asked so far."""
        if not self.is_cut:
            self.worker.answer()

    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        """A call is over."""
        self._collect()
        if self.running:
            made = self.running.pop(data.draw(st.integers(0, len(self.running) - 1)))
            self.gone.append(made)
            used = data.draw(st.integers(0, made.amount))  # type: ignore[attr-defined]
            self.spent += used
            self.calls += 1
            made.end(used)

    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        """A caller that waits leaves."""
        waiting = [each for each in self.worker.heard if each.is_waiting and each not in self.gone]
        if waiting:
            made = data.draw(st.sampled_from(waiting))
            self.gone.append(made)
            assert made.claim is not None
            self.worker.admission.withdraw(made.claim)

    @rule(seconds=st.sampled_from([0.05, 0.3, 2.5, 6.0]))
    def pass_time(self, seconds: float) -> None:
        """Time goes on."""
        self.clock.mono += seconds
        self.worker.admission.sweep(self.clock.mono)
        self.worker.admission.tick(self.clock.mono)

    @rule()
    def recall(self) -> None:
        """Others need it."""
        if not self.is_cut:
            self.worker.admission.recall(("usd", "concurrency"))

    @precondition(lambda self: not self.is_cut)
    @rule()
    def cut(self) -> None:
        """The control process is gone, and what it was about to answer with it."""
        self.is_cut = True
        self.worker.held.clear()
        self.worker.admission.cut()

    @precondition(lambda self: self.is_cut)
    @rule()
    def mend(self) -> None:
        """Another one is there; it has the books, and nothing of what was in memory."""
        self.is_cut = False
        self.worker.broker.held["concurrency", 0] = 0
        self.worker.admission.mended()

    @invariant()
    def no_limit_is_passed(self) -> None:
        """What runs and what was spent is within each of them."""
        self._collect()
        out = sum(each.amount for each in self.running)  # type: ignore[attr-defined]
        assert self.spent + out <= 100
        assert len(self.running) + self.calls <= 6
        assert len(self.running) <= 3

    @invariant()
    def who_waits_is_counted(self) -> None:
        """And nobody else."""
        waiting = [each for each in self.worker.heard if each.is_waiting and each not in self.gone]
        assert self.worker.admission._waiting._count == len(waiting)
        assert not waiting or self.worker.admission.is_waiting


AdmissionMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestAdmissionMachine = AdmissionMachine.TestCase
