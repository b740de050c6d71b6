"""What a caller has of an answer that broke: read from the bytes that went out, in the caller's own dialect.

An answer may go on elsewhere only where nothing of it would be lost or said twice. So what has been sent is one of

    NOTHING   the frame of an answer, signs of life, perhaps white space: another answer can begin in its place
    TEXT      the text of the one choice, in one part, and nothing beside it: another model can go on from there
    OTHER     anything else, and all that cannot be read: a tool call, reasoning, a refusal, media, sources, several
              choices, log probabilities, an end. Such an answer is never joined with another

The dialect tells which of its frames have nothing but text in them (`Format.told`), since a reader keeps some things
to itself until they are whole; its reader tells what the text is, as the caller's own client has put it together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from tokenway.dialects.base import UNREADABLE, Format, Framing
from tokenway.model.errors import WireError
from tokenway.model.event import Added, Closed, Counted, Event, Opened, PartKind, Ping, Started


class Progress(StrEnum):
    """How far an answer has come for its caller; see above."""

    NOTHING = "nothing"
    TEXT = "text"
    OTHER = "other"


class Sent(msgspec.Struct, frozen=True):
    """What a caller has got so far. `text` is all of it, exactly; it is empty where there is none, and for OTHER.

    `frames` are the frames that went out, each with its events, and `started` is how the answer began, None where it
    has not.
    """

    progress: Progress
    text: str = ""
    frames: tuple[tuple[bytes, tuple[Event, ...]], ...] = ()
    started: Started | None = None


_OTHER: Final = Sent(Progress.OTHER)
_SILENT: Final = (Started, Counted, Ping)


def sent_so_far(caller: Format, data: bytes) -> Sent:
    """What `data`, whole events of a stream in the caller's dialect, say of an answer; they may be none at all."""
    try:
        frames = caller.told(data)
        if frames is None:
            return _OTHER
        reader = caller.reader()
        steps = tuple([(frame, tuple(reader.read(frame))) for frame in frames])
        return _OTHER if reader.end() else _read(steps)
    except (WireError, *UNREADABLE):
        return _OTHER


def _read(steps: tuple[tuple[bytes, tuple[Event, ...]], ...]) -> Sent:
    """The events, where they are those of one text at most."""
    started: Started | None = None
    parts = 0
    texts: list[str] = []
    for _, events in steps:
        for event in events:
            if isinstance(event, Started):
                started = event
            elif isinstance(event, Opened):
                parts += 1
                if parts > 1 or event.choice or event.part or event.kind is not PartKind.TEXT:
                    return _OTHER
            elif isinstance(event, Added):
                texts.append(event.text)
            elif not isinstance(event, (Closed, *_SILENT)):
                return _OTHER
    text = "".join(texts)
    return Sent(Progress.TEXT if text.strip() else Progress.NOTHING, text, steps, started)


def plain_frames(framing: Framing, data: bytes, is_plain: Callable[[bytes], bool]) -> Sequence[bytes] | None:
    """The frames of `data`, without empty ones; None where one is not plain, or the last one not whole.

    Raises WireError where they cannot be told apart, and what a decoder raises in `is_plain`.
    """
    frames = [frame for frame in framing.feed(data) if frame]
    return frames if not framing.rest() and all(map(is_plain, frames)) else None
