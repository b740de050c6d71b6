"""Which events of a response have nothing but the text of its message in them."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from tokenway.dialects.openai_responses.told import told

MESSAGE = {"id": "msg_1", "type": "message", "content": [], "role": "assistant"}
PART = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}


def event(kind: str, **members: Any) -> bytes:
    """One event."""
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), json.dumps({"type": kind, **members}).encode())


def item(**shape: Any) -> bytes:
    """An item begins."""
    return event("response.output_item.added", output_index=0, item=shape)


BEGINNING = (
    event("response.created", response={"id": "resp_1", "output": []}),
    event("response.in_progress", response={"id": "resp_1", "output": []}),
    item(**MESSAGE),
    event("response.content_part.added", output_index=0, content_index=0, part=PART),
    event("response.output_text.delta", output_index=0, content_index=0, delta="hi", logprobs=[]),
    event("keepalive"),
)


def test_text_and_what_frames_it_is_plain() -> None:
    """Of the first message, as long as it goes on."""
    frames = told(b"".join(BEGINNING))
    assert frames is not None
    assert len(frames) == len(BEGINNING)


@pytest.mark.parametrize(
    "other",
    [
        item(id="rs_1", type="reasoning", summary=[]),
        item(id="fc_1", type="function_call", name="f"),
        item(id="ws_1", type="web_search_call"),
        item(**MESSAGE | {"content": [PART]}),
        event("response.output_item.added", output_index=1, item=MESSAGE),
        event("response.content_part.added", output_index=0, content_index=1, part=PART),
        event("response.content_part.added", output_index=0, content_index=0, part={"type": "refusal"}),
        event("response.output_text.delta", output_index=0, content_index=0, delta="hi", logprobs=[{}]),
        event("response.output_text.annotation.added", output_index=0, content_index=0, annotation={}),
        event("response.output_text.done", output_index=0, content_index=0, text="hi"),
        event("response.content_part.done", output_index=0, content_index=0, part=PART),
        event("response.output_item.done", output_index=0, item=MESSAGE),
        event("response.web_search_call.searching", output_index=0),
        event("response.completed", response={"output": []}),
        event("response.failed", response={}),
        event("response.created", response={"output": [MESSAGE]}),
        event("error", message="it broke"),
    ],
)
def test_anything_else_is_not(other: bytes) -> None:
    """Also a text that is over, and what a reader keeps to itself up to an item's end."""
    assert told(b"".join(BEGINNING) + other) is None


def test_what_is_no_event_is_told() -> None:
    """Half of one is not plain."""
    with pytest.raises(msgspec.DecodeError):
        told(b"data: {}\n\n")
    assert told(BEGINNING[0][:-1]) is None
