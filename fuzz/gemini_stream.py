"""A Gemini stream passes, and is read, the same however it was cut.

Garbage is passed on, set down as a fault, or ends in WireError, never in anything else; events keep their grammar, so
that every writer of another dialect can take them.
"""

from __future__ import annotations

from random import Random

from fuzz.run import pieces
from tokenway.dialects.gemini.frames import Frames
from tokenway.dialects.gemini.passing import PassingGemini
from tokenway.dialects.gemini.reader import Reader
from tokenway.dialects.gemini.request import parse
from tokenway.model.catalog import Operation
from tokenway.model.errors import WireError
from tokenway.model.event import Added, Cited, Closed, Counted, Ended, Event, Failed, Opened, Started, Whole, fold
from tokenway.wire.sse import split_events

CALLER = parse(Operation.CHAT, b'{"contents":[]}', "m", path_stream=True)

THOUGHT = b'data: {"candidates": [{"content": {"parts": [{"text": "hm","thought": true}]},"index": 0}]}\n\n'
TEXT = b'data: {"candidates": [{"content": {"parts": [{"text": "x"}],"role": "model"},"index": 0}]}\n\n'
CALL = (
    b'data: {"candidates": [{"content": {"parts": [{"functionCall": {"name": "f","args": {"a": 1}},'
    b'"thoughtSignature": "c2ln"},{"executableCode": {"code": "1"}},'
    b'{"inlineData": {"mimeType": "image/png","data": "AA=="}}]}}]}\n\n'
)
SIGNED = b'data: {"candidates": [{"content": {"parts": [{"text": "","thoughtSignature": "c2ln"}]}}]}\n\n'
LAST = (
    b'data: {"candidates": [{"content": {"parts": [{"text": "y"}]},"finishReason": "STOP","index": 0,'
    b'"groundingMetadata": {"groundingChunks": [{"web": {"uri": "u"}}],"groundingSupports": '
    b'[{"segment": {"endIndex": 2},"groundingChunkIndices": [0]}]}}],"usageMetadata": {"promptTokenCount": 3,'
    b'"candidatesTokenCount": 2,"totalTokenCount": 5},"responseId": "r"}\n\n'
)
ERROR = b'{\n  "error": {\n    "code": 503,\n    "message": "overloaded"\n  }\n}\n\n'

SEEDS = (
    THOUGHT + TEXT * 3 + SIGNED + LAST,
    TEXT + CALL + LAST,
    b": ping\n\n" + TEXT + ERROR,
    (THOUGHT + TEXT + LAST).replace(b"\n\n", b"\r\n\r\n") + TEXT,
    TEXT + LAST.removesuffix(b"\n\n"),
    b'data: {"promptFeedback": {"blockReason": "SAFETY"}}\n\n',
    b"<html>502 Bad Gateway</html>",
)


def passed(parts: list[bytes]) -> tuple[bytes, PassingGemini]:
    """What the reader of a passing stream forwards of these pieces, with its end, and the reader."""
    reader = PassingGemini(CALLER)
    out = b"".join([reader.feed(part, float(time)) for time, part in enumerate(parts, start=1)])
    out += reader.finish()
    return out + reader.tail(b"", b""), reader


def read(parts: list[bytes]) -> list[Event]:
    """The neutral events of these pieces, up to an error."""
    frames, reader = Frames(), Reader()
    found: list[Event] = []
    for frame in [frame for part in parts for frame in frames.feed(part)] + frames.rest():
        found += reader.read(frame)
        if found and isinstance(found[-1], Failed):
            return found
    return [*found, *reader.end()]


def events(out: bytes) -> list[bytes]:
    """The events in there; blank lines between two of them mean nothing."""
    return [event for event in (event.strip(b"\r\n") for event in split_events(out)) if event]


def keeps_grammar(found: list[Event]) -> bool:
    """Whether parts begin once, take text while they are open, and end before the end; what is over may be cited."""
    is_open: set[tuple[int, int]] = set()
    begun: set[tuple[int, int]] = set()
    for event in found:
        match event:
            case Opened() | Whole():
                place = (event.choice, event.part)
                if place in begun:
                    return False
                begun.add(place)
                if isinstance(event, Opened):
                    is_open.add(place)
            case Added():
                if (event.choice, event.part) not in is_open:
                    return False
            case Cited():
                if (event.choice, event.part) not in begun:
                    return False
            case Closed():
                is_open.remove((event.choice, event.part))
            case Ended():
                return not is_open
            case _:
                pass
    return True


def harness(data: bytes, chance: Random) -> None:
    """Reads the data whole and in pieces, both ways, and compares."""
    parts = pieces(data, chance)
    harness_passing(data, parts)
    try:
        whole = read([data])
        cut = read(parts)
    except WireError:
        return
    assert cut == whole
    assert keeps_grammar(whole)
    assert isinstance(whole[0], Started | Failed) if whole else True
    assert fold(whole).metered == next((e.metered for e in reversed(whole) if isinstance(e, Counted)), fold([]).metered)


def harness_passing(data: bytes, parts: list[bytes]) -> None:
    """What passes is made of the upstream's bytes, and does not depend on the cuts."""
    try:
        whole, one = passed([data])
        cut, other = passed(parts)
    except WireError:
        return
    if one.fault or other.fault:
        assert one.fault == other.fault
        return  # what comes after a fault is nobody's answer
    assert events(cut) == events(whole)
    assert (one.phase, one.is_whole, one.finish_reason) == (other.phase, other.is_whole, other.finish_reason)
    assert one.metered == other.metered
