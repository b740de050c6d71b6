"""Which failure may be tried again, where, after how long, and how many such tries a worker can afford."""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenway.model.faults import Fault
from tokenway.model.sample import Outcome
from tokenway.routing import retry
from tokenway.routing.retry import (
    BACKOFF_MAX,
    RetryBudget,
    Scope,
    Verdict,
    allowed_retries,
    outcome,
    pause,
    scope,
    verdict,
)

BY_CODE: Final = [
    *((code, Verdict.FATAL, Scope.REQUEST) for code in retry.CONTENT_CODES),
    *((code, Verdict.LARGER, Scope.REQUEST) for code in retry.CONTEXT_CODES),
    *((code, Verdict.ELSEWHERE, Scope.CREDENTIAL) for code in retry.SPENT_CODES),
    ("unsupported_value", Verdict.ELSEWHERE, Scope.REQUEST),
]


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.STATUS])
def test_what_is_no_status_may_pass(fault: Fault) -> None:
    """A broken connection, a deadline or a broken answer may go better next time; a wrong certificate will not."""
    assert verdict(fault) is (Verdict.ELSEWHERE if fault is Fault.TLS else Verdict.AGAIN)


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.STATUS])
def test_what_breaks_is_held_against_the_endpoint(fault: Fault) -> None:
    """All but the deadline that the caller may choose: a caller in a hurry closes no endpoint for others."""
    assert scope(fault) is (Scope.REQUEST if fault is Fault.TOTAL_DEADLINE else Scope.ENDPOINT)


@pytest.mark.parametrize(
    ("status", "expected", "whose"),
    [
        *((status, Verdict.FATAL, Scope.REQUEST) for status in (400, 406, 413, 415, 422, 431)),
        *((status, Verdict.ELSEWHERE, Scope.CREDENTIAL) for status in (401, 402, 403)),
        *((status, Verdict.ELSEWHERE, Scope.REQUEST) for status in (404, 405, 501)),
        *((status, Verdict.AGAIN, Scope.REQUEST) for status in (409, 425)),
        *((status, Verdict.AGAIN, Scope.ENDPOINT) for status in (408, 424, 500, 502, 503, 504, 529, 599)),
        (429, Verdict.AGAIN, Scope.CREDENTIAL),
        (300, Verdict.ELSEWHERE, Scope.ENDPOINT),
    ],
)
def test_statuses(status: int, expected: Verdict, whose: Scope) -> None:
    """The caller's own mistake is told, what concerns one provider is tried elsewhere, the rest may pass."""
    assert verdict(Fault.STATUS, status) is expected
    assert scope(Fault.STATUS, status) is whose


@pytest.mark.parametrize(("code", "expected", "whose"), BY_CODE)
@pytest.mark.parametrize("should_retry", [None, True, False])
@pytest.mark.parametrize(("fault", "status"), [(Fault.STATUS, 400), (Fault.STATUS, 429), (Fault.IN_BAND, 0)])
def test_a_code_tells_what_the_status_does_not(
    code: str, expected: Verdict, whose: Scope, should_retry: bool | None, fault: Fault, status: int
) -> None:
    """Refused content, a spent account and a context too small stay so, whatever status or advice comes with them."""
    assert verdict(fault, status, code, should_retry=should_retry) is expected
    assert scope(fault, status, code) is whose


@pytest.mark.parametrize(
    ("fault", "status", "code", "expected"),
    [
        (Fault.RESET, 0, "", Outcome.FAILED),
        (Fault.CUT, 200, "", Outcome.FAILED),
        (Fault.TOTAL_DEADLINE, 0, "", Outcome.LEFT),
        (Fault.SLOW, 200, "", Outcome.LEFT),
        (Fault.OUTRUN, 0, "", Outcome.LEFT),
        ("", 0, "", Outcome.LEFT),
        ("a fault of later versions", 500, "", Outcome.LEFT),
        (Fault.STATUS, 503, "", Outcome.FAILED),
        (Fault.STATUS, 401, "", Outcome.FAILED),
        (Fault.STATUS, 404, "", Outcome.FAILED),
        (Fault.STATUS, 429, "insufficient_quota", Outcome.LIMITED),
        (Fault.STATUS, 400, "", Outcome.LEFT),
        (Fault.STATUS, 400, "credit_balance_too_low", Outcome.FAILED),
        (Fault.STATUS, 400, "context_length_exceeded", Outcome.LEFT),
        (Fault.STATUS, 400, "unsupported_parameter", Outcome.LEFT),
        (Fault.STATUS, 403, "content_filter", Outcome.LEFT),
    ],
)
def test_what_routing_learns_of_a_failure(fault: str, status: int, code: str, expected: Outcome) -> None:
    """What no other endpoint would have said counts as a failure; what a caller did does not."""
    assert outcome(fault, status, code) is expected


