"""Small pieces of Anthropic streams, written by hand after its documentation, and what tests do with them."""

from __future__ import annotations

import json
from collections.abc import Iterable

from tokenway.dialects.anthropic.format import FORMAT
from tokenway.dialects.base import Maker
from tokenway.model.catalog import Operation
from tokenway.model.event import Event

BODY = b'{"model":"claude-sonnet-4-5","max_tokens":100,"messages":[{"role":"user","content":"hi"}],"stream":true}'
MAKER = Maker("gen-1a-2b-3", "claude", 5, FORMAT.parse(Operation.CHAT, BODY, "", False))


def event(kind: str, **members: object) -> bytes:
    """One event of a stream."""
    data = json.dumps({"type": kind, **members}, separators=(",", ":"), ensure_ascii=False)
    return f"event: {kind}\ndata: {data}\n\n".encode()


def start(index: int, **block: object) -> bytes:
    """A block begins."""
    return event("content_block_start", index=index, content_block=block)


def delta(index: int, **members: object) -> bytes:
    """A block grows."""
    return event("content_block_delta", index=index, delta=members)


def stop(index: int) -> bytes:
    """A block ends."""
    return event("content_block_stop", index=index)


def text(value: str, index: int = 0) -> bytes:
    """A block of text grows."""
    return delta(index, type="text_delta", text=value)


START = event(
    "message_start",
    message={
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-x",
        "content": [],
        "usage": {"input_tokens": 10, "cache_read_input_tokens": 7, "output_tokens": 1},
    },
)
TEXT = start(0, type="text", text="")
PING = event("ping")
LAST = event(
    "message_delta",
    delta={"stop_reason": "end_turn", "stop_sequence": None},
    usage={"input_tokens": 12, "output_tokens": 9},
)
END = event("message_stop")
ERROR = event("error", error={"type": "overloaded_error", "message": "Overloaded"})


def read(parts: Iterable[bytes]) -> list[Event]:
    """The events of a stream that comes in these pieces."""
    framing, reader = FORMAT.framing(), FORMAT.reader()
    frames = [frame for part in parts for frame in framing.feed(part)]
    events = [found for frame in [*frames, *framing.rest()] if frame for found in reader.read(frame)]
    return [*events, *reader.end()]


def written(events: Iterable[Event], maker: Maker = MAKER) -> bytes:
    """These events as a stream."""
    writer = FORMAT.writer(maker)
    return b"".join([writer.write(each) for each in events]) + writer.tail(b"", b"")
