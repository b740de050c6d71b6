"""What a caller is told when no attempt gave an answer."""

from __future__ import annotations

import pytest

from tokenway.exchange.events import UpstreamFailed
from tokenway.exchange.problems import no_endpoint, passes_unchanged, problem_of
from tokenway.model.catalog import Endpoint
from tokenway.model.errors import ErrorType
from tokenway.model.faults import DEADLINES, Fault

ENDPOINT = Endpoint("lab", "org/model")
BODY = b'{"error":{"message":"no"}}'


def status(number: int, body: bytes = b"") -> UpstreamFailed:
    """An error status."""
    return UpstreamFailed(1.0, 1, Fault.STATUS, "no", number, body=body)


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.STATUS])
def test_every_fault_has_a_sentence(fault: Fault) -> None:
    """The endpoint and what it did are named; a deadline is 504, everything else 502."""
    problem = problem_of(UpstreamFailed(1.0, 1, fault), ENDPOINT, 1)
    assert problem.message.startswith("The endpoint lab/org/model ")
    assert problem.status == (504 if fault in DEADLINES else 502)
    assert problem.code == fault.value
    assert problem.should_retry is True
    assert problem.details == {"provider": "lab", "fault": fault.value, "attempts": 1}


@pytest.mark.parametrize(
    ("number", "told", "kind"),
    [
        (400, 400, ErrorType.INVALID_REQUEST),
        (401, 401, ErrorType.PROVIDER_AUTHENTICATION),
        (402, 502, ErrorType.PROVIDER_UNAVAILABLE),
        (403, 403, ErrorType.PROVIDER_AUTHENTICATION),
        (404, 404, ErrorType.INVALID_REQUEST),
        (408, 504, ErrorType.TIMEOUT),
        (429, 429, ErrorType.RATE_LIMIT_EXCEEDED),
        (500, 502, ErrorType.PROVIDER_UNAVAILABLE),
        (503, 503, ErrorType.PROVIDER_OVERLOADED),
        (504, 504, ErrorType.TIMEOUT),
        (529, 503, ErrorType.PROVIDER_OVERLOADED),
    ],
)
def test_statuses(number: int, told: int, kind: ErrorType) -> None:
    """Without words of its own an upstream's status becomes one that the caller can act on."""
    problem = problem_of(status(number), ENDPOINT, 1)
    assert (problem.status, problem.type) == (told, kind)
    assert f"status {number}" in problem.message
    assert problem.should_retry is (told in {429, 502, 503, 504})


@pytest.mark.parametrize(
    ("number", "passes"), [(400, True), (429, True), (500, True), (529, True), (401, False), (402, False), (403, False)]
)
def test_an_upstreams_own_words_pass_with_its_status(number: int, passes: bool) -> None:
    """Unless they speak of the gateway's credentials, which are not the caller's."""
    failure = status(number, BODY)
    assert passes_unchanged(failure) is passes
    if passes:
        assert problem_of(failure, ENDPOINT, 1).status == number


def test_an_error_in_the_stream_passes_with_any_status() -> None:
    """Its bytes are an event of the dialect; without bytes there is nothing to pass."""
    assert passes_unchanged(UpstreamFailed(1.0, 1, Fault.IN_BAND, body=b"data: {}\n\n"))
    assert not passes_unchanged(UpstreamFailed(1.0, 1, Fault.IN_BAND))


def test_advice_and_attempts_are_told() -> None:
    """How long to wait, the upstream's code and how many attempts were made."""
    failure = UpstreamFailed(1.0, 3, Fault.STATUS, "slow down", 429, "rate_limit", retry_after=7.0)
    problem = problem_of(failure, ENDPOINT, 3)
    assert problem.retry_after == 7.0
    assert problem.code == "rate_limit"
    assert problem.message.endswith("answered with status 429: slow down (3 attempts).")


@pytest.mark.parametrize("detail", ["It ended.", "It ended"])
def test_a_sentence_in_a_sentence_ends_once(detail: str) -> None:
    """What a connection says about itself is a sentence, what a provider says may be one."""
    problem = problem_of(UpstreamFailed(1.0, 1, Fault.RESET, detail), ENDPOINT, 1)
    assert problem.message.endswith("complete: It ended.")


def test_no_endpoint_is_not_worth_a_retry() -> None:
    """An empty plan stays empty until the configuration changes."""
    problem = no_endpoint()
    assert (problem.status, problem.should_retry) == (503, False)
