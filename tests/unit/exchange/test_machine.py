"""The exchange machine, step by step; histories of many steps are in tests/simulation."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest

from tokenway.exchange import commands as c
from tokenway.exchange import events as e
from tokenway.exchange.deadlines import Deadline
from tokenway.exchange.machine import TABLE, Exchange, ImpossibleStepError
from tokenway.exchange.phases import Phase
from tokenway.exchange.timers import STEPS
from tokenway.metering.ledger import Settlement
from tokenway.model.catalog import Endpoint, Timeouts
from tokenway.model.errors import ErrorType, Problem
from tokenway.model.faults import Fault
from tokenway.model.usage import Usage

A, B = Endpoint("a", "m"), Endpoint("b", "m")
USAGE = Usage(input_uncached=3, output_text=2)
TIMEOUTS = Timeouts(connect=5.0, first_token=10.0, between_tokens=3.0, total=100.0)


def looks(*, before: int = 0, **look: object) -> tuple[e.Look, ...]:
    """How the latest attempt stands, behind `before` others."""
    return (*[e.Look()] * before, e.Look(**look))  # type: ignore[arg-type]


class Noted:
    """Equals the note of such a failure."""

    def __init__(self, attempt: int, endpoint: Endpoint, fault: Fault, retry_in: float | None) -> None:
        self.told = attempt, endpoint, fault, retry_in

    def __eq__(self, other: object) -> bool:
        assert isinstance(other, c.Note)
        return self.told == (other.attempt, other.endpoint, other.failure.fault, other.retry_in)

    __hash__ = None  # type: ignore[assignment]


def begun(*endpoints: Endpoint, stream: bool = True, retries: int = 2, **more: Any) -> tuple[Exchange, list[c.Command]]:
    """An exchange that was admitted at time 1, and the commands of its first attempt."""
    machine = Exchange()
    out = machine.feed(e.ClientRequest(1.0, e.Order(endpoints or (A, B), stream, 50, TIMEOUTS, retries, **more)))
    assert (out, machine.wake_at) == ([c.Reserve(50)], 101.0)
    return machine, machine.feed(e.Admitted(1.0))


def flowing() -> Exchange:
    """A stream whose first bytes have gone out at time 3."""
    machine, _ = begun()
    machine.feed(e.UpstreamOpen(2.0, 1))
    machine.feed(e.UpstreamHead(3.0, 1, 200))
    machine.feed(e.UpstreamBytes(3.0, 1, b"x"))
    return machine


def settle_of(out: list[c.Command]) -> c.Settle:
    """The settlement among these commands."""
    (found,) = [command for command in out if isinstance(command, c.Settle)]
    return found


def error_of(out: list[c.Command]) -> c.SendError:
    """The error, which is the last of these commands."""
    assert isinstance(out[-1], c.SendError)
    return out[-1]


def test_an_answer_in_one_piece() -> None:
    """Reserve, open, settle, head and end, in this order."""
    machine, out = begun(stream=False)
    assert (out, machine.wake_at) == ([c.Open(1, A)], 6.0)
    assert machine.feed(e.UpstreamOpen(2.0, 1)) == []
    assert machine.feed(e.UpstreamHead(3.0, 1, 200)) == []
    share = c.Share(1, A, Settlement.DELIVERED, USAGE, status=200)
    assert machine.feed(e.UpstreamEnd(4.0, 1, b"", USAGE)) == [
        c.Settle(Settlement.DELIVERED, (share,), 1, 200),
        c.SendHead(1),
        c.SendEnd(1),
    ]
    assert machine.endpoint_id == "a/m"
    assert machine.wake_at == inf
    assert machine.attempts == 1


def test_a_stream() -> None:
    """The first bytes begin the caller's answer, the rest passes by the machine, the end settles before it shows."""
    machine, _ = begun()
    assert machine.feed(e.UpstreamOpen(2.0, 1)) == []
    machine.feed(e.UpstreamHead(3.0, 1, 200))
    out = machine.feed(e.UpstreamBytes(3.0, 1, b"x"))
    assert out == [c.SendHead(1), c.SendBytes(b"x"), c.Splice(1)]
    out = machine.feed(e.UpstreamEnd(4.0, 1, b"y", USAGE))
    assert [type(command) for command in out] == [c.Settle, c.SendBytes, c.SendEnd]


