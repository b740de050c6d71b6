"""Who goes on, who waits, who is refused and why; and what comes back."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.unit.edge.calls import UNIX, Call, Clock, Worker, clock, limit
from tokenway.edge import admission as admission_module
from tokenway.edge.admission import Admission
from tokenway.edge.stocks import ANSWER_SECONDS
from tokenway.metering.lease import IDLE_SECONDS
from tokenway.metering.ledger import Draw, Trace
from tokenway.metering.terms import run_limit
from tokenway.model.limits import Limit, Measure, OnOutage, Scope, Term
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


def test_what_was_admitted_in_vain_comes_back_whole() -> None:
    """As when the journal cannot be written."""
    worker = Worker(limit(amount=100), PLACES)
    made = worker.call(60)
    assert made.claim is not None
    worker.admission.undo(made.claim)
    assert (worker.broker.unspent("usd"), worker.broker.unspent("concurrency")) == (100, 1)
    assert made.end(60) == ()


# -- rates ---------------------------------------------------------------------------------------------------------


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


def test_no_more_than_so_many_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """In one worker, and of one key: the next one is told at once that it is crowded."""
    monkeypatch.setattr(admission_module, "KEY_MAX", 2)
    worker = Worker(PLACES, queue=60.0)
    assert [worker.call().status for _ in range(4)] == [200, 0, 0, 429]
    monkeypatch.setattr(admission_module, "WAITING_MAX", 2)
    monkeypatch.setattr(admission_module, "KEY_MAX", 9)
    assert worker.call().status == 429


# -- money that others hold ----------------------------------------------------------------------------------------


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


# -- nobody can be asked -------------------------------------------------------------------------------------------


def test_leases_are_spent_while_nobody_can_be_asked(clock: Clock) -> None:
    """What they do not hold gets 503, for nobody knows whether there is money; then it is asked for again."""
    worker = Worker(limit(amount=100))
    worker.broker.extra = 20
    worker.call(10)
    worker.admission.cut()
    assert [worker.call(10).status for _ in range(3)] == [200, 200, 503]
    worker.admission.mended()
    assert worker.call(10).status == 200
    assert worker.broker.returns == []


def test_a_project_may_rather_be_refused() -> None:
    """At once, whatever its leases hold."""
    worker = Worker(limit(amount=100), outage=OnOutage.REFUSE)
    worker.broker.extra = 50
    worker.call(10)
    worker.admission.cut()
    problem = worker.call(10).problem
    assert problem is not None
    assert (problem.status, problem.code, problem.retry_after) == (503, "limits_unavailable", 1.0)
    worker.admission.mended()
    assert worker.call(10).status == 200


@pytest.mark.parametrize("outage", list(OnOutage))
def test_who_waits_when_the_control_process_goes_is_told(outage: OnOutage) -> None:
    """503, whichever the policy: its lease does not hold it."""
    worker = Worker(limit(amount=100), outage=outage)
    worker.is_held = True
    made = worker.call()
    worker.admission.cut()
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


# -- runs ----------------------------------------------------------------------------------------------------------


def test_each_run_has_its_own() -> None:
    """By its key and its own id; a call without a run counts for none."""
    worker = Worker(limit(Measure.REQUESTS, 1, per_run=True))
    assert [worker.call(run=run).status for run in ("a", "a", "b", "")] == [200, 429, 200, 200]
    [first, *_] = worker.broker.wants
    assert (first.limit, first.key_id, first.run) == (run_limit("requests", "k", "a"), "k", "a")
    assert worker.admission.remaining == {}


def test_a_run_that_has_reached_a_limit_is_told_which() -> None:
    """402 for money and 429 for all else; a retry does not help."""
    worker = Worker(limit(amount=15, per_run=True), limit(Measure.TOKENS, 60, per_run=True))
    worker.call(run="a").end(10, Usage(input_uncached=5))
    problem = worker.call(run="a").problem
    assert problem is not None
    assert (problem.status, problem.code, problem.should_retry) == (402, "run_limit_exceeded", False)
    assert (problem.details["run"], problem.details["reached"]) == ("a", "usd")
    other = Worker(limit(Measure.TOKENS, 60, per_run=True))
    other.call(run="a").end(0, Usage(input_uncached=25))
    problem = other.call(run="a").problem
    assert problem is not None
    assert (problem.status, problem.code, problem.details["reached"]) == (429, "run_limit_exceeded", "tokens")


def test_the_same_request_is_counted_by_what_it_says() -> None:
    """In whatever order, and whatever its metadata; each is asked for, and goes nowhere when it is over."""
    worker = Worker(limit(Measure.LOOPS, 2, per_run=True))
    bodies = [b'{"a":1,"b":2}', b'{"b": 2, "a": 1, "metadata": {"x": 1}}', b'{"a":1,"b":2}', b'{"a":2}']
    found = [worker.call(run="r", content=body) for body in bodies]
    assert [each.status for each in found] == [200, 200, 429, 200]
    assert len({want.detail for want in worker.broker.wants}) == 2
    assert [want.least for want in worker.broker.wants] == [1, 1, 1, 1]
    for each in found:
        assert each.end() == ()
    worker.admission.stop()
    assert worker.broker.returns == []


def test_agents_are_asked_about_by_name() -> None:
    """The run's own is at the top; another one is asked about once, with whom it works for."""
    worker = Worker(limit(Measure.DEPTH, 2, per_run=True))
    agents = [None, Trace("", ""), Trace("sub", "main"), Trace("sub", "main"), Trace("deeper", "sub")]
    calls = [worker.call(run="r", trace=trace) for trace in agents]
    assert [each.status for each in calls] == [200] * 5
    assert [want.detail for want in worker.broker.wants] == [("sub", "main"), ("deeper", "sub")]
    for each in calls[2:]:
        assert each.end() == ()


