"""Who waits for a lease, in which order they go on, and who waits in vain."""

from __future__ import annotations

import pytest

from tests.unit.edge.calls import UNIX, Call, Clock, Worker, clock, limit
from tokenway.edge import waiting as waiting_module
from tokenway.metering.ledger import Draw
from tokenway.model.limits import Measure, Term

__all__ = ["clock"]


pytestmark = pytest.mark.usefixtures("clock")


REQUESTS = limit(Measure.REQUESTS, 2, Term.MINUTE)


PLACES = limit(Measure.CONCURRENCY, 1)


def test_who_waits_for_an_answer_goes_on_when_it_comes() -> None:
    """One want for all who came before it was sent, and one more for those who came after."""
    worker = Worker(limit(amount=100))
    worker.is_held = True
    calls = [worker.call(amount) for amount in (10, 20, 30)]
    assert [each.status for each in calls] == [0, 0, 0]
    assert [want.least for want in worker.broker.wants] == [10]
    worker.answer()
    assert [each.status for each in calls] == [200, 0, 0]
    assert [want.least for want in worker.broker.wants] == [10, 50]
    worker.answer()
    assert worker.order == calls


def test_nobody_passes_by_who_came_earlier() -> None:
    """A small call stands behind a large one, though the lease would hold it."""
    worker = Worker(limit(amount=100))
    worker.broker.extra = 5
    worker.call(10)
    worker.is_held = True
    large, small = worker.call(50), worker.call(1)
    assert (large.status, small.status) == (0, 0)
    worker.is_held = False
    worker.answer()
    assert worker.order[1:] == [large, small]


def test_what_comes_back_lets_the_next_one_go() -> None:
    """In the order in which they came."""
    worker = Worker(PLACES, queue=60.0)
    first, second, third = worker.call(), worker.call(), worker.call()
    assert (first.status, second.status) == (200, 0)
    assert first.end() == ()
    second.end()
    assert (worker.order, third.status) == ([first, second, third], 200)


def test_a_caller_that_leaves_is_forgotten() -> None:
    """Who stood behind it goes on; it hears nothing, and nothing is drawn for it."""
    worker = Worker(PLACES, queue=60.0)
    first, second, third = worker.call(), worker.call(), worker.call()
    assert second.claim is not None
    worker.admission.withdraw(second.claim)
    first.end()
    assert (second.status, third.status) == (0, 200)
    worker.admission.withdraw(second.claim)
    assert third.claim is not None
    worker.admission.withdraw(third.claim)
    assert third.status == 200


def window(worker: Worker) -> None:
    """The broker counts by the minute that the clock is in."""
    broker = worker.broker
    broker.period = 28_333_333
    broker.begins, broker.ends, broker.wait = UNIX - 20.0, UNIX + 40.0, 40.0


def test_a_rate_that_is_used_up_says_when_to_come_back(clock: Clock) -> None:
    """429 with the seconds until the minute ends; later ones are told the same without asking."""
    worker = Worker(REQUESTS)
    window(worker)
    calls = [worker.call() for _ in range(3)]
    problem = calls[2].problem
    assert problem is not None
    assert (problem.status, problem.code, problem.retry_after) == (429, "rate_limit_exceeded", 40.0)
    assert problem.should_retry
    asked = len(worker.broker.wants)
    clock.mono += 10.0
    later = worker.call().problem
    assert later is not None
    assert len(worker.broker.wants) == asked


def test_a_rate_is_waited_for_where_calls_may(clock: Clock) -> None:
    """Until the next window, and no longer than `queue`."""
    worker = Worker(REQUESTS, queue=60.0)
    window(worker)
    calls = [worker.call() for _ in range(4)]
    assert [each.status for each in calls] == [200, 200, 0, 0]
    clock.mono += 39.9
    worker.admission.sweep(clock.mono)
    assert calls[2].status == 0
    clock.mono += 0.2
    broker = worker.broker
    broker.period, broker.begins, broker.ends = broker.period + 1, UNIX + 40.0, UNIX + 100.0
    worker.admission.sweep(clock.mono)
    assert [each.status for each in calls] == [200, 200, 200, 200]
    assert calls[2].at == clock.unix


def test_a_window_that_comes_too_late_is_not_waited_for() -> None:
    """The caller can do better with its time."""
    worker = Worker(REQUESTS, queue=30.0)
    window(worker)
    assert [worker.call().status for _ in range(3)] == [200, 200, 429]


def test_a_call_above_the_whole_rate_is_refused_at_once() -> None:
    """No window will ever hold it, and a retry does not help."""
    worker = Worker(limit(Measure.TOKENS, 49, Term.MINUTE), queue=100.0)
    problem = worker.call().problem
    assert problem is not None
    assert (problem.status, problem.should_retry, worker.broker.wants) == (429, False, [])


def test_no_more_than_so_many_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """In one worker, and of one key: the next one is told at once that it is crowded."""
    monkeypatch.setattr(waiting_module, "KEY_MAX", 2)
    worker = Worker(PLACES, queue=60.0)
    assert [worker.call().status for _ in range(4)] == [200, 0, 0, 429]
    monkeypatch.setattr(waiting_module, "WAITING_MAX", 2)
    monkeypatch.setattr(waiting_module, "KEY_MAX", 9)
    assert worker.call().status == 429


def test_what_others_hold_is_waited_for_a_moment(clock: Clock) -> None:
    """The control process calls it back: asking again a little later may help, also without a queue."""
    worker = Worker(limit(amount=100))
    worker.broker.held["usd", 0] = 100
    worker.broker.wait = 0.05
    made = worker.call(60)
    assert made.status == 0
    worker.broker.held["usd", 0] = 0
    clock.mono += 0.06
    worker.admission.sweep(clock.mono)
    assert made.status == 200


def test_what_others_do_not_give_back_is_used_up(clock: Clock) -> None:
    """After a second it is 402."""
    worker = Worker(limit(amount=100))
    worker.broker.held["usd", 0] = 100
    worker.broker.wait = 0.05
    made = worker.call(60)
    for _ in range(30):
        clock.mono += 0.05
        worker.admission.sweep(clock.mono)
    assert made.status == 402


def test_an_answer_about_a_period_that_is_over_is_asked_again(clock: Clock) -> None:
    """It was on its way when midnight came."""
    worker = Worker(limit(amount=100, term=Term.DAY))
    worker.broker.period, worker.broker.begins, worker.broker.ends = 7, UNIX - 5.0, UNIX + 0.001
    worker.is_held = True
    made = worker.call(60)
    clock.mono += 0.01
    worker.answer()
    assert made.status == 0
    worker.broker.period, worker.broker.begins, worker.broker.ends = 8, UNIX + 0.001, UNIX + 99.0
    worker.answer()
    assert (made.status, made.end(1)) == (200, (Draw("usd", 8, 1),))


def test_a_mistake_in_one_call_keeps_no_other() -> None:
    """It is told of it, and the next one goes on."""

    class Broken(Call):
        def admitted(self, at: float) -> None:
            raise KeyError(at)

    worker = Worker(PLACES, queue=60.0)
    first, broken = worker.call(), Broken(worker)
    first.end()
    assert isinstance(broken.mistake, KeyError)
