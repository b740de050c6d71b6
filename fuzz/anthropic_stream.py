"""What passes of an Anthropic stream is the same however it was cut, and so are the events that are read of it.

Garbage is passed on, set down as a fault, or ends in WireError, never in anything else.
"""

from __future__ import annotations

from contextlib import suppress
from random import Random

from fuzz.run import pieces
from tokenway.dialects.anthropic.passing import PassingMessages
from tokenway.dialects.anthropic.stream import Reader
from tokenway.model.errors import WireError
from tokenway.model.event import Event
from tokenway.wire.sse import DataFrames, split_events


def event(kind: str, members: str = "") -> bytes:
    """One event of a stream."""
    return f'event: {kind}\ndata: {{"type":"{kind}"{members}}}\n\n'.encode()


START = event("message_start", ',"message":{"id":"msg_1","model":"m","usage":{"input_tokens":3,"output_tokens":1}}')
TEXT = event("content_block_start", ',"index":0,"content_block":{"type":"text","text":""}')
DELTA = event("content_block_delta", ',"index":0,"delta":{"type":"text_delta","text":"x"}')
STOP = event("content_block_stop", ',"index":0')
TOOL = event("content_block_start", ',"index":1,"content_block":{"type":"tool_use","id":"t","name":"n","input":{}}')
PIECE = event("content_block_delta", ',"index":1,"delta":{"type":"input_json_delta","partial_json":"{}"}')
THOUGHT = event("content_block_start", ',"index":0,"content_block":{"type":"thinking","thinking":"","signature":""}')
SIGNED = event("content_block_delta", ',"index":0,"delta":{"type":"signature_delta","signature":"c2ln"}')
OWN = event("content_block_start", ',"index":0,"content_block":{"type":"server_tool_use","id":"s","input":{}}')
LAST = event("message_delta", ',"delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":3,"output_tokens":5}')
END = event("message_stop")
PING = event("ping")
ERROR = event("error", ',"error":{"type":"overloaded_error","message":"Overloaded"}')

SEEDS = (
    START + TEXT + DELTA * 3 + STOP + TOOL + PIECE + STOP.replace(b"0", b"1") + LAST + END,
    START + PING + THOUGHT + DELTA.replace(b"text", b"thinking") + SIGNED + STOP + LAST + END,
    START + OWN + PIECE.replace(b"1", b"0") + STOP + LAST + END + DELTA,
    START + TEXT + DELTA + ERROR,
    (START + TEXT + DELTA + STOP + LAST).replace(b"\n", b"\r\n") + END.removesuffix(b"\n\n"),
    b"<html>502 Bad Gateway</html>",
)


def passed(parts: list[bytes]) -> tuple[bytes, PassingMessages]:
    """What is forwarded of these pieces, and the reader."""
    reader = PassingMessages()
    out = b"".join([reader.feed(part, float(time)) for time, part in enumerate(parts, start=1)])
    return out + reader.finish(), reader


def read(parts: list[bytes]) -> list[Event]:
    """The events of these pieces."""
    framing, reader = DataFrames(), Reader()
    frames = [frame for part in parts for frame in framing.feed(part)]
    return [found for frame in [*frames, *framing.rest()] if frame for found in reader.read(frame)]


def events(out: bytes) -> list[bytes]:
    """The events in there; blank lines between two of them mean nothing."""
    return [found for found in (found.strip(b"\r\n") for found in split_events(out)) if found]


def harness(data: bytes, chance: Random) -> None:
    """Takes the data whole and in pieces, and compares."""
    cut = pieces(data, chance)
    with suppress(WireError):
        assert read(cut) == read([data])
    try:
        whole, one = passed([data])
        again, other = passed(cut)
    except WireError:
        return
    assert one.fault == other.fault
    if one.fault:
        return  # what comes after a fault is nobody's answer
    assert events(again) == events(whole)
    assert one.tail(b"", b"").strip() == other.tail(b"", b"").strip()
    assert (one.phase, one.is_whole, one.finish_reason) == (other.phase, other.is_whole, other.finish_reason)
    assert one.metered == other.metered
