"""However an AWS event stream is cut, the same messages come out, each as it was put in, until the first broken one.

Garbage gives messages or WireError, never anything else, and a message that was read can be written again.
"""

from __future__ import annotations

import contextlib
from random import Random

from fuzz.run import pieces
from tokenway.model.errors import WireError
from tokenway.wire.event_stream import Header, HeaderType, MessageFrames, make_message, parse_headers, parse_message

ALL_TYPES = {
    "true": Header(HeaderType.TRUE, value=True),
    "false": Header(HeaderType.FALSE, value=False),
    "byte": Header(HeaderType.BYTE, -1),
    "short": Header(HeaderType.SHORT, 258),
    "integer": Header(HeaderType.INTEGER, 70_000),
    "long": Header(HeaderType.LONG, 2**40),
    "bytes": Header(HeaderType.BYTES, b"\0\xff"),
    "text": Header(HeaderType.TEXT, "é"),
    "timestamp": Header(HeaderType.TIMESTAMP, 1_700_000_000_000),
    "uuid": Header(HeaderType.UUID, bytes(range(16))),
}
EVENT = make_message({":event-type": "contentBlockDelta", ":message-type": "event"}, b'{"delta":{"text":"x"}}')

SEEDS = (
    make_message({}, b"") + EVENT * 3,
    make_message(ALL_TYPES, b"payload" * 40),
    EVENT + EVENT[:-1],
    EVENT[12:],
)


def read(parts: list[bytes]) -> tuple[list[bytes], bool]:
    """The messages of these pieces, and whether the stream broke."""
    frames = MessageFrames()
    found: list[bytes] = []
    for part in parts:
        try:
            found.extend(frames.feed(part))
        except WireError:
            return found, True
    return found, False


def harness(data: bytes, chance: Random) -> None:
    """Feeds one splitter whole and another in pieces, reads what they give, and takes the data for headers."""
    whole, broke = read([data])
    cut, broke_too = read(pieces(data, chance))
    assert broke == broke_too
    assert broke or cut == whole
    assert b"".join(cut) == data[: sum(map(len, cut))]
    for frame in cut:
        with contextlib.suppress(WireError):
            message = parse_message(frame)
            assert make_message(message.headers, message.payload) == frame
    with contextlib.suppress(WireError):
        parse_headers(data)

    payloads = pieces(data, chance)[:20]
    stream = b"".join([make_message(ALL_TYPES, payload) for payload in payloads])
    frames = MessageFrames()
    again = [frame for piece in pieces(stream, chance) for frame in frames.feed(piece)]
    assert [parse_message(frame).payload for frame in again] == payloads
    assert all(parse_message(frame).headers == ALL_TYPES for frame in again)
