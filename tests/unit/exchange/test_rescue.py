"""How an answer that has begun goes on elsewhere, or not."""

from __future__ import annotations

from math import inf

import msgspec
import pytest

from tokenway.exchange import commands as c
from tokenway.exchange import events as e
from tokenway.exchange.deadlines import Deadline
from tokenway.exchange.machine import Exchange
from tokenway.exchange.phases import Phase
from tokenway.exchange.timers import LOOK_SHARE, WINDOW_SHARE
from tokenway.metering.ledger import Settlement
from tokenway.model.catalog import Capabilities, Endpoint, Timeouts
from tokenway.model.faults import Fault
from tokenway.model.preferences import Rescue
from tokenway.model.usage import Usage

ABLE = Capabilities(prefill=True)
A, B = Endpoint("a", "m"), Endpoint("b", "m", capabilities=ABLE)
PLAIN = Endpoint("c", "m")
TIMEOUTS = Timeouts(connect=5.0, first_token=10.0, between_tokens=3.0, total=100.0)
USAGE = Usage(input_uncached=3, output_text=2)
SLOW = e.Look(has_text=True, last_activity=5.0, usage=USAGE, tps=3.0, shown=e.Shown.TEXT)


def flowing(
    *endpoints: Endpoint, rescue: Rescue = Rescue.FAULT, retries: int = 2, slow: frozenset[int] = frozenset()
) -> Exchange:
    """A stream whose first bytes have gone out at time 2."""
    machine = Exchange()
    order = e.Order(endpoints or (A, B), True, 50, TIMEOUTS, retries, rescue=rescue, min_tps=20.0, grace=4.0, slow=slow)
    machine.feed(e.ClientRequest(1.0, order))
    machine.feed(e.Admitted(1.0))
    machine.feed(e.UpstreamOpen(1.0, 1))
    machine.feed(e.UpstreamHead(2.0, 1, 200))
    machine.feed(e.UpstreamBytes(2.0, 1, b"x"))
    return machine


def cut(at: float = 3.0, shown: e.Shown = e.Shown.TEXT, **more: object) -> e.UpstreamFailed:
    """The first attempt's stream ends in the middle."""
    return e.UpstreamFailed(at, 1, Fault.CUT, shown=shown, **more)  # type: ignore[arg-type]


def settle_of(out: list[c.Command]) -> c.Settle:
    """The settlement among these commands."""
    (found,) = [command for command in out if isinstance(command, c.Settle)]
    return found


def test_a_broken_text_goes_on_where_prefill_is() -> None:
    """No second head; the caller pays for the part that answers, the lost one is ours."""
    machine = flowing(A, PLAIN, B)
    note, opened = machine.feed(cut())
    assert isinstance(note, c.Note)
    assert note.retry_in == 0.0
    assert opened == c.Open(2, B, resumes=True)
    assert machine.phase is Phase.RESCUING
    machine.feed(e.UpstreamOpen(3.0, 2))
    assert machine.feed(e.UpstreamBytes(4.0, 2, b"y")) == [c.Resume(2), c.SendBytes(b"y"), c.Splice(2)]
    out = machine.feed(e.UpstreamEnd(5.0, 2, b"z", USAGE))
    settle = settle_of(out)
    assert [share.settlement for share in settle.shares] == [Settlement.ABSORBED, Settlement.DELIVERED]
    assert (settle.settlement, settle.winner) == (Settlement.DELIVERED, 2)
    assert [type(command) for command in out] == [c.Settle, c.SendBytes, c.SendEnd]


def test_a_short_rest_may_come_at_once() -> None:
    """The continuation ends with its first piece."""
    machine = flowing()
    machine.feed(cut())
    machine.feed(e.UpstreamOpen(3.0, 2))
    out = machine.feed(e.UpstreamEnd(4.0, 2, b"y", USAGE))
    assert [type(command) for command in out] == [c.Settle, c.Resume, c.SendBytes, c.SendEnd]


def test_what_only_began_begins_anew_anywhere() -> None:
    """Without any text no prefill is needed."""
    machine = flowing(A, PLAIN)
    assert machine.feed(cut(shown=e.Shown.NOTHING))[-1] == c.Open(2, PLAIN, resumes=True)


@pytest.mark.parametrize(
    ("machine", "failure"),
    [
        (flowing(rescue=Rescue.OFF), cut()),
        (flowing(), cut(shown=e.Shown.OTHER)),
        (flowing(A, PLAIN), cut()),
        (flowing(retries=0), cut()),
        (flowing(), cut(may_retry=False)),
    ],
    ids=["off", "more than text was seen", "no prefill", "no retries", "no budget"],
)
def test_else_the_caller_is_told_in_the_stream(machine: Exchange, failure: e.UpstreamFailed) -> None:
    """Never silence, never an end that looks whole."""
    out = machine.feed(failure)
    assert isinstance(out[-1], c.SendError)
    assert out[-1].in_band
    assert settle_of(out).settlement is Settlement.ABSORBED


