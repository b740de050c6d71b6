"""Whatever a caller was sent and however the rest comes, one answer comes of it, which begins with what was sent.

What cannot be read is never gone on with. A second upstream's garbage ends in a fault or in WireError, and how its
stream is cut makes no difference.
"""

from __future__ import annotations

from random import Random
from typing import Final

from fuzz import translation
from fuzz.run import pieces
from tokenway.dialects.base import Maker
from tokenway.dialects.continuation import Continuation
from tokenway.dialects.registry import FORMATS
from tokenway.dialects.resume import Progress, Sent, sent_so_far
from tokenway.model.catalog import Dialect, Operation
from tokenway.model.errors import WireError
from tokenway.model.event import Added, Event, Opened, PartKind, Started
from tokenway.wire.event_stream import MessageFrames
from tokenway.wire.sse import split_events

_TEXT: Final[tuple[Event, ...]] = (
    Started("up"),
    Opened(0, PartKind.TEXT),
    *(Added(0, text) for text in ("Once upon ", "a time,\n\n", "a ")),
)


def _begun(caller: Dialect, count: int) -> bytes:
    """What has come of a text after so many of its events."""
    form = FORMATS[caller]
    request = form.parse(Operation.CHAT, translation.REQUESTS[caller], "m", True)
    writer = form.writer(Maker("gen-2", "m", 9, request))
    return b"".join([writer.write(event) for event in _TEXT[:count]])


def _events(stream: bytes) -> list[bytes]:
    return MessageFrames().feed(stream) if translation.dialect_of(stream) is Dialect.BEDROCK else split_events(stream)


SEEDS: Final = (
    *(_begun(caller, count) for caller in Dialect for count in range(1, len(_TEXT) + 1)),
    *(b"".join(_events(seed)[:count]) for seed in translation.SEEDS for count in (1, 3, 5)),
)


def continued(sent: Sent, caller: Dialect, upstream: Dialect, parts: list[bytes]) -> tuple[bytes, bool]:
    """What follows for the caller of these pieces, and whether the answer is whole then."""
    form = FORMATS[caller]
    request = form.parse(Operation.CHAT, translation.REQUESTS[caller], "m", True)
    stream = Continuation(FORMATS[upstream], form, Maker("gen-1", "m", 1_700_000_000, request), sent)
    out = [stream.feed(part, 1.0) for part in parts if stream.is_calm]
    if stream.is_calm:
        out.append(stream.finish())
    is_whole = stream.is_whole and not stream.fault
    return b"".join([*out, stream.tail(b"", b"")] if is_whole else out), is_whole


def harness(data: bytes, chance: Random) -> None:
    """Goes on behind the data with one of the whole streams, damaged or not, in one piece and in many."""
    caller = translation.dialect_of(data)
    sent = sent_so_far(FORMATS[caller], data)
    if sent.progress is Progress.OTHER:
        return
    rest = chance.choice(translation.SEEDS)
    upstream = translation.dialect_of(rest)
    if chance.random() < 0.3:
        at = chance.randrange(len(rest))
        rest = rest[:at] + rest[at + 1 :]
    try:
        out, is_whole = continued(sent, caller, upstream, [rest])
        assert (out, is_whole) == continued(sent, caller, upstream, pieces(rest, chance))
    except WireError:
        return
    if is_whole:
        form = FORMATS[caller]
        reader = form.reader()
        events = [event for frame in form.framing().feed(data + out) if frame for event in reader.read(frame)]
        text = "".join(event.text for event in events if isinstance(event, Added))
        assert text.startswith(sent.text)
