"""Who goes on, who waits, who is refused and why; and what comes back."""

from __future__ import annotations

import pytest

from tests.unit.edge.calls import UNIX, Clock, Worker, clock, limit
from tokenway.edge import admission as admission_module
from tokenway.edge.admission import Admission
from tokenway.metering.lease import IDLE_SECONDS
from tokenway.metering.ledger import Draw
from tokenway.model.limits import Limit, Measure, Scope, Term
from tokenway.model.link import Granted, Return
from tokenway.model.snapshot import Principal, Snapshot
from tokenway.model.usage import Usage

__all__ = ["clock"]
pytestmark = pytest.mark.usefixtures("clock")

REQUESTS = limit(Measure.REQUESTS, 2, Term.MINUTE)
PLACES = limit(Measure.CONCURRENCY, 1)


def test_without_limits_nothing_is_counted() -> None:
    """Nobody is asked, whatever it costs."""
    worker = Worker()
    made = worker.call(10**30)
    assert (made.status, made.claim, worker.broker.wants) == (200, None, [])


def test_a_budget_is_drawn_from_and_the_rest_comes_back() -> None:
    """The books are told what the call took of it, of the period that it was admitted in."""
    worker = Worker(limit(amount=100))
    made = worker.call(60)
    assert (made.at, worker.broker.unspent("usd")) == (UNIX, 40)
    assert made.end(25) == (Draw("usd", 0, 25),)
    assert worker.broker.unspent("usd") == 75


def test_two_calls_cannot_spend_the_same_money() -> None:
    """402 for the second, with what is left and what it could cost, and of whom; the whole rest may be drawn."""
    worker = Worker(limit(amount=100))
    worker.call(60)
    refused = worker.call(41).problem
    assert refused is not None
    assert (refused.status, refused.code, refused.should_retry) == (402, "insufficient_quota", False)
    assert refused.details["limit_remaining"] == "0.00000004"
    assert refused.details["worst_case"] == "0.000000041"
    assert worker.call(40).status == 200


def test_a_budget_that_is_gone_admits_nothing_not_even_what_is_free() -> None:
    """A budget of nothing blocks."""
    assert Worker(limit(amount=0)).call(0).status == 402


def test_what_is_more_than_the_whole_is_told_what_is_left() -> None:
    """It is not lent what others could use."""
    worker = Worker(limit(amount=100))
    worker.call(30)
    refused = worker.call(101).problem
    assert refused is not None
    assert refused.details["limit_remaining"] == "0.00000007"
    assert worker.broker.wants[-1].least == 0


def test_all_of_the_limits_hold_it_or_none_is_drawn_from() -> None:
    """What the second one lacks is not taken from the first."""
    worker = Worker(limit(amount=100), REQUESTS)
    assert [worker.call().status for _ in range(3)] == [200, 200, 429]
    assert worker.broker.unspent("usd") == 80


def test_what_was_admitted_in_vain_comes_back_whole() -> None:
    """As when the journal cannot be written."""
    worker = Worker(limit(amount=100), PLACES)
    made = worker.call(60)
    assert made.claim is not None
    worker.admission.undo(made.claim)
    assert (worker.broker.unspent("usd"), worker.broker.unspent("concurrency")) == (100, 1)
    assert made.end(60) == ()


# -- rates ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("measure", "drawn", "used"),
    [(Measure.TOKENS, 50, 12), (Measure.INPUT_TOKENS, 30, 7), (Measure.OUTPUT_TOKENS, 20, 5)],
)
def test_tokens_are_bounded_first_and_counted_then(measure: Measure, drawn: int, used: int) -> None:
    """What nobody counted stays drawn from a rate; in a limit that is counted from the books it is nothing."""
    rate, total = limit(measure, 200, Term.MINUTE, "rate"), limit(measure, 200, name="total")
    worker = Worker(rate, total)
    made = worker.call()
    assert (worker.broker.unspent("rate"), worker.broker.unspent("total")) == (200 - drawn, 200 - drawn)
    assert made.end(usage=Usage(input_uncached=7, output_text=5)) == (Draw("total", 0, used),)
    assert (worker.broker.unspent("rate"), worker.broker.unspent("total")) == (200 - used, 200 - used)
    assert worker.call().end(usage=None) == (Draw("total", 0, 0),)
    assert (worker.broker.unspent("rate"), worker.broker.unspent("total")) == (200 - used - drawn, 200 - used)


# -- money that others hold ----------------------------------------------------------------------------------------


def test_more_is_asked_for_ahead() -> None:
    """Before anybody has to wait for it, and once at a time; not when there was nothing more."""
    worker = Worker(limit(amount=100))
    worker.broker.extra = 30
    worker.call(10)
    worker.is_held = True
    calls = [worker.call(10), worker.call(10)]
    assert [each.status for each in calls] == [200, 200]
    assert [want.least for want in worker.broker.wants] == [10, 0]
    worker.is_held = False
    worker.answer()
    assert worker.broker.held["usd", 0] == 70


def test_what_nobody_draws_from_goes_back(clock: Clock) -> None:
    """After five seconds, or at once when others need it; what calls hold stays held."""
    worker = Worker(limit(amount=100))
    worker.broker.extra = 50
    made = worker.call(10)
    clock.mono += IDLE_SECONDS - 0.1
    worker.admission.tick(clock.mono)
    assert worker.broker.returns == []
    worker.admission.recall(("usd", "other"))
    assert worker.broker.returns == [Return("usd", 0, 50)]
    made.end(4)
    clock.mono += 1.0
    worker.admission.tick(clock.mono)
    assert worker.broker.returns[1:] == [Return("usd", 0, 6)]
    assert worker.admission.remaining == {}