def test_a_request_above_a_rate_is_not_too_large_for_others() -> None:
    """Groq's 413 for more tokens than its rate allows is about the credential; a plain 413 is the caller's."""
    assert verdict(Fault.STATUS, 413, "rate_limit_exceeded") is Verdict.ELSEWHERE
    assert scope(Fault.STATUS, 413, "rate_limit_exceeded") is Scope.CREDENTIAL
    assert verdict(Fault.STATUS, 413, "request_too_large") is Verdict.FATAL


@pytest.mark.parametrize(
    ("status", "advice", "expected"),
    [
        (400, True, Verdict.AGAIN),
        (400, False, Verdict.FATAL),
        (429, False, Verdict.ELSEWHERE),
        (409, False, Verdict.ELSEWHERE),
        (500, False, Verdict.ELSEWHERE),
        (401, True, Verdict.AGAIN),
        (401, False, Verdict.ELSEWHERE),
        (404, False, Verdict.ELSEWHERE),
    ],
)
def test_an_upstreams_advice_is_followed(status: int, advice: bool, expected: Verdict) -> None:
    """`x-should-retry` overrules the status; what is refused here only still leaves the other endpoints."""
    assert verdict(Fault.STATUS, status, should_retry=advice) is expected


@given(st.integers(1, 50), st.floats(0, 1, exclude_max=True))
def test_the_pause_is_full_jitter_of_a_doubling_bound(tries: int, dice: float) -> None:
    """Half a second at most after the first try, doubling to eight, and any share of it."""
    assert pause(tries, dice, None) == dice * min(8.0, 0.25 * 2.0**tries)
    assert pause(1, 0.999, None) < 0.5
    assert pause(tries, dice, None) < BACKOFF_MAX


@pytest.mark.parametrize(("named", "expected"), [(0.0, 0.0), (7.5, 7.5), (1000.0, 1000.0), (-1.0, 0.0)])
def test_a_named_pause_is_believed(named: float, expected: float) -> None:
    """Whatever the dice say, an upstream that names its pause is given it."""
    assert pause(3, 0.9, named) == expected


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"), [(2, 0, 2), (2, 1, 1), (2, 2, 0), (2, 9, 0), (0, 0, 0), (2, -5, 2)]
)
def test_a_caller_that_retries_leaves_less_to_us(ours: int, theirs: int, expected: int) -> None:
    """Each of its retries takes one of ours, so that the two do not multiply; nonsense changes nothing."""
    assert allowed_retries(ours, theirs) == expected


def granted(budget: RetryBudget, now: float) -> bool:
    """Whether the budget allows one more attempt; if so, it is made."""
    if not budget.is_open(now):
        return False
    budget.withdraw()
    return True


def test_a_quiet_worker_may_retry_and_a_busy_one_a_share_of_its_calls() -> None:
    """The first hundred are free, then a fifth of the calls and ten a second are granted."""
    budget = RetryBudget(0.0)
    assert [granted(budget, 0.0) for _ in range(101)] == [True] * 100 + [False]
    for _ in range(5):
        budget.deposit()
    assert granted(budget, 0.0)
    assert not granted(budget, 0.0)
    assert granted(budget, 0.11)
    assert not granted(budget, 0.11)


def test_savings_are_bounded() -> None:
    """Neither a long day of calls nor a long night without them pays for a storm."""
    budget = RetryBudget(0.0)
    for _ in range(10_000):
        budget.deposit()
    assert sum(granted(budget, 1e6) for _ in range(500)) == retry.BUDGET_MAX


def test_a_clock_that_steps_back_costs_nothing() -> None:
    """What was granted stays so, and time counts from where it was."""
    budget = RetryBudget(100.0, ratio=0.0, rate=1.0)
    for _ in range(100):
        assert granted(budget, 100.0)
    assert not granted(budget, 50.0)
    assert granted(budget, 101.0)


@given(
    st.lists(st.one_of(st.none(), st.floats(0, 5)), max_size=400),
    st.sampled_from([0.0, 0.1, 0.2, 1.0]),
    st.sampled_from([0.0, 0.5, 10.0]),
)
def test_retries_stay_a_share_of_the_calls(steps: list[float | None], ratio: float, rate: float) -> None:
    """However deposits and withdrawals alternate: never more than the ratio, the rate and the beginning allow."""
    budget = RetryBudget(0.0, ratio, rate)
    now, calls, retries = 0.0, 0, 0
    for step in steps:
        if step is None:
            calls += 1
            budget.deposit()
        else:
            now += step / 10
            retries += granted(budget, now)
        assert retries <= ratio * calls + rate * now + retry.BUDGET_FIRST + 1e-6
