"""Errors in Anthropic's shape."""

from __future__ import annotations

import json

import pytest

from tests.unit.dialects.anthropic.samples import MAKER
from tokenway.dialects.anthropic.error import TYPES, error_body, error_event, read_error, status_of
from tokenway.dialects.anthropic.passing import PassingMessages
from tokenway.dialects.base import UpstreamError
from tokenway.model.errors import ErrorType, Problem

PROBLEM = Problem(
    429, ErrorType.RATE_LIMIT_EXCEEDED, "slow \n down", param="p", code="c", details={"provider": "lab", "attempts": 2}
)

SPENT = b"enforced_spend_limit_reached"


def test_a_body_has_anthropics_shape_and_ours_beside_it() -> None:
    """What SDKs read stands where they look; the kind of failure and its details beside it."""
    assert json.loads(error_body(PROBLEM, "gen-1")) == {
        "type": "error",
        "error": {
            "type": "rate_limit_error",
            "message": "slow \n down",
            "error_type": "rate_limit_exceeded",
            "param": "p",
            "code": "c",
            "provider": "lab",
            "attempts": 2,
        },
        "request_id": "gen-1",
    }


def test_details_do_not_hide_the_error() -> None:
    """A detail of the same name as a member of Anthropic's loses."""
    problem = Problem(500, ErrorType.SERVER, "m", details={"type": "x", "message": "y"})
    assert json.loads(error_body(problem, "g"))["error"] == {
        "type": "api_error",
        "message": "m",
        "error_type": "server",
    }


@pytest.mark.parametrize("kind", list(ErrorType))
def test_every_kind_has_a_type_with_a_status(kind: ErrorType) -> None:
    """No failure is without one of Anthropic's types."""
    assert status_of(TYPES[kind]) >= 400


def test_a_refused_key_of_the_gateway_keeps_its_status() -> None:
    """A provider's 403 is told as one, and that it is about the gateway's own key."""
    error = json.loads(error_body(Problem(403, ErrorType.PROVIDER_AUTHENTICATION, "m"), "g"))["error"]
    assert (error["type"], error["error_type"]) == ("permission_error", "provider_authentication")


def test_an_event_is_named_error() -> None:
    """The SDK raises on the event's name."""
    found = error_event(PROBLEM, MAKER)
    assert found.startswith(b"event: error\ndata: {")
    assert found.endswith(b"}\n\n")
    assert found.count(b"\n") == 3


def test_our_reader_knows_our_error() -> None:
    """A gateway behind a gateway takes the event for what it is."""
    reader = PassingMessages()
    reader.feed(error_event(PROBLEM, MAKER), 1.0)
    assert reader.fault == "slow \n down"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}',
            UpstreamError("Overloaded", "overloaded_error", is_ours=True, type=ErrorType.PROVIDER_OVERLOADED),
        ),
        (
            b'{"type":"error","error":{"type":"rate_limit_error","message":"m","details":{"error_code":"%b"}}}' % SPENT,
            UpstreamError("m", "enforced_spend_limit_reached", is_ours=True, type=ErrorType.PAYMENT_REQUIRED),
        ),
        (
            b'{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low."}}',
            UpstreamError(
                "Your credit balance is too low.", "credit_balance_too_low", True, ErrorType.PAYMENT_REQUIRED
            ),
        ),
        (
            b'{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 9 tokens > 8"}}',
            UpstreamError(
                "prompt is too long: 9 tokens > 8", "context_length_exceeded", True, ErrorType.INVALID_REQUEST
            ),
        ),
        (
            b'{"type":"error","error":{"type":"of_tomorrow","message":"m"}}',
            UpstreamError("m", "of_tomorrow", is_ours=True),
        ),
        (b'{"error":{"message":"m"}}', UpstreamError("m")),
        (b'{"error":"down"}', UpstreamError("down")),
        (b"<html>", UpstreamError()),
        (b"[]", UpstreamError()),
        (b"{}", UpstreamError()),
    ],
)
def test_an_upstreams_error_is_read(body: bytes, expected: UpstreamError) -> None:
    """Anthropic's types are told apart; another shape gives what it says."""
    assert read_error(400, body) == expected