def test_a_plan_without_endpoints_is_refused_before_money_moves() -> None:
    """Nothing is reserved for a request that nobody can serve."""
    machine = Exchange()
    (out,) = machine.feed(e.ClientRequest(1.0, e.Order((), False, 50, TIMEOUTS, 2)))
    assert isinstance(out, c.SendError)
    assert out.problem.status == 503
    assert machine.phase is Phase.CLOSED
    assert machine.endpoint_id == ""


def test_a_refusal_owes_nothing() -> None:
    """Without a reservation there is no settlement."""
    machine = Exchange()
    machine.feed(e.ClientRequest(1.0, e.Order((A,), False, 50, TIMEOUTS, 2)))
    problem = Problem(402, ErrorType.PAYMENT_REQUIRED, "no")
    assert machine.feed(e.Refused(1.0, problem)) == [c.SendError(problem, in_band=False)]


@pytest.mark.parametrize("way", [e.ClientGone(2.0), e.DeadlinePassed(101.0)])
def test_a_reservation_that_comes_too_late_is_given_back(way: e.Event) -> None:
    """A caller that left, or waited too long, before it was admitted pays nothing."""
    machine = Exchange()
    machine.feed(e.ClientRequest(1.0, e.Order((A,), False, 50, TIMEOUTS, 2)))
    out = machine.feed(way)
    assert not any(isinstance(command, c.Settle) for command in out)
    assert settle_of(machine.feed(e.Admitted(102.0))).settlement is Settlement.RELEASED


def test_a_failure_goes_to_the_next_endpoint_at_once() -> None:
    """A new endpoint owes nobody a pause; what was not sent is released."""
    machine, _ = begun()
    out = machine.feed(e.UpstreamFailed(2.0, 1, Fault.CONNECT))
    assert out == [Noted(1, A, Fault.CONNECT, 0.0), c.Open(2, B)]
    machine.feed(e.UpstreamOpen(2.0, 2))
    settle = settle_of(machine.feed(e.UpstreamEnd(3.0, 2, b"", USAGE)))
    assert [share.settlement for share in settle.shares] == [Settlement.RELEASED, Settlement.DELIVERED]


def test_a_deadline_that_moves_away_is_not_armed_anew() -> None:
    """Waking too early is cheap: the machine then arms what is really next."""
    machine, _ = begun(stream=False)
    assert machine.feed(e.UpstreamOpen(2.0, 1)) == []
    assert machine.wake_at == 6.0
    assert machine.feed(e.DeadlinePassed(6.0)) == []
    assert machine.wake_at == 51.5


def waits_for_a_whole_answer(*endpoints: Endpoint, **more: Any) -> Exchange:
    """An attempt at a whole answer was sent at 2.0; the exchange ends at 101.0."""
    machine, _ = begun(*endpoints, stream=False, **more)
    machine.feed(e.UpstreamOpen(2.0, 1))
    return machine


def test_a_silent_whole_answer_leaves_time_for_another_endpoint() -> None:
    """After half of what is left the next one is asked; the last one has all of it."""
    machine = waits_for_a_whole_answer()
    assert machine.feed(e.DeadlinePassed(51.4)) == []
    assert machine.feed(e.DeadlinePassed(51.5)) == [
        c.Cancel(1),
        Noted(1, A, Fault.FIRST_TOKEN_DEADLINE, 0.0),
        c.Open(2, B),
    ]
    machine.feed(e.UpstreamOpen(51.5, 2))
    assert machine.feed(e.DeadlinePassed(76.0)) == []
    assert settle_of(machine.feed(e.DeadlinePassed(101.0))).status == 504


def test_a_callers_hurry_is_not_held_against_an_endpoint() -> None:
    """Its own limits tell nothing of who was asked."""
    machine = waits_for_a_whole_answer(caps=Timeouts(total=100.0))
    assert machine.feed(e.DeadlinePassed(51.5))[1] == Noted(1, A, Fault.TOTAL_DEADLINE, 0.0)


def test_patience_is_shorter_where_an_answer_must_be_there_sooner() -> None:
    """Of the first attempt, whose endpoint's speed is known."""
    machine = waits_for_a_whole_answer(patience=10.0)
    assert machine.feed(e.DeadlinePassed(11.9)) == []
    assert c.Open(2, B) in machine.feed(e.DeadlinePassed(12.0))


