"""Which endpoint is next, and an attempt's share of a settlement."""

from __future__ import annotations

import pytest

from tokenway.exchange.attempts import Attempt, AttemptPhase, Choice, Field
from tokenway.exchange.commands import Share
from tokenway.metering.ledger import Settlement
from tokenway.model.catalog import Endpoint
from tokenway.model.faults import Fault
from tokenway.model.usage import Usage
from tokenway.routing.retry import Verdict

A, B, C = Endpoint("a", "m"), Endpoint("b", "m"), Endpoint("c", "m")


def test_untried_endpoints_come_first_and_at_once() -> None:
    """In the order of the plan, whatever the tried ones wait for."""
    field = Field((A, B, C), 3)
    assert field.begin(0) is A
    field.note(0, Verdict.AGAIN, 0.0)
    assert field.next(5.0) == Choice(1, 5.0)


def test_then_the_one_whose_pause_ends_first() -> None:
    """With all tried, the shortest wait decides, and a pause that is over does not reach into the past."""
    field = Field((A, B), 2)
    for slot, ready in ((0, 9.0), (1, 7.0)):
        field.begin(slot)
        field.note(slot, Verdict.AGAIN, ready)
    assert field.next(5.0) == Choice(1, 7.0)
    assert field.next(8.0) == Choice(1, 8.0)


@pytest.mark.parametrize("verdict", [Verdict.ELSEWHERE, Verdict.FATAL])
def test_an_endpoint_that_is_out_stays_out(verdict: Verdict) -> None:
    """Nothing is left when every endpoint sent us away."""
    field = Field((A,), 1)
    field.begin(0)
    field.note(0, verdict, 0.0)
    assert field.next(100.0) is None


def test_tries_are_counted_by_endpoint() -> None:
    """The pause doubles with each try of the same endpoint."""
    field = Field((A, B), 2)
    field.begin(0)
    field.begin(0)
    assert (field.tries(0), field.tries(1)) == (2, 0)


def test_nobody_is_raced_by_who_takes_no_call() -> None:
    """An endpoint that is broken or at its limit is asked when there is nobody else, and not beside one that lives."""
    field = Field((A, B, C), 2)
    field.begin(0)
    assert field.next_beside(0, 5.0) == Choice(1, 5.0)
    field.begin(1)
    assert field.next_beside(0, 5.0) is None
    assert field.takes_none() == {2}
    assert field.next(5.0) == Choice(2, 5.0)


@pytest.mark.parametrize(
    ("attempt", "expected"),
    [
        (Attempt(1, A, 0), Settlement.RELEASED),
        (Attempt(1, A, 0, was_sent=True), Settlement.ABSORBED),
        (Attempt(1, A, 0, was_sent=True, fault=Fault.RESET), Settlement.ABSORBED),
        (Attempt(1, A, 0, was_sent=True, fault=Fault.STATUS, status=500), Settlement.RELEASED),
        (Attempt(1, A, 0, was_sent=True, fault=Fault.STATUS, usage=Usage()), Settlement.ABSORBED),
    ],
)
def test_who_did_no_work_is_released(attempt: Attempt, expected: Settlement) -> None:
    """What was never sent, or turned away with a status and no count, costs nobody anything."""
    assert attempt.share(Settlement.ABSORBED).settlement is expected


def test_a_delivered_share_carries_everything() -> None:
    """Usage, status, fault and doubt go into the settlement as they are."""
    attempt = Attempt(
        2, B, 1, phase=AttemptPhase.OVER, was_sent=True, status=200, usage=Usage(output_text=3), absurd=True
    )
    assert attempt.share(Settlement.DELIVERED) == Share(
        2, B, Settlement.DELIVERED, Usage(output_text=3), absurd=True, status=200
    )