def test_a_continuation_that_fails_is_tried_elsewhere() -> None:
    """As long as there are endpoints and retries; the text that the caller has stays the same."""
    third = Endpoint("d", "m", capabilities=ABLE)
    machine = flowing(A, B, third)
    machine.feed(cut())
    out = machine.feed(e.UpstreamFailed(3.5, 2, Fault.STATUS, status=400, code="content_filter"))
    assert isinstance(out[-1], c.SendError)  # what is refused for what it says is not asked for elsewhere
    machine = flowing(A, B, third)
    machine.feed(cut())
    out = machine.feed(e.UpstreamFailed(3.5, 2, Fault.STATUS, status=400, code="invalid_request_error"))
    assert out[-1] == c.Open(3, third, resumes=True)  # how it is asked to go on is not the caller's mistake
    machine = flowing(A, B, third)
    machine.feed(cut())
    out = machine.feed(e.UpstreamFailed(3.5, 2, Fault.STATUS, status=503))
    assert out[-1] == c.Open(3, third, resumes=True)


def test_the_same_endpoint_may_go_on_when_there_is_no_other() -> None:
    """After its pause."""
    machine = flowing(B)
    (note,) = machine.feed(cut(dice=0.5))
    assert isinstance(note, c.Note)
    assert note.retry_in is not None
    assert note.retry_in > 0
    assert machine.feed(e.DeadlinePassed(3.0 + note.retry_in)) == [c.Open(2, B, resumes=True)]


def test_a_slow_stream_is_frozen_until_another_goes_on() -> None:
    """Nothing is lost before the continuation has something to say; then the slow one ends, and is ours to pay."""
    machine = flowing(rescue=Rescue.ON)
    assert machine.feed(e.DeadlinePassed(4.0, (SLOW,))) == [c.Freeze(1), c.Open(2, B, resumes=True)]
    machine.feed(e.UpstreamOpen(4.1, 2))
    out = machine.feed(e.UpstreamBytes(4.5, 2, b"y"))
    assert out == [c.Cancel(1, for_good=True), c.Resume(2), c.SendBytes(b"y"), c.Splice(2)]
    settle = settle_of(machine.feed(e.UpstreamEnd(5.0, 2, b"", USAGE)))
    slow, answer = settle.shares
    assert (slow.settlement, slow.fault, slow.usage) == (Settlement.ABSORBED, Fault.SLOW, USAGE)
    assert answer.settlement is Settlement.DELIVERED


def test_a_frozen_stream_that_fails_does_not_thaw() -> None:
    """It is over; the continuation, which is under way, is what is left."""
    machine = flowing(rescue=Rescue.ON)
    machine.feed(e.DeadlinePassed(4.0, (SLOW,)))
    machine.feed(e.UpstreamOpen(4.1, 2))
    (note,) = machine.feed(e.UpstreamFailed(4.2, 1, Fault.RESET))
    assert isinstance(note, c.Note)
    out = machine.feed(e.UpstreamBytes(4.5, 2, b"y"))
    assert out == [c.Resume(2), c.SendBytes(b"y"), c.Splice(2)]


def test_a_slow_stream_thaws_when_the_other_fails() -> None:
    """A slow answer is better than none; it is not tried again."""
    machine = flowing(rescue=Rescue.ON)
    machine.feed(e.DeadlinePassed(4.0, (SLOW,)))
    note, thaw = machine.feed(e.UpstreamFailed(4.5, 2, Fault.STATUS, status=500))
    assert isinstance(note, c.Note)
    assert thaw == c.Thaw(1)
    assert machine.phase is Phase.FLOWING
    assert machine.feed(e.DeadlinePassed(6.0, (SLOW, e.Look()))) == []
    settle = settle_of(machine.feed(e.UpstreamEnd(9.0, 1, b"", USAGE)))
    assert [share.settlement for share in settle.shares] == [Settlement.DELIVERED, Settlement.RELEASED]


def test_a_frozen_stream_waits_no_longer_than_the_grace_period() -> None:
    """A continuation without a first token by then is given up."""
    machine = flowing(rescue=Rescue.ON)
    machine.feed(e.DeadlinePassed(4.0, (SLOW,)))
    machine.feed(e.UpstreamOpen(4.0, 2))
    assert machine.feed(e.DeadlinePassed(7.9, (SLOW, e.Look()))) == []
    out = machine.feed(e.DeadlinePassed(8.0, (SLOW, e.Look())))
    assert [type(command) for command in out] == [c.Cancel, c.Note, c.Thaw]


