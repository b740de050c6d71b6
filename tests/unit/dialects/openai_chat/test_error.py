"""Errors in OpenAI's shape."""

from __future__ import annotations

import json

import pytest

from tokenway.dialects.base import Maker, UpstreamError
from tokenway.dialects.openai_chat.error import TYPES, error_body, error_event, read_error, status_of
from tokenway.dialects.openai_chat.passing import PassingChat
from tokenway.dialects.openai_chat.request import parse
from tokenway.model.catalog import Operation
from tokenway.model.errors import ErrorType, Problem

PROBLEM = Problem(
    429, ErrorType.RATE_LIMIT_EXCEEDED, "slow \n down", param="p", code="c", details={"provider": "lab", "attempts": 2}
)

MAKER = Maker("gen-1", "m", 5, parse(Operation.CHAT, b'{"model":"m","messages":[]}'))


def test_a_body_has_the_four_keys_and_metadata() -> None:
    """What SDKs read stands where they look, and the kind of failure and its details in `metadata`."""
    assert json.loads(error_body(PROBLEM)) == {
        "error": {
            "message": "slow \n down",
            "type": "rate_limit_error",
            "param": "p",
            "code": "c",
            "metadata": {"error_type": "rate_limit_exceeded", "provider": "lab", "attempts": 2},
        }
    }


@pytest.mark.parametrize("kind", list(ErrorType))
def test_every_kind_has_a_type(kind: ErrorType) -> None:
    """No failure is without one of OpenAI's type strings."""
    assert TYPES[kind]
    assert json.loads(error_body(Problem(500, kind, "m")))["error"]["metadata"]["error_type"] == kind.value


def test_an_event_is_a_chunk_with_an_error() -> None:
    """An SDK raises on its `error`; who looks at choices only sees the finish reason `error`."""
    event = error_event(PROBLEM, MAKER)
    assert event.startswith(b"data: ")
    assert event.endswith(b"\n\n")
    assert event.count(b"\n") == 2
    chunk = json.loads(event[6:])
    assert (chunk["id"], chunk["object"], chunk["created"], chunk["model"]) == (
        "gen-1",
        "chat.completion.chunk",
        5,
        "m",
    )
    assert chunk["error"]["code"] == "c"
    assert chunk["choices"][0]["finish_reason"] == "error"


def test_an_event_without_a_code_has_the_status() -> None:
    """The status cannot be told any more where the head is out, so the event says it."""
    event = error_event(Problem(504, ErrorType.TIMEOUT, "m"), MAKER)
    assert json.loads(event[6:])["error"]["code"] == 504


def test_our_reader_knows_our_error() -> None:
    """A gateway behind a gateway takes the event for what it is."""
    reader = PassingChat()
    reader.feed(error_event(PROBLEM, MAKER), 1.0)
    assert reader.fault == "slow \n down"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            b'{"error":{"message":"No such model","type":"invalid_request_error","code":"model_not_found"}}',
            UpstreamError("No such model", "model_not_found", is_ours=True, type=ErrorType.NOT_FOUND),
        ),
        (
            b'{"error":{"code":503,"message":"busy","metadata":{"error_type":"provider_overloaded"}}}',
            UpstreamError("busy", "provider_overloaded", is_ours=True, type=ErrorType.PROVIDER_OVERLOADED),
        ),
        (
            b'{"error":{"code":403,"message":"flagged","metadata":{"reasons":["violence"],"flagged_input":"\xe2\x80\xa6"}}}',
            UpstreamError("flagged", "content_policy_violation", is_ours=True),
        ),
        (
            b'{"error":{"code":403,"message":"flagged","metadata":{"error_type":"content_policy_violation"}}}',
            UpstreamError("flagged", "content_policy_violation", is_ours=True),
        ),
        (b'{"error":{"code":429,"message":"m","metadata":{"raw":"x"}}}', UpstreamError("m", is_ours=True)),
        (
            b'{"object":"error","message":"This model\'s maximum context length is 4096 tokens.","code":400}',
            UpstreamError("This model's maximum context length is 4096 tokens.", "context_length_exceeded"),
        ),
        (
            b'{"error":{"message":"maximum context length is 8 tokens","type":"BadRequestError","code":400}}',
            UpstreamError("maximum context length is 8 tokens", "context_length_exceeded", is_ours=True),
        ),
        (b'{"error":"prompt is too long"}', UpstreamError("prompt is too long", "context_length_exceeded")),
        (b'{"error":"Model x does not exist"}', UpstreamError("Model x does not exist")),
        (b'{"message":"Unauthorized","request_id":"1"}', UpstreamError("Unauthorized")),
        (b'{"error_code":"PERMISSION_DENIED","message":"no"}', UpstreamError("no", "PERMISSION_DENIED")),
        (b'{"errors":[{"code":5007,"message":"No such model"}]}', UpstreamError("No such model")),
        (b'{"detail":[{"loc":["body"]}]}', UpstreamError('[{"loc":["body"]}]')),
        (b"<html>502</html>", UpstreamError()),
        (b"[1]", UpstreamError()),
        (b"{}", UpstreamError()),
    ],
)
def test_errors_of_all_shapes_are_read(body: bytes, expected: UpstreamError) -> None:
    """OpenAI's and OpenRouter's are ours; of the looser ones the message is found."""
    assert read_error(400, body) == expected


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Rate limit reached. Please try again in 1.5s.", 1.5),
        ("try again in 20ms", 0.02),
        ("try again in 6m0s", 360.0),
        ("try again in 1h2m3.5s", 3723.5),
        ("try again in " + "9" * 400 + "s", None),
        ("try again in " + "9" * 5000 + "m1s", None),
        ("try again later", None),
    ],
)
def test_advice_in_a_sentence_is_read(message: str, seconds: float | None) -> None:
    """OpenAI says in words how long to wait."""
    assert read_error(429, json.dumps({"error": {"message": message}}).encode()).retry_after == seconds


def test_advice_in_a_field_is_read() -> None:
    """OpenRouter says it in `availability`."""
    body = b'{"error":{"message":"m","availability":{"retry_after":7}}}'
    assert read_error(503, body).retry_after == 7.0
    assert read_error(503, body.replace(b"7", b"1e300")).retry_after is None


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ({"code": 529}, 529),
        ({"code": "429"}, 429),
        ({"status": 503}, 503),
        ({"code": "rate_limit_exceeded"}, 429),
        ({"type": "server_error"}, 500),
        ({"code": 200}, 0),
        ({"message": "m"}, 0),
        ("text", 0),
    ],
)
def test_an_error_in_a_stream_stands_for_a_status(error: object, status: int) -> None:
    """By its number, else by its words; 0 where it does not tell."""
    assert status_of(error) == status
