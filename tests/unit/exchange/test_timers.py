"""What follows when time has passed: races, limits of an endpoint, the speed of a stream."""

from __future__ import annotations

from math import inf

import pytest

from tokenway.exchange import commands as c
from tokenway.exchange import events as e
from tokenway.exchange.deadlines import Deadline
from tokenway.exchange.machine import Exchange
from tokenway.exchange.phases import Phase
from tokenway.exchange.timers import LOOK_SHARE, STEPS
from tokenway.metering.ledger import Settlement
from tokenway.model.catalog import Endpoint, Timeouts
from tokenway.model.faults import Fault
from tokenway.model.preferences import Rescue
from tokenway.model.usage import Usage

A, B, C = Endpoint("a", "m"), Endpoint("b", "m"), Endpoint("c", "m")
TIMEOUTS = Timeouts(connect=5.0, first_token=10.0, between_tokens=3.0, total=100.0)
USAGE = Usage(input_uncached=3, output_text=2)
TEXT = e.Look(has_text=True, last_activity=50.0)


def sent(*endpoints: Endpoint, **more: object) -> Exchange:
    """An exchange whose first attempt was handed over at time 1."""
    machine = Exchange()
    order = e.Order(endpoints or (A, B), True, 50, TIMEOUTS, 2, **more)  # type: ignore[arg-type]
    machine.feed(e.ClientRequest(1.0, order))
    machine.feed(e.Admitted(1.0))
    machine.feed(e.UpstreamOpen(1.0, 1))
    return machine


def passed(at: float, *looks: e.Look, **more: bool) -> e.DeadlinePassed:
    """A look at the clock, with a budget for everything."""
    return e.DeadlinePassed(at, looks, **({"may_hedge": True} | more))


def settle_of(out: list[c.Command]) -> c.Settle:
    """The settlement among these commands."""
    (found,) = [command for command in out if isinstance(command, c.Settle)]
    return found


def test_every_deadline_has_a_step() -> None:
    """None passes unnoticed."""
    assert set(STEPS) == set(Deadline)


def test_a_late_first_token_starts_a_race() -> None:
    """The other endpoint is asked as well, once, and whoever speaks first is heard; the loser is ours to pay."""
    machine = sent(A, B, C, hedge_after=2.0)
    assert machine.wake_at == 3.0
    assert machine.feed(passed(3.0, e.Look())) == [c.Open(2, B, hedge=True)]
    machine.feed(e.UpstreamOpen(3.0, 2))
    assert machine.feed(passed(8.0, e.Look(), e.Look())) == []
    out = machine.feed(e.UpstreamBytes(4.0, 2, b"x"))
    assert out == [c.Cancel(1, for_good=True), c.SendHead(2), c.SendBytes(b"x"), c.Splice(2)]
    settle = settle_of(machine.feed(e.UpstreamEnd(5.0, 2, b"", USAGE)))
    assert [(share.attempt, share.settlement, share.fault) for share in settle.shares] == [
        (1, Settlement.ABSORBED, Fault.OUTRUN),
        (2, Settlement.DELIVERED, ""),
    ]
    assert settle.winner == 2


@pytest.mark.parametrize(
    ("look", "may_hedge", "endpoints"),
    [
        (e.Look(has_text=True), True, (A, B)),
        (e.Look(), False, (A, B)),
        (e.Look(), True, (A,)),
        (e.Look(), True, (A, Endpoint("a", "m"))),
    ],
    ids=["it has begun", "no budget", "nobody else", "the same endpoint with another key"],
)
def test_a_race_needs_a_reason_a_budget_and_another_endpoint(
    look: e.Look, may_hedge: bool, endpoints: tuple[Endpoint, ...]
) -> None:
    """Without one of them the first attempt goes on alone."""
    machine = sent(*endpoints, hedge_after=2.0)
    assert machine.feed(passed(3.0, look, may_hedge=may_hedge)) == []
    assert machine.attempts == 1


def test_the_first_may_win_its_race() -> None:
    """Then the second is cancelled, and the caller pays for the first alone."""
    machine = sent(hedge_after=2.0)
    machine.feed(passed(3.0, e.Look()))
    out = machine.feed(e.UpstreamEnd(4.0, 1, b"", USAGE))
    assert out[0] == c.Cancel(2, for_good=True)
    assert [share.settlement for share in settle_of(out).shares] == [Settlement.DELIVERED, Settlement.RELEASED]


def test_a_racer_that_fails_leaves_the_other_alone() -> None:
    """Nothing is retried while one is under way; when both have failed, the retries begin."""
    machine = sent(A, B, C, hedge_after=2.0)
    machine.feed(passed(3.0, e.Look()))
    (note,) = machine.feed(e.UpstreamFailed(4.0, 2, Fault.RESET))
    assert isinstance(note, c.Note)
    assert note.retry_in is None
    _, opened = machine.feed(e.UpstreamFailed(5.0, 1, Fault.RESET))
    assert opened == c.Open(3, C)