@pytest.mark.parametrize(
    ("machine", "look"),
    [
        (flowing(rescue=Rescue.FAULT), SLOW),
        (flowing(A, PLAIN, rescue=Rescue.ON), SLOW),
        (flowing(rescue=Rescue.ON, retries=0), SLOW),
        (flowing(rescue=Rescue.ON, slow=frozenset({1})), SLOW),
        (flowing(rescue=Rescue.ON), e.Look(has_text=True, last_activity=4.0, tps=3.0)),
        (flowing(rescue=Rescue.ON), e.Look(has_text=True, last_activity=4.0, tps=25.0, shown=e.Shown.TEXT)),
    ],
    ids=["only faults", "no prefill", "no retries", "the other is slow too", "more than text", "fast enough"],
)
def test_else_a_slow_stream_goes_on(machine: Exchange, look: e.Look) -> None:
    """It is slow, and that is all."""
    assert machine.feed(e.DeadlinePassed(4.0, (look,))) == []
    assert machine.phase is Phase.FLOWING


def test_a_slow_stream_waits_for_the_budget() -> None:
    """Nothing is known of what its caller has seen, as that was not asked for: it is looked at again."""
    machine = flowing(rescue=Rescue.ON)
    unseen = e.Look(has_text=True, last_activity=4.0, tps=3.0)
    assert machine.feed(e.DeadlinePassed(4.0, (unseen,), may_retry=False)) == []
    assert machine.wake_at == 4.0 + 4.0 * LOOK_SHARE
    assert machine.feed(e.DeadlinePassed(5.0, (SLOW,))) == [c.Freeze(1), c.Open(2, B, resumes=True)]


def test_a_slow_stream_is_not_looked_at_as_long_as_nobody_can_go_on() -> None:
    """But for how fast it is when the pause of the only other endpoint ends; and never again where there is none."""
    machine = Exchange()
    machine.feed(
        e.ClientRequest(1.0, e.Order((B, A), True, 50, TIMEOUTS, 2, rescue=Rescue.ON, min_tps=20.0, grace=4.0))
    )
    machine.feed(e.Admitted(1.0))
    machine.feed(e.UpstreamFailed(1.5, 1, Fault.STATUS, status=503, retry_after=20.0))
    machine.feed(e.UpstreamOpen(1.5, 2))
    machine.feed(e.UpstreamHead(2.0, 2, 200))
    machine.feed(e.UpstreamBytes(2.0, 2, b"x"))
    looks = (e.Look(), msgspec.structs.replace(SLOW, last_activity=21.0))
    assert machine.feed(e.DeadlinePassed(4.0, looks)) == []
    assert machine.deadlines.time_of(Deadline.SLOW) == 21.5 - 4.0 * (WINDOW_SHARE + LOOK_SHARE)
    assert machine.feed(e.DeadlinePassed(21.0, looks)) == []
    assert machine.deadlines.time_of(Deadline.SLOW) == 21.0 + 4.0 * LOOK_SHARE
    assert machine.feed(e.DeadlinePassed(21.5, looks)) == [c.Freeze(2), c.Open(3, B, resumes=True)]
    alone = flowing(A, PLAIN, rescue=Rescue.ON)
    alone.feed(e.DeadlinePassed(4.0, (SLOW,)))
    assert alone.deadlines.time_of(Deadline.SLOW) == inf


def test_a_caller_who_leaves_a_rescue_pays_for_what_it_left() -> None:
    """The slow stream that it saw; after a break nobody's answer was under way but the continuation."""
    machine = flowing(rescue=Rescue.ON)
    machine.feed(e.DeadlinePassed(4.0, (SLOW,)))
    machine.feed(e.UpstreamOpen(4.0, 2))
    settle = settle_of(machine.feed(e.ClientGone(4.2, (SLOW, e.Look()))))
    assert [share.settlement for share in settle.shares] == [Settlement.UPSTREAM_BILLED, Settlement.ABSORBED]
    machine = flowing()
    machine.feed(cut())
    machine.feed(e.UpstreamOpen(3.0, 2))
    settle = settle_of(machine.feed(e.ClientGone(4.2, (e.Look(), e.Look(usage=USAGE)))))
    assert [share.settlement for share in settle.shares] == [Settlement.ABSORBED, Settlement.UPSTREAM_BILLED]


def test_the_total_deadline_ends_a_rescue_in_the_stream() -> None:
    """Whatever is frozen or on its way."""
    machine = flowing(rescue=Rescue.ON)
    machine.feed(e.DeadlinePassed(4.0, (SLOW,)))
    out = machine.feed(e.DeadlinePassed(101.0, (SLOW, e.Look())))
    assert {command.attempt for command in out if isinstance(command, c.Cancel)} == {1, 2}
    assert isinstance(out[-1], c.SendError)
    assert out[-1].in_band
