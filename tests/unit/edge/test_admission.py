"""Leases: what is reserved cannot be spent twice, and what was not used comes back."""

from __future__ import annotations

import pytest

from tokenway.edge.admission import Admission
from tokenway.model.errors import Refusal
from tokenway.model.money import NanoUsd
from tokenway.model.snapshot import Principal, Snapshot


def principal(budget: int | None = 100, epoch: int = 0) -> Principal:
    """Alice with a budget in nano-dollars."""
    return Principal("k1", "alice", "default", budget=None if budget is None else NanoUsd(budget), budget_epoch=epoch)


def snapshot(*principals: Principal) -> Snapshot:
    """A snapshot of these keys."""
    return Snapshot(1, {}, {}, {}, {each.key_id: each for each in principals})


def admission(*principals: Principal) -> Admission:
    """Leases of these keys."""
    leases = Admission()
    leases.adopt(snapshot(*principals))
    return leases


def test_a_reservation_is_taken_out_and_the_rest_comes_back() -> None:
    """Sixty are held while the call runs; of them only what was charged is gone."""
    leases = admission(principal())
    lease = leases.reserve(principal(), 60)
    assert lease is not None
    assert (lease.left, lease.held) == (40, 60)
    lease.close(60, 25)
    assert (lease.left, lease.held) == (75, 0)
    assert leases.remaining == {"k1": 75}


def test_two_calls_cannot_spend_the_same_money() -> None:
    """402 for the second, with what is left and what it could cost; the whole rest may be reserved."""
    leases = admission(principal())
    leases.reserve(principal(), 60)
    with pytest.raises(Refusal) as refused:
        leases.reserve(principal(), 41)
    problem = refused.value.problem
    assert (problem.status, problem.code, problem.should_retry) == (402, "insufficient_quota", False)
    assert problem.details == {"limit_remaining": "0.00000004", "worst_case": "0.000000041"}
    assert leases.remaining == {"k1": 40}
    leases.reserve(principal(), 40)
    assert leases.remaining == {"k1": 0}


def test_an_empty_lease_admits_nothing_not_even_what_is_free() -> None:
    """A spent budget ends the key's calls; an overdrawn one shows as zero."""
    with pytest.raises(Refusal):
        admission(principal(0)).reserve(principal(0), 0)
    leases = admission(principal(10))
    lease = leases.reserve(principal(10), 10)
    assert lease is not None
    lease.close(10, 15)
    with pytest.raises(Refusal) as refused:
        leases.reserve(principal(10), 0)
    assert refused.value.problem.details["limit_remaining"] == "0"


def test_a_key_without_a_budget_is_never_counted() -> None:
    """There is no lease, whatever it costs."""
    free = principal(None)
    leases = admission(free)
    assert leases.reserve(free, 10**30) is None
    assert leases.remaining == {}


def test_the_same_grant_again_changes_nothing() -> None:
    """A new snapshot with the same epoch leaves what was spent spent; a raised amount adds the difference."""
    leases = admission(principal())
    lease = leases.reserve(principal(), 60)
    assert lease is not None
    lease.close(60, 30)
    leases.adopt(snapshot(principal()))
    assert leases.remaining == {"k1": 70}
    leases.adopt(snapshot(principal(150)))
    assert leases.remaining == {"k1": 120}


def test_a_new_epoch_begins_anew_and_bears_what_is_reserved() -> None:
    """A call that runs across the change is paid from the new grant, once."""
    leases = admission(principal())
    lease = leases.reserve(principal(), 60)
    assert lease is not None
    leases.adopt(snapshot(principal(200, epoch=1)))
    assert leases.remaining == {"k1": 140}
    lease.close(60, 10)
    assert leases.remaining == {"k1": 190}


def test_a_key_that_comes_back_bears_the_call_that_ran_meanwhile() -> None:
    """Taken out of the snapshot while a call runs, it is not listed, and its lease is not forgotten either."""
    leases = admission(principal())
    lease = leases.reserve(principal(), 60)
    assert lease is not None
    leases.adopt(snapshot())
    assert leases.remaining == {}
    leases.adopt(snapshot(principal()))
    assert leases.remaining == {"k1": 40}
    lease.close(60, 10)
    assert leases.remaining == {"k1": 90}


def test_a_key_that_is_gone_and_idle_leaves_nothing_behind() -> None:
    """Without an open call its lease goes with it, so that keys that come and go take no memory."""
    leases = admission(principal())
    leases.adopt(snapshot())
    assert leases._leases == {}
