"""Which messages of a stream of Converse have nothing but text in them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tokenway.dialects.bedrock import frames
from tokenway.dialects.bedrock.told import told
from tokenway.model.errors import WireError
from tokenway.wire.event_stream import make_message


def message(kind: str, **payload: Any) -> bytes:
    """One message."""
    return frames.event(kind, json.dumps(payload).encode())


START = message(frames.MESSAGE_START, role="assistant")
TEXT = message(frames.BLOCK_DELTA, contentBlockIndex=0, delta={"text": "hi"}, p="abc")
STOP = message(frames.BLOCK_STOP, contentBlockIndex=0)
FAULT = make_message({":message-type": "exception", ":exception-type": "throttlingException"}, b"{}")
NEW = make_message({":message-type": "event", ":event-type": "somethingNew"}, b"{}")


def test_text_and_what_frames_it_is_plain() -> None:
    """A block of text needs no start, but may have one."""
    begun = message(frames.BLOCK_START, contentBlockIndex=0, start={})
    assert told(START + begun + TEXT + STOP) == [START, begun, TEXT, STOP]
    assert told(b"") == []


@pytest.mark.parametrize(
    "other",
    [
        message(frames.BLOCK_START, contentBlockIndex=1, start={"toolUse": {"toolUseId": "t", "name": "f"}}),
        message(frames.BLOCK_DELTA, contentBlockIndex=1, delta={"toolUse": {"input": ""}}),
        message(frames.BLOCK_DELTA, contentBlockIndex=1, delta={"reasoningContent": {"text": "hm"}}),
        message(frames.BLOCK_DELTA, contentBlockIndex=0, delta={"citation": {"title": "t"}}),
        message(frames.MESSAGE_STOP, stopReason="end_turn"),
        message(frames.METADATA, usage={"inputTokens": 1}),
        FAULT,
        NEW,
    ],
)
def test_anything_else_is_not(other: bytes) -> None:
    """Also half of a message."""
    assert told(START + TEXT + other) is None
    assert told(START + TEXT[:-1]) is None


def test_what_is_no_message_is_told() -> None:
    """A checksum tells."""
    with pytest.raises(WireError):
        told(START + TEXT[:-1] + b"\0")