def test_what_was_overdrawn_is_not_forgotten(clock: Clock) -> None:
    """The books took it from the lease: a worker that forgot it would spend what they lend to somebody else."""
    worker = Worker(limit(amount=100))
    worker.call(10).end(25)
    clock.mono += 2 * IDLE_SECONDS
    worker.admission.tick(clock.mono)
    worker.call(10)
    assert worker.broker.held["usd", 0] == 35


def test_what_was_overdrawn_in_a_period_that_is_over_is_forgotten(clock: Clock) -> None:
    """Nothing is lent of it any more."""
    worker = Worker(limit(amount=100, term=Term.DAY))
    worker.broker.begins, worker.broker.ends = clock.unix, clock.unix + 60
    worker.call(10).end(25)
    clock.mono += 61
    worker.admission.tick(clock.mono)
    assert worker.admission.remaining == {}


def test_what_is_left_goes_back_when_the_worker_ends() -> None:
    """All of it."""
    worker = Worker(limit(amount=100))
    worker.call(10).end(4)
    worker.admission.stop()
    assert worker.broker.returns == [Return("usd", 0, 6)]


def test_a_surplus_goes_back_at_once() -> None:
    """Calls that set much aside and took little do not keep others from it."""
    worker = Worker(limit(amount=1000))
    calls = [worker.call(100) for _ in range(6)]
    for each in calls:
        each.end(1)
    assert [each.amount for each in worker.broker.returns] == [295]
    assert worker.broker.unspent("usd") == 994


def test_an_answer_that_nobody_waits_for_goes_back() -> None:
    """It was given up before it came."""
    worker = Worker(limit(amount=100))
    worker.broker.held["usd", 0] = 7
    worker.admission.granted(Granted(99, "usd", 0, 7))
    worker.admission.granted(Granted(99, "usd", 0, 0))
    assert worker.broker.returns == [Return("usd", 0, 7)]


def test_a_call_belongs_to_the_period_that_it_was_admitted_in(clock: Clock) -> None:
    """It ends in another one: what it did not use goes back there, and the books say so."""
    worker = Worker(limit(amount=100, term=Term.DAY))
    worker.broker.period, worker.broker.begins, worker.broker.ends = 7, UNIX - 5.0, UNIX + 5.0
    old = worker.call(60)
    clock.mono += 10.0
    worker.broker.period, worker.broker.begins, worker.broker.ends = 8, UNIX + 5.0, UNIX + 99.0
    assert worker.call(100).status == 200
    assert old.end(10) == (Draw("usd", 7, 10),)
    assert worker.broker.returns == [Return("usd", 7, 50)]


# -- models, and a configuration that changes ----------------------------------------------------------------------


def test_a_models_own_limits_count_for_everybody() -> None:
    """By the name that callers use."""
    bound = Limit("of-m", Scope.MODEL, "m", Measure.REQUESTS, 1, Term.MINUTE)
    worker = Worker()
    snapshot = Snapshot(1, {}, {}, {}, {}, limits={"of-m": bound}, model_limits={"m": ("of-m",)})
    worker.broker.serve(worker.admission, snapshot.limits)
    worker.admission.adopt(snapshot)
    assert [worker.call(counted=model).status for model in ("m", "m", "n")] == [200, 429, 200]


def test_a_limit_with_another_amount_is_asked_for_anew() -> None:
    """What was left of the old one goes back; what calls hold is still theirs."""
    worker = Worker(limit(amount=100))
    worker.broker.extra = 50
    made = worker.call(10)
    worker.broker.extra = 0
    worker.adopt(limit(amount=20))
    assert worker.broker.returns == [Return("usd", 0, 50)]
    assert [worker.call(10).status for _ in range(2)] == [200, 402]
    assert made.end(3) == (Draw("usd", 0, 3),)


def test_the_same_limit_again_changes_nothing() -> None:
    """Most snapshots are about something else."""
    worker = Worker(limit(amount=100))
    worker.broker.extra = 50
    worker.call(10)
    worker.adopt(limit(amount=100))
    assert worker.broker.returns == []


def test_a_limit_that_is_gone_keeps_nobody() -> None:
    """Who waits for it goes on; what is left of it goes back, and the call that held it is settled by it."""
    worker = Worker(PLACES, queue=60.0)
    first, second = worker.call(), worker.call()
    worker.adopt()
    assert (first.status, second.status) == (200, 200)
    assert (first.end(), second.end()) == ((), ())


def test_callers_cannot_make_memory_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """They can invent any number of models."""
    monkeypatch.setattr(admission_module, "RULES_MAX", 3)
    worker = Worker(limit(amount=10**6))
    for number in range(10):
        worker.call(counted=f"m{number}")
    assert len(worker.admission._rules) <= 3


def test_by_default_nobody_is_asked() -> None:
    """An admission without a control process has no limits that could lack."""
    made = Admission()
    made.adopt(Snapshot(1, {}, {}, {}, {}))
    worker = Worker()
    worker.admission = made
    worker.principal = Principal("k", "key", "p")
    assert worker.call().status == 200