@pytest.mark.parametrize("more", [{"retries": 0}, {}])
def test_nobody_turns_away_with_nowhere_to_go(more: dict[str, int]) -> None:
    """Neither without another endpoint nor without another try; and not where the budget is used up by then."""
    machine = waits_for_a_whole_answer(*(() if more else (A,)), **more)
    assert machine.feed(e.DeadlinePassed(60.0)) == []
    machine = waits_for_a_whole_answer()
    assert machine.feed(e.DeadlinePassed(51.5, may_retry=False)) == []
    assert machine.feed(e.DeadlinePassed(60.0)) == []


def test_the_same_endpoint_again_after_a_pause() -> None:
    """With every endpoint tried, the pause that the upstream named is kept."""
    machine, _ = begun(A)
    machine.feed(e.UpstreamOpen(2.0, 1))
    out = machine.feed(e.UpstreamFailed(2.0, 1, Fault.STATUS, status=429, retry_after=4.0))
    assert out == [Noted(1, A, Fault.STATUS, 4.0)]
    assert machine.feed(e.DeadlinePassed(5.0)) == []
    assert machine.wake_at == 6.0
    assert machine.feed(e.DeadlinePassed(6.0)) == [c.Open(2, A)]
    assert machine.wake_at == 11.0


@pytest.mark.parametrize(("retry_after", "status"), [(31.0, 429), (99.5, 429)])
def test_a_pause_too_long_is_told_instead(retry_after: float, status: int) -> None:
    """A pause beyond the bound, or beyond the exchange's end, is the caller's to wait."""
    machine, _ = begun(A)
    machine.feed(e.UpstreamOpen(2.0, 1))
    out = machine.feed(e.UpstreamFailed(2.0, 1, Fault.STATUS, status=status, retry_after=retry_after))
    error = error_of(out)
    assert error.problem.status == status
    assert error.problem.retry_after == retry_after


def test_the_callers_own_mistake_is_not_tried_elsewhere() -> None:
    """A 400 is told at once, in the upstream's words, and nobody pays."""
    machine, _ = begun()
    machine.feed(e.UpstreamOpen(2.0, 1))
    out = machine.feed(e.UpstreamFailed(2.0, 1, Fault.STATUS, status=400, body=b'{"error":{}}'))
    assert error_of(out).body == b'{"error":{}}'
    assert settle_of(out).settlement is Settlement.RELEASED


def test_retries_end() -> None:
    """After the last retry the caller is told, whatever is left untried."""
    machine, _ = begun(A, B, retries=0)
    out = machine.feed(e.UpstreamFailed(2.0, 1, Fault.CONNECT))
    assert error_of(out).problem.status == 502
    assert settle_of(out).winner == 0


def test_a_cut_after_the_first_bytes_is_told_in_the_stream() -> None:
    """The status is spent: the error goes into the stream, no other endpoint is asked, and we pay."""
    out = flowing().feed(e.UpstreamFailed(4.0, 1, Fault.CUT, usage=USAGE))
    assert error_of(out).in_band
    settle = settle_of(out)
    assert (settle.settlement, settle.status, settle.shares[0].usage) == (Settlement.ABSORBED, 200, USAGE)


def test_an_error_in_the_stream_passes_as_it_came_only_in_a_stream() -> None:
    """An upstream's error event is sent on behind the bytes before it; as a whole answer it would be no JSON."""
    failed = e.UpstreamFailed(4.0, 1, Fault.IN_BAND, "no", body=b"data: {}\n\n")
    assert error_of(flowing().feed(failed)).body == b"data: {}\n\n"
    machine, _ = begun(A, retries=0)
    machine.feed(e.UpstreamOpen(2.0, 1))
    assert error_of(machine.feed(failed)).body == b""


def test_a_caller_that_leaves_cancels_and_pays_what_was_counted() -> None:
    """The attempt is cancelled, and the count that its provider gave so far is billed."""
    out = flowing().feed(e.ClientGone(4.0, looks(usage=USAGE)))
    assert out[0] == c.Cancel(1)
    settle = settle_of(out)
    assert (settle.settlement, settle.status) == (Settlement.UPSTREAM_BILLED, 499)
    assert settle.shares[0].usage == USAGE
    assert not any(isinstance(command, c.SendError | c.SendEnd) for command in out)


