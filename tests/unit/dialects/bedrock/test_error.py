"""Errors in Bedrock's shape."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tokenway.dialects.base import Maker, UpstreamError
from tokenway.dialects.bedrock.error import TYPES, error_body, error_event, failed, read_error
from tokenway.dialects.bedrock.request import parse
from tokenway.model.catalog import Operation
from tokenway.model.errors import ErrorType, Problem
from tokenway.model.event import Failed
from tokenway.wire.event_stream import make_message, parse_message

PROBLEM = Problem(429, ErrorType.RATE_LIMIT_EXCEEDED, "slow \n down", param="p", details={"attempts": 2})
MAKER = Maker("gen-1", "m", 0, parse(Operation.CHAT, b"{}", "m", stream=True))


def test_a_body_has_amazons_members() -> None:
    """`message` and `__type` are Amazon's; our kind of failure stands beside them."""
    assert json.loads(error_body(PROBLEM, "gen-1")) == {
        "message": "slow \n down",
        "__type": "ThrottlingException",
        "metadata": {"error_type": "rate_limit_exceeded", "param": "p", "request_id": "gen-1", "attempts": 2},
    }


def test_an_event_is_an_exception() -> None:
    """The stream ends in an exception that the service model has."""
    message = parse_message(error_event(PROBLEM, MAKER))
    assert message.text(":message-type") == "exception"
    assert message.text(":exception-type") == "throttlingException"
    assert json.loads(message.payload)["message"] == "slow \n down"
    assert json.loads(message.payload)["metadata"]["error_type"] == "rate_limit_exceeded"
    assert failed(message) == Failed("slow \n down", "throttlingException", 429)


@pytest.mark.parametrize("kind", list(ErrorType))
def test_every_kind_has_a_type(kind: ErrorType) -> None:
    """No failure is without an exception, in a body and in a stream."""
    problem = Problem(500, kind, "m")
    assert TYPES[kind].endswith("Exception")
    assert json.loads(error_body(problem, ""))["metadata"] == {"error_type": kind.value}
    assert failed(parse_message(error_event(problem, MAKER))).status in {400, 424, 429, 500, 503}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            b'{"message":"The provided model identifier is invalid."}',
            UpstreamError("The provided model identifier is invalid.", is_ours=True),
        ),
        (
            b'{"Message":"no","__type":"com.amazon.coral.service#ExpiredTokenException"}',
            UpstreamError("no", "ExpiredTokenException", is_ours=True, type=ErrorType.PROVIDER_AUTHENTICATION),
        ),
        (
            b'{"__type":"ThrottlingException:http://internal.amazon.com/x","message":"m"}',
            UpstreamError("m", "ThrottlingException", is_ours=True, type=ErrorType.RATE_LIMIT_EXCEEDED),
        ),
        (
            b'{"code":"ValidationException","message":null}',
            UpstreamError("", "ValidationException", True, ErrorType.INVALID_REQUEST),
        ),
        (
            b'{"__type":"ValidationException","message":"Input is too long for requested model."}',
            UpstreamError(
                "Input is too long for requested model.", "context_length_exceeded", True, ErrorType.INVALID_REQUEST
            ),
        ),
        (
            b'{"__type":"ThrottlingException","message":"Too many tokens per day, please wait."}',
            UpstreamError(
                "Too many tokens per day, please wait.", "insufficient_quota", True, ErrorType.RATE_LIMIT_EXCEEDED
            ),
        ),
        (b"<html>", UpstreamError()),
        (b"[]", UpstreamError()),
        (b'{"error":{"message":"another dialect"}}', UpstreamError()),
        (b"\xff", UpstreamError()),
    ],
)
def test_an_upstreams_error(body: bytes, expected: UpstreamError) -> None:
    """Both spellings of the message are read, and a type in any of Amazon's forms."""
    assert read_error(400, body) == expected


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("internalServerException", 500),
        ("modelStreamErrorException", 424),
        ("serviceUnavailableException", 503),
        ("throttlingException", 429),
        ("validationException", 400),
        ("somethingNewException", 0),
    ],
)
def test_an_exception_stands_for_a_status(kind: str, status: int) -> None:
    """Each exception of a stream has the status that it has as an answer."""
    message = make_message({":message-type": "exception", ":exception-type": kind}, b'{"message":"m"}')
    assert failed(parse_message(message)) == Failed("m", kind, status)


@pytest.mark.parametrize(
    ("headers", "payload", "expected"),
    [
        ({":error-code": "500", ":error-message": "broke"}, b"", Failed("broke", "500")),
        (
            {":exception-type": "modelStreamErrorException"},
            b'{"originalMessage":"o"}',
            Failed("o", "modelStreamErrorException", 424),
        ),
        ({}, b"not JSON", Failed("")),
    ],
)
def test_errors_that_are_no_exceptions(headers: dict[str, str], payload: bytes, expected: Failed) -> None:
    """An error without a model tells itself in headers; one that tells nothing is one all the same."""
    assert failed(parse_message(make_message({":message-type": "error", **headers}, payload))) == expected


def test_amazons_sdk_reads_our_errors() -> None:
    """The SDK sees code and message of a body, and raises on the end of a stream."""
    parsers = pytest.importorskip("botocore.parsers")
    session = pytest.importorskip("botocore.session")
    eventstream = pytest.importorskip("botocore.eventstream")
    exceptions = pytest.importorskip("botocore.exceptions")
    model = session.get_session().get_service_model("bedrock-runtime")
    parser = parsers.create_parser("rest-json")
    shape = model.operation_model("ConverseStream").output_shape
    response = {"status_code": 429, "headers": {}, "body": error_body(PROBLEM, "gen-1")}
    error: dict[str, Any] = parser.parse(response, shape)["Error"]
    assert error == {"Message": "slow \n down", "Code": "ThrottlingException"}

    class Body:
        """A body that came at once."""

        def stream(self) -> list[bytes]:
            """Its pieces."""
            return [error_event(PROBLEM, MAKER)]

    events = eventstream.EventStream(Body(), shape.members["stream"], parser._event_stream_parser, "ConverseStream")
    with pytest.raises(exceptions.EventStreamError, match=r"throttlingException.*slow"):
        list(events)
