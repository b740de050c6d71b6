"""Who goes on while nobody says what is left of a limit."""

from __future__ import annotations

import pytest

from tests.unit.edge.calls import Clock, Worker, clock, limit
from tokenway.edge.stocks import ANSWER_SECONDS, MEND_SECONDS
from tokenway.model.limits import Measure, OnOutage, Term
from tokenway.model.link import Return

__all__ = ["clock"]
pytestmark = pytest.mark.usefixtures("clock")

REQUESTS = limit(Measure.REQUESTS, 2, Term.MINUTE)


def test_leases_are_spent_while_nobody_can_be_asked(clock: Clock) -> None:
    """What they do not hold gets 503, for nobody knows whether there is money; then it is asked for again."""
    worker = Worker(limit(amount=100))
    worker.broker.extra = 20
    worker.call(10)
    worker.admission.cut()
    clock.mono += MEND_SECONDS
    assert [worker.call(10).status for _ in range(3)] == [200, 200, 503]
    worker.admission.mended()
    assert worker.call(10).status == 200
    assert worker.broker.returns == []


@pytest.mark.parametrize("outage", list(OnOutage))
def test_who_comes_when_the_control_process_has_died_waits_for_the_next_one(clock: Clock, outage: OnOutage) -> None:
    """It is there within a second: nobody is refused meanwhile, and what leases hold is served, if it may be."""
    worker = Worker(limit(amount=100), outage=outage)
    worker.broker.extra = 10
    worker.call(10)
    worker.admission.cut()
    made = [worker.call(10) for _ in range(3)]
    assert [each.status for each in made] == ([200, 0, 0] if outage is OnOutage.SERVE else [0, 0, 0])
    for _ in range(14):
        clock.mono += 0.05
        worker.admission.sweep(clock.mono)
    worker.admission.mended()
    worker.admission.sweep(clock.mono)
    assert [each.status for each in made] == [200, 200, 200]
    assert not worker.admission.is_waiting


@pytest.mark.parametrize("outage", list(OnOutage))
def test_nobody_waits_for_long_for_a_control_process(clock: Clock, outage: OnOutage) -> None:
    """From its death on so long in all, however late somebody comes; then at once."""
    worker = Worker(limit(amount=100), outage=outage)
    worker.admission.cut()
    first = worker.call()
    clock.mono += MEND_SECONDS - 0.1
    worker.admission.cut()
    late = worker.call()
    worker.admission.sweep(clock.mono)
    assert (first.status, late.status) == (0, 0)
    clock.mono += 0.1
    worker.admission.sweep(clock.mono)
    assert (first.status, late.status, worker.call().status) == (503, 503, 503)
    worker.admission.sweep(clock.mono)
    assert not worker.admission.is_waiting


def test_who_waits_for_a_control_process_may_leave(clock: Clock) -> None:
    """And is forgotten; the next one goes on in its place."""
    worker = Worker(limit(amount=100))
    worker.admission.cut()
    gone, made = worker.call(), worker.call()
    assert gone.claim is not None
    worker.admission.withdraw(gone.claim)
    worker.admission.mended()
    worker.admission.sweep(clock.mono)
    assert (gone.status, made.status) == (0, 200)


def test_a_project_may_rather_be_refused(clock: Clock) -> None:
    """Whatever its leases hold."""
    worker = Worker(limit(amount=100), outage=OnOutage.REFUSE)
    worker.broker.extra = 50
    worker.call(10)
    worker.admission.cut()
    clock.mono += MEND_SECONDS
    problem = worker.call(10).problem
    assert problem is not None
    assert (problem.status, problem.code, problem.retry_after) == (503, "limits_unavailable", 1.0)
    worker.admission.mended()
    assert worker.call(10).status == 200


@pytest.mark.parametrize("outage", list(OnOutage))
def test_who_waits_when_the_control_process_goes_is_told(clock: Clock, outage: OnOutage) -> None:
    """503, whichever the policy: its lease does not hold it."""
    worker = Worker(limit(amount=100), outage=outage)
    worker.is_held = True
    made = worker.call()
    worker.admission.cut()
    assert made.status == 0
    clock.mono += MEND_SECONDS
    worker.admission.sweep(clock.mono)
    assert made.status == 503


def test_an_answer_that_does_not_come_is_not_waited_for(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """After two seconds it is as if nobody were there; what comes later goes back."""
    worker = Worker(limit(amount=100))
    worker.is_held = True
    made = worker.call()
    clock.mono += ANSWER_SECONDS
    worker.admission.sweep(clock.mono)
    assert made.status == 0
    clock.mono += 0.1
    worker.admission.sweep(clock.mono)
    assert made.status == 503
    assert "nobody says what is left of a limit" in caplog.text
    worker.answer()
    assert worker.broker.returns == [Return("usd", 0, 10)]
    assert not worker.admission.is_waiting


def test_what_control_could_not_find_out_is_as_an_outage(clock: Clock) -> None:
    """For money 503; a project that wants it is refused for a second."""
    worker = Worker(limit(amount=100))
    worker.broker.is_blind = True
    assert worker.call().status == 503
    other = Worker(REQUESTS, outage=OnOutage.REFUSE)
    other.broker.is_blind = True
    assert other.call().status == 503
    other.broker.is_blind = False
    assert other.call().status == 503
    clock.mono += 1.1
    assert other.call().status == 200


def test_rates_are_shared_out_while_nobody_can_be_asked(clock: Clock) -> None:
    """Each worker has its share of the minute, and lets go of it when somebody answers again."""
    rate = limit(Measure.REQUESTS, 5, Term.MINUTE)
    worker = Worker(rate, workers=2)
    worker.admission.cut()
    assert [worker.call().status for _ in range(3)] == [200, 200, 429]
    clock.mono += 60.0
    assert worker.call().status == 200
    worker.admission.mended()
    worker.admission.tick(clock.mono)
    worker.broker.period = int(clock.unix // 60)
    worker.broker.begins, worker.broker.ends = clock.unix - 20.0, clock.unix + 40.0
    assert worker.call().status == 200
    assert worker.broker.wants[-1].least == 2


def test_places_are_shared_out_too_and_told_to_whoever_comes() -> None:
    """A new control process knows nothing of calls under way: they are wanted with the next one."""
    places = limit(Measure.CONCURRENCY, 5)
    worker = Worker(places, workers=2)
    first = worker.call()
    worker.admission.cut()
    assert [worker.call().status for _ in range(2)] == [200, 429]
    worker.admission.mended()
    worker.broker.held.clear()
    assert worker.call().status == 200
    assert worker.broker.wants[-1].least == 3
    first.end()
    assert worker.broker.held["concurrency", 0] - sum(each.left for each in worker.admission._stocks.all) == 2
