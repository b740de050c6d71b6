"""Errors in OpenAI's shape."""

from __future__ import annotations

import json

import pytest

from tokenway.dialects.openai_chat.error import TYPES, error_body, error_event
from tokenway.dialects.openai_chat.passing import PassingChat
from tokenway.model.errors import ErrorType, Problem

PROBLEM = Problem(
    429, ErrorType.RATE_LIMIT_EXCEEDED, "slow \n down", param="p", code="c", details={"provider": "lab", "attempts": 2}
)


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
    event = error_event(PROBLEM, "gen-1", "m", 5)
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
    event = error_event(Problem(504, ErrorType.TIMEOUT, "m"), "gen-1", "m", 5)
    assert json.loads(event[6:])["error"]["code"] == 504


def test_our_reader_knows_our_error() -> None:
    """A gateway behind a gateway takes the event for what it is."""
    reader = PassingChat()
    reader.feed(error_event(PROBLEM, "gen-1", "m", 5), 1.0)
    assert reader.fault == "slow \n down"