def test_an_agent_that_is_too_deep_is_refused() -> None:
    """429, and the whole run is told so."""
    worker = Worker(limit(Measure.DEPTH, 1, per_run=True))
    worker.broker.held[run_limit("depth", "k", "r") + "#deep", 0] = 1
    problem = worker.call(run="r", trace=Trace("deep", "sub")).problem
    assert problem is not None
    assert (problem.status, problem.details["reached"], problem.should_retry) == (429, "depth", False)


def test_depth_and_loops_are_let_go_while_nobody_can_be_asked() -> None:
    """Nobody knows how deep or how often; the other limits hold all the same."""
    worker = Worker(limit(Measure.LOOPS, 1, per_run=True), limit(Measure.DEPTH, 1, per_run=True), limit(amount=100))
    worker.broker.extra = 10
    worker.call(10, run="")
    worker.admission.cut()
    assert [worker.call(10, run="r", trace=Trace("sub", "main")).status for _ in range(2)] == [200, 503]


# -- models, and a configuration that changes ----------------------------------------------------------------------


def test_a_models_own_limits_count_for_everybody() -> None:
    """By the name that callers use."""
    bound = Limit("of-m", Scope.MODEL, "m", Measure.REQUESTS, 1, Term.MINUTE)
    worker = Worker()
    snapshot = Snapshot(1, {}, {}, {}, {}, limits={"of-m": bound}, model_limits={"m": ("of-m",)})
    worker.broker.serve(worker.admission, snapshot.limits)
    worker.admission.adopt(snapshot)
    assert [worker.call(model=model).status for model in ("m", "m", "n")] == [200, 429, 200]


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


def test_a_mistake_in_one_call_keeps_no_other() -> None:
    """It is told of it, and the next one goes on."""

    class Broken(Call):
        def admitted(self, at: float) -> None:
            raise KeyError(at)

    worker = Worker(PLACES, queue=60.0)
    first, broken = worker.call(), Broken(worker)
    first.end()
    assert isinstance(broken.mistake, KeyError)


def test_callers_cannot_make_memory_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """They can invent any number of models."""
    monkeypatch.setattr(admission_module, "RULES_MAX", 3)
    worker = Worker(limit(amount=10**6))
    for number in range(10):
        worker.call(model=f"m{number}")
    assert len(worker.admission._rules) <= 3


def test_by_default_nobody_is_asked() -> None:
    """An admission without a control process has no limits that could lack."""
    made = Admission()
    made.adopt(Snapshot(1, {}, {}, {}, {}))
    worker = Worker()
    worker.admission = made
    worker.principal = Principal("k", "key", "p")
    assert worker.call().status == 200


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
        assert self.worker.admission._waits == len(waiting)
        assert not waiting or self.worker.admission.is_waiting


AdmissionMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestAdmissionMachine = AdmissionMachine.TestCase
