"""What passes of a stream of images or speech is the same however it was cut, and made of the upstream's bytes.

Garbage is passed on, set down as a fault, or ends in WireError, never in anything else.
"""

from __future__ import annotations

from random import Random

from fuzz.run import pieces
from tokenway.dialects.side.passing import PassingEvents
from tokenway.model.catalog import Operation
from tokenway.model.errors import WireError
from tokenway.wire.sse import split_events


def event(kind: str, members: str) -> bytes:
    """One event of a stream."""
    return f'event: {kind}\ndata: {{"type":"{kind}",{members}}}\n\n'.encode()


PARTIAL = event("image_generation.partial_image", '"b64_json":"AAAA","partial_image_index":0')
IMAGE = event("image_generation.completed", '"b64_json":"AAAA","usage":{"input_tokens":3,"output_tokens":9}')
BARE = event("image_edit.completed", '"b64_json":"AAAA"')
DELTA = event("transcript.text.delta", '"delta":"x"')
TEXT = event("transcript.text.done", '"text":"xx","usage":{"type":"tokens","input_tokens":3,"output_tokens":2}')
HEARD = event("transcript.text.done", '"text":"xx","usage":{"type":"duration","seconds":3}')
SPOKEN = event("speech.audio.delta", '"audio":"AAAA"') + event("speech.audio.done", '"x":0')
ERROR = event("error", '"error":{"message":"overloaded"}')

SEEDS = (
    PARTIAL * 2 + IMAGE,
    BARE + PARTIAL + BARE,
    DELTA + HEARD,
    SPOKEN,
    DELTA * 3 + TEXT + b"data: [DONE]\n\n",
    b": ping\n\n" + (DELTA + TEXT).replace(b"\n", b"\r\n"),
    DELTA + ERROR + DELTA,
    DELTA + TEXT.removesuffix(b"\n\n"),
    b"<html>502 Bad Gateway</html>",
)


def passed(operation: Operation, parts: list[bytes]) -> tuple[bytes, PassingEvents]:
    """What is forwarded of these pieces with the end, and the reader."""
    reader = PassingEvents(operation, 12 if operation is Operation.SPEECH else 0)
    out = b"".join([reader.feed(part, float(time)) for time, part in enumerate(parts, start=1)])
    return out + reader.finish(), reader


def events(out: bytes) -> list[bytes]:
    """The events in there; blank lines between two of them mean nothing."""
    return [found for found in (found.strip(b"\r\n") for found in split_events(out)) if found]


def harness(data: bytes, chance: Random) -> None:
    """Takes the data whole and in pieces, and compares."""
    operation = chance.choice((Operation.IMAGE, Operation.SPEECH, Operation.TRANSCRIPTION))
    try:
        whole, one = passed(operation, [data])
        cut, other = passed(operation, pieces(data, chance))
    except WireError:
        return
    assert one.fault == other.fault
    if one.fault:
        return  # what comes after a fault is nobody's answer
    assert events(cut) == events(whole)
    assert all(found in data for found in events(whole))
    assert events(one.tail(b"", b"")) == events(other.tail(b"", b""))
    assert (one.is_whole, one.metered) == (other.is_whole, other.metered)
