"""Errors of this API: bodies, the end of a stream, and what upstreams say."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import openai
import pytest
from openai.types.responses import ResponseFailedEvent

from tests.unit.dialects.openai_responses.made import client, decoded, maker, read_all
from tokenway.dialects.base import FAULT_TEXT, UpstreamError
from tokenway.dialects.openai_responses.error import error_body, error_code, error_event, read_error
from tokenway.dialects.openai_responses.passing import PassingResponses
from tokenway.dialects.openai_responses.writer import Writer
from tokenway.model.errors import ErrorType, Problem
from tokenway.model.event import Added, Event, Failed, Opened, PartKind, Started

PROBLEM = Problem(429, ErrorType.RATE_LIMIT_EXCEEDED, "slow down", param="p", code="c", details={"provider": "lab"})
_BEGUN: list[Event] = [Started(), Opened(0, PartKind.TEXT), Added(0, "Hel")]
BROKEN = Problem(502, ErrorType.PROVIDER_UNAVAILABLE, "it broke")


def test_a_body_has_openais_shape_and_the_kind_of_failure() -> None:
    """The kind stands at the top level, as OpenRouter has it, and in `metadata`."""
    assert json.loads(error_body(PROBLEM, "gen-7")) == {
        "error": {
            "message": "slow down",
            "type": "rate_limit_error",
            "param": "p",
            "code": "c",
            "metadata": {"error_type": "rate_limit_exceeded", "provider": "lab"},
        },
        "error_type": "rate_limit_exceeded",
    }


def test_the_sdk_raises_for_a_body() -> None:
    """With the message and the code where it looks."""
    sdk = client(error_body(PROBLEM, "gen-7"), is_stream=False, status=429)
    with pytest.raises(openai.RateLimitError) as raised:
        sdk.responses.create(model="m", input="hi")
    assert (raised.value.code, raised.value.param) == ("c", "p")


@pytest.mark.parametrize(
    ("problem", "code"),
    [
        (BROKEN, "server_error"),
        (Problem(429, ErrorType.RATE_LIMIT_EXCEEDED, "x"), "rate_limit_exceeded"),
        (Problem(400, ErrorType.INVALID_REQUEST, "x"), "invalid_prompt"),
        (Problem(400, ErrorType.INVALID_REQUEST, "x", code="context_length_exceeded"), "context_length_exceeded"),
    ],
)
def test_a_broken_stream_ends_with_a_failed_response(problem: Problem, code: str) -> None:
    """The SDK's type takes it, and the code says whether to try again."""
    event = error_event(problem, maker(instructions="be kind"))
    data = decoded(event)[0]
    assert event.startswith(b"event: response.failed\ndata: ")
    assert (data["type"], data["sequence_number"], data["error_type"]) == ("response.failed", 0, problem.type.value)
    answer = data["response"]
    assert (answer["id"], answer["status"], answer["instructions"]) == ("resp_7", "failed", "be kind")
    assert answer["error"] == {"code": code, "message": problem.message}
    if code != "context_length_exceeded":
        ResponseFailedEvent.model_validate(data)


def test_an_error_repeats_the_id_and_goes_on_counting() -> None:
    """Of a stream that has told another id than the exchange's."""
    data = decoded(error_event(BROKEN, msgspec.structs.replace(maker(), answer="resp_up", sequence=5)))[0]
    assert (data["response"]["id"], data["sequence_number"]) == ("resp_up", 5)


def test_the_sdk_sees_the_failure() -> None:
    """Its helper gives the event, and has no final response to give."""
    writer = Writer(maker())
    begun = b"".join([writer.write(each) for each in _BEGUN])
    event = error_event(BROKEN, msgspec.structs.replace(maker(), sequence=writer.sequence))
    with client(begun + event, is_stream=True).responses.stream(model="m", input="hi") as stream:
        seen = list(stream)
        with pytest.raises(RuntimeError):
            stream.get_final_response()
    last = seen[-1]
    assert last.type == "response.failed"
    assert last.response.error is not None
    assert last.response.error.message == "it broke"
    assert [each.sequence_number for each in seen] == list(range(len(seen)))


def test_our_own_reader_sees_the_failure() -> None:
    """One gateway behind another."""
    assert read_all(error_event(BROKEN, maker())) == [Failed("it broke", "server_error", 500)]
    passing = PassingResponses()
    passing.feed(error_event(BROKEN, maker()), 1.0)
    assert passing.fault == "it broke"


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (
            {"error": {"message": "no such model", "type": "invalid_request_error", "code": "model_not_found"}},
            UpstreamError("no such model", "model_not_found", is_ours=True, type=ErrorType.NOT_FOUND),
        ),
        (
            {"error": {"message": "busy", "type": "service_unavailable_error", "code": "server_is_overloaded"}},
            UpstreamError("busy", "server_is_overloaded", is_ours=True, type=ErrorType.PROVIDER_OVERLOADED),
        ),
        (
            {"error": {"message": "odd", "type": "invalid_request_error", "code": None}},
            UpstreamError("odd", "invalid_request_error", is_ours=True),
        ),
        (
            {"error": {"message": "Rate limit reached. Please try again in 1.2s.", "code": "rate_limit_exceeded"}},
            UpstreamError(
                "Rate limit reached. Please try again in 1.2s.",
                "rate_limit_exceeded",
                is_ours=True,
                type=ErrorType.RATE_LIMIT_EXCEEDED,
                retry_after=1.2,
            ),
        ),
        (
            {"error": {"message": "Your input exceeds the context window of this model.", "code": "invalid_prompt"}},
            UpstreamError(
                "Your input exceeds the context window of this model.",
                "context_length_exceeded",
                is_ours=True,
                type=ErrorType.INVALID_REQUEST,
            ),
        ),
        ({"error": "a text"}, UpstreamError("a text")),
        ({"detail": "Unauthorized"}, UpstreamError("Unauthorized")),
        ({"message": "no route"}, UpstreamError("no route")),
        ({}, UpstreamError()),
        ([], UpstreamError()),
    ],
)
def test_what_upstreams_say(body: Any, error: UpstreamError) -> None:
    """OpenAI's shape, and the shapes of frameworks in front of it."""
    assert read_error(400, json.dumps(body).encode()) == error


def test_what_no_upstream_of_this_dialect_says() -> None:
    """A page says nothing; a long message is cut."""
    assert read_error(502, b"<html>") == UpstreamError()
    long = json.dumps({"error": {"message": "x" * 999}}).encode()
    assert len(read_error(400, long).message) == FAULT_TEXT


def test_the_code_of_an_error() -> None:
    """Else its type; a text has neither."""
    assert error_code({"code": 429, "type": "x"}) == "429"
    assert error_code({"type": "x"}) == "x"
    assert error_code("x") == ""
