"""Which events of a message have nothing but text in them."""

from __future__ import annotations

import msgspec
import pytest

from tests.unit.dialects.anthropic import samples
from tokenway.dialects.anthropic.told import told


def test_text_and_what_frames_it_is_plain() -> None:
    """From the start of the message to the end of a block."""
    stream = samples.START + samples.PING + samples.TEXT + samples.text("hi") + samples.stop(0)
    frames = told(stream)
    assert frames is not None
    assert len(frames) == 5


@pytest.mark.parametrize(
    "event",
    [
        samples.start(1, type="tool_use", id="t", name="f", input={}),
        samples.start(1, type="thinking", thinking=""),
        samples.start(1, type="redacted_thinking", data="x"),
        samples.start(1, type="server_tool_use", id="s", name="web_search", input={}),
        samples.start(1, type="text", text="", citations=[{"type": "page_location"}]),
        samples.delta(0, type="citations_delta", citation={"type": "page_location"}),
        samples.delta(0, type="signature_delta", signature="x"),
        samples.delta(0, text="hi"),
        samples.LAST,
        samples.END,
        samples.event("error", error={"type": "api_error", "message": "it broke"}),
        samples.event("something_new"),
        samples.event("message_start", message={"content": [{"type": "text", "text": "hi"}]}),
    ],
)
def test_anything_else_is_not(event: bytes) -> None:
    """Also what a reader keeps to itself up to the block's end, and what it does not know."""
    assert told(samples.START + samples.TEXT + event) is None


def test_what_is_no_event_is_told() -> None:
    """Half of one is not plain."""
    with pytest.raises(msgspec.DecodeError):
        told(b"data: []\n\n")
    assert told(samples.START[:-1]) is None