def test_who_waits_for_an_answer_that_is_given_up_does_not_pay() -> None:
    """One of several answers failed: the others are cancelled at the gateway's cost."""
    out = flowing().feed(e.ClientGone(4.0, looks(usage=USAGE), waits=True))
    assert out[0] == c.Cancel(1)
    assert settle_of(out).settlement is Settlement.ABSORBED
    assert settle_of(out).shares[0].usage == USAGE


def test_a_mistake_of_the_gateways_ends_an_exchange_at_its_cost() -> None:
    """What is live is cancelled, what was counted is ours, and the caller is told: in the stream, if that has begun."""
    problem = Problem(500, ErrorType.SERVER, "a mistake")
    broken = e.Broken(4.0, problem, looks(usage=USAGE))
    out = flowing().feed(broken)
    settle = settle_of(out)
    assert (out[0], settle.settlement, settle.status) == (c.Cancel(1), Settlement.ABSORBED, 200)
    assert (settle.shares[0].usage, settle.error_type) == (USAGE, ErrorType.SERVER)
    assert error_of(out) == c.SendError(problem, in_band=True)
    machine, _ = begun()
    out = machine.feed(broken)
    assert (settle_of(out).settlement, settle_of(out).status) == (Settlement.RELEASED, 500)
    assert error_of(out) == c.SendError(problem, in_band=False)
    assert machine.feed(broken) == []


def test_a_caller_that_leaves_in_a_pause_pays_nothing() -> None:
    """Between two attempts nothing is made for it: what failed before is ours."""
    machine, _ = begun(A)
    machine.feed(e.UpstreamOpen(2.0, 1))
    machine.feed(e.UpstreamFailed(2.0, 1, Fault.RESET, dice=0.5))
    assert settle_of(machine.feed(e.ClientGone(2.1, looks(usage=USAGE)))).settlement is Settlement.ABSORBED


def test_a_caller_that_leaves_before_anything_was_sent_owes_nothing() -> None:
    """No provider did any work."""
    machine, _ = begun()
    assert settle_of(machine.feed(e.ClientGone(1.5))).settlement is Settlement.RELEASED


def test_deadlines_name_themselves() -> None:
    """Connect, first token, silence and the whole: each ends what it is about."""
    machine, _ = begun()
    out = machine.feed(e.DeadlinePassed(6.0))
    assert out[:2] == [c.Cancel(1), Noted(1, A, Fault.CONNECT_DEADLINE, 0.0)]
    machine.feed(e.UpstreamOpen(7.0, 2))
    out = machine.feed(e.DeadlinePassed(17.0, dice=0.5))
    assert out[:2] == [c.Cancel(2), Noted(2, B, Fault.FIRST_TOKEN_DEADLINE, 0.0)]
    out = flowing().feed(e.DeadlinePassed(6.1, looks(last_activity=3.0, has_text=True, usage=USAGE)))
    assert error_of(out).problem.status == 504
    assert settle_of(out).shares[0].fault == Fault.BETWEEN_TOKENS_DEADLINE
    assert settle_of(out).shares[0].usage == USAGE
    out = flowing().feed(e.DeadlinePassed(101.0, looks(last_activity=100.9, has_text=True, usage=USAGE)))
    assert settle_of(out).shares[0].fault == Fault.TOTAL_DEADLINE
    assert settle_of(out).shares[0].usage == USAGE


def test_a_stream_that_moves_is_not_silent() -> None:
    """The deadline moves with the last activity, so no chunk has to touch a timer."""
    machine = flowing()
    assert machine.feed(e.DeadlinePassed(6.0, looks(last_activity=5.0, has_text=True))) == []
    assert machine.wake_at == 8.0


def test_silence_before_the_first_text_is_not_yet_silence() -> None:
    """A role chunk commits the answer; until text comes the longer deadline holds."""
    machine = flowing()
    assert machine.feed(e.DeadlinePassed(6.0, looks(last_activity=3.0))) == []
    assert machine.wake_at == 9.0
    machine.feed(e.DeadlinePassed(9.0, looks(last_activity=3.0)))
    out = machine.feed(e.DeadlinePassed(12.0, looks(last_activity=3.0)))
    assert settle_of(out).shares[0].fault == Fault.FIRST_TOKEN_DEADLINE


