"""What a reader forwards of a stream is the same however it was cut, and made of bytes that the upstream sent.

Garbage is passed on, set down as a fault, or ends in WireError, never in anything else.
"""

from __future__ import annotations

from random import Random

from fuzz.run import pieces
from tokenway.dialects.openai_chat.passing import PassingChat
from tokenway.model.errors import WireError
from tokenway.wire.sse import split_events

CHUNK = b'data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"x"}}]}\n\n'
LAST = b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
USAGE = b'data: {"id":"c","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}\n\n'
END = b"data: [DONE]\n\n"

SEEDS = (
    CHUNK * 3 + LAST + USAGE + END,
    b": ping\n\n" + CHUNK + b'data: {"error":{"message":"overloaded","code":529}}\n\n',
    (CHUNK + LAST).replace(b"\n\n", b"\r\n\r\n") + END + CHUNK,
    CHUNK + LAST + USAGE.removesuffix(b"\n\n"),
    b"<html>502 Bad Gateway</html>",
)


def read(parts: list[bytes]) -> tuple[bytes, PassingChat]:
    """What the reader forwards of these pieces, and the reader."""
    reader = PassingChat()
    out = b"".join([reader.feed(part, float(time)) for time, part in enumerate(parts, start=1)])
    return out + reader.finish(), reader


def events(out: bytes) -> list[bytes]:
    """The events in there; blank lines between two of them mean nothing."""
    return [event for event in (event.strip(b"\r\n") for event in split_events(out)) if event]


def harness(data: bytes, chance: Random) -> None:
    """Reads the data whole and in pieces, and compares."""
    try:
        whole, one = read([data])
        cut, other = read(pieces(data, chance))
    except WireError:
        return
    if one.fault or other.fault:
        assert one.fault == other.fault
        return  # what comes after a fault is nobody's answer
    assert events(cut) == events(whole)
    assert (one.phase, one.is_whole, one.finish_reason) == (other.phase, other.is_whole, other.finish_reason)
    assert one.metered.usage == other.metered.usage