def test_who_leaves_a_race_pays_for_one() -> None:
    """The first attempt; the hedge is ours."""
    machine = sent(hedge_after=2.0)
    machine.feed(passed(3.0, e.Look()))
    machine.feed(e.UpstreamOpen(3.0, 2))
    settle = settle_of(machine.feed(e.ClientGone(4.0, (e.Look(usage=USAGE), e.Look(usage=USAGE)))))
    assert [share.settlement for share in settle.shares] == [Settlement.UPSTREAM_BILLED, Settlement.ABSORBED]
    assert [share.usage for share in settle.shares] == [USAGE, USAGE]


def test_each_racer_has_its_own_deadlines() -> None:
    """The first one's silence ends the first one; the second has ten seconds of its own."""
    machine = sent(hedge_after=2.0)
    machine.feed(passed(3.0, e.Look()))
    machine.feed(e.UpstreamOpen(3.5, 2))
    out = machine.feed(passed(11.0, e.Look(), e.Look()))
    assert [type(command) for command in out] == [c.Cancel, c.Note]
    assert machine.feed(passed(13.4, e.Look(), e.Look())) == []
    out = machine.feed(passed(13.5, e.Look(), e.Look()))
    assert out[0] == c.Cancel(2)


def test_an_endpoint_may_have_less_time() -> None:
    """Its own deadlines hold for its attempts: the total for one of them, after which another endpoint goes on."""
    hasty = Endpoint("a", "m", timeouts=Timeouts(1.0, 2.0, 0.5, 4.0))
    machine = sent(hasty, B)
    assert machine.feed(passed(2.9, e.Look())) == []
    out = machine.feed(passed(3.0, e.Look()))
    assert [type(command) for command in out] == [c.Cancel, c.Note, c.Open]
    machine = sent(hasty, B)
    machine.feed(e.UpstreamHead(1.5, 1, 200))
    out = machine.feed(passed(5.0, e.Look(has_text=True, last_activity=4.9)))
    assert isinstance(out[1], c.Note)
    assert out[1].failure.fault is Fault.TOTAL_DEADLINE
    assert out[2] == c.Open(2, B)


def test_a_caller_may_leave_an_endpoint_less_time() -> None:
    """Of each deadline the earlier holds."""
    patient = Endpoint("a", "m", timeouts=Timeouts(1.0, 60.0, 60.0, 600.0))
    caps = Timeouts(inf, 2.0, inf, inf)
    machine = sent(patient, B, caps=caps)
    assert machine.wake_at <= 3.0
    assert c.Open(2, B) in machine.feed(passed(3.0, e.Look()))


def test_the_speed_is_looked_at_where_something_follows_from_it() -> None:
    """From its beginning on, again and again."""
    watched = sent(rescue=Rescue.ON, min_tps=20.0, grace=4.0)
    watched.feed(e.UpstreamBytes(2.0, 1, b"x"))
    assert watched.wake_at == 2.0 + 4.0 * LOOK_SHARE
    watched.feed(passed(4.0, e.Look(has_text=True, last_activity=4.0, tps=25.0)))
    assert watched.wake_at == 4.0 + 4.0 * LOOK_SHARE
    plain = sent(rescue=Rescue.FAULT, min_tps=20.0, grace=4.0)
    plain.feed(e.UpstreamBytes(2.0, 1, b"x"))
    assert plain.deadlines.time_of(Deadline.SLOW) == inf


def test_a_slow_answer_that_is_wanted_whole_is_raced_to_the_end() -> None:
    """Nothing of it is shown, so that another endpoint can begin anew; the first whole one counts."""
    machine = sent(rescue=Rescue.ON, min_tps=20.0, grace=4.0)
    machine.feed(e.UpstreamText(2.0, 1))
    slow = e.Look(has_text=True, last_activity=4.0, tps=5.0)
    assert machine.feed(passed(4.0, slow)) == [c.Open(2, B, hedge=True)]
    machine.feed(e.UpstreamOpen(4.0, 2))
    assert machine.feed(e.UpstreamText(4.5, 2)) == []
    assert machine.phase is Phase.TRYING
    out = machine.feed(e.UpstreamEnd(6.0, 2, b"", USAGE))
    assert out[0] == c.Cancel(1, for_good=True)
    assert out[-2:] == [c.SendHead(2), c.SendEnd(2)]


def test_the_first_text_decides_a_race_for_an_answer_that_is_wanted_whole() -> None:
    """As the first bytes do for a stream."""
    machine = sent(hedge_after=2.0)
    machine.feed(passed(3.0, e.Look()))
    assert machine.feed(e.UpstreamText(3.5, 1)) == [c.Cancel(2, for_good=True)]
    assert machine.feed(e.UpstreamFailed(4.0, 1, Fault.CUT))[-1] == c.Open(3, B)  # nothing was shown: from the start