def test_text_that_cannot_be_forwarded_yet_is_no_silence() -> None:
    """A translated call is written whole: while it arrives nothing is forwarded, and only silence ends the attempt."""
    machine, _ = begun(retries=0)
    machine.feed(e.UpstreamOpen(2.0, 1))
    machine.feed(e.UpstreamHead(3.0, 1, 200))
    assert machine.feed(e.DeadlinePassed(6.0, looks(last_activity=5.5, has_text=True))) == []
    assert machine.feed(e.DeadlinePassed(12.0, looks(last_activity=11.5, has_text=True))) == []
    out = machine.feed(e.DeadlinePassed(14.5, looks(last_activity=11.5, has_text=True)))
    assert settle_of(out).shares[0].fault == Fault.BETWEEN_TOKENS_DEADLINE


def test_the_first_text_clears_its_deadline() -> None:
    """When it passes and text has come, nothing happens."""
    machine = flowing()
    assert machine.feed(e.DeadlinePassed(12.0, looks(last_activity=11.0, has_text=True))) == []
    assert machine.wake_at == 14.0


def test_the_end_of_all_time_in_a_pause_keeps_the_last_count() -> None:
    """The total deadline in a pause between attempts tells of itself and does not touch what the last one counted."""
    machine = Exchange()
    order = e.Order((A,), True, 50, Timeouts(5.0, 10.0, 3.0, 10.0), 2)
    machine.feed(e.ClientRequest(1.0, order))
    machine.feed(e.Admitted(1.0))
    machine.feed(e.UpstreamOpen(1.0, 1))
    machine.feed(e.UpstreamFailed(2.0, 1, Fault.RESET, usage=USAGE, retry_after=8.0))
    out = machine.feed(e.DeadlinePassed(11.0))
    assert error_of(out).problem.status == 504
    assert settle_of(out).shares[0].usage == USAGE
    assert settle_of(out).shares[0].fault == Fault.RESET


def test_what_comes_from_a_cancelled_attempt_is_dropped() -> None:
    """A cancelled connection and its answer can cross."""
    machine, _ = begun()
    machine.feed(e.UpstreamOpen(2.0, 1))
    machine.feed(e.DeadlinePassed(12.0))
    for event in (
        e.UpstreamOpen(12.0, 1),
        e.UpstreamHead(12.0, 1, 200),
        e.UpstreamBytes(12.0, 1, b"x"),
        e.UpstreamEnd(12.0, 1, b"x", USAGE),
        e.UpstreamFailed(12.0, 1, Fault.RESET),
    ):
        assert machine.feed(event) == []
    assert machine.phase is Phase.TRYING


@pytest.mark.parametrize(
    "event",
    [
        e.UpstreamOpen(9.0, 1),
        e.UpstreamHead(9.0, 1, 200),
        e.UpstreamBytes(9.0, 1, b""),
        e.UpstreamEnd(9.0, 1, b"", None),
        e.UpstreamFailed(9.0, 1, Fault.RESET),
        e.DeadlinePassed(9.0),
        e.ClientGone(9.0),
        e.Refused(9.0, Problem(402, ErrorType.PAYMENT_REQUIRED, "no")),
    ],
)
def test_a_closed_exchange_says_nothing(event: e.Event) -> None:
    """What still arrives after the end concerns nobody."""
    machine = flowing()
    machine.feed(e.UpstreamEnd(4.0, 1, b"", USAGE))
    assert machine.feed(event) == []


def test_impossible_steps_raise() -> None:
    """A shell that reports what cannot be has a bug, and hears of it."""
    with pytest.raises(ImpossibleStepError, match="Admitted in phase FRESH"):
        Exchange().feed(e.Admitted(1.0))
    with pytest.raises(ImpossibleStepError, match="ClientRequest in phase FLOWING"):
        flowing().feed(e.ClientRequest(1.0, e.Order((), False, 0, TIMEOUTS, 0)))


def test_the_tables_are_complete() -> None:
    """Every deadline has its step, and a closed exchange takes every event but a new request."""
    assert set(STEPS) == set(Deadline)
    closed = {event for phase, event in TABLE if phase is Phase.CLOSED}
    assert closed == set(e.Event.__args__) - {e.ClientRequest}
