"""Which failure may be tried again, where, and after how long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenway.model.faults import Fault
from tokenway.routing.retry import BACKOFF_MAX, Verdict, pause, verdict


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.STATUS])
def test_what_is_no_status_may_pass(fault: Fault) -> None:
    """A broken connection, a deadline or a broken answer may go better next time; a wrong certificate will not."""
    assert verdict(fault) is (Verdict.ELSEWHERE if fault is Fault.TLS else Verdict.AGAIN)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        *((status, Verdict.FATAL) for status in (400, 406, 413, 415, 422, 431)),
        *((status, Verdict.ELSEWHERE) for status in (300, 401, 402, 403, 404, 405, 501)),
        *((status, Verdict.AGAIN) for status in (408, 409, 425, 429, 500, 502, 503, 504, 529, 599)),
    ],
)
def test_statuses(status: int, expected: Verdict) -> None:
    """The caller's own mistake is told, what concerns one provider is tried elsewhere, the rest may pass."""
    assert verdict(Fault.STATUS, status) is expected


@pytest.mark.parametrize("code", ["insufficient_quota", "context_length_exceeded", "billing_hard_limit_reached"])
@pytest.mark.parametrize("status", [400, 429])
def test_a_code_tells_what_the_status_does_not(code: str, status: int) -> None:
    """A spent account and a context too small do not get better here, and may be better elsewhere."""
    assert verdict(Fault.STATUS, status, code) is Verdict.ELSEWHERE


@pytest.mark.parametrize(
    ("status", "advice", "expected"),
    [
        (400, True, Verdict.AGAIN),
        (400, False, Verdict.FATAL),
        (429, False, Verdict.ELSEWHERE),
        (500, False, Verdict.ELSEWHERE),
        (401, True, Verdict.AGAIN),
    ],
)
def test_an_upstreams_advice_is_followed(status: int, advice: bool, expected: Verdict) -> None:
    """`x-should-retry` overrules the status; a refusal of service still leaves the other endpoints."""
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
