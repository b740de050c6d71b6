"""Server-sent events, incrementally, without touching the bytes (WHATWG HTML, section 9.2).

A relay wants three things of a stream of events: where the last whole event ends, so that a reader is
never given half of one; the events one by one, when they must be looked into; and the data of one event.
Lines may end in LF, CRLF or CR; a blank line ends an event.
"""

from __future__ import annotations

import re
from typing import Final

from tokenway.model.errors import WireError
from tokenway.wire.limits import EVENT

_BLANK_LINES: Final = (b"\n\n", b"\n\r\n", b"\r\r")
"""How a blank line ends, after the line before it; `CRLF CRLF` holds the second."""
_ODD_BLANK_LINES: Final = _BLANK_LINES[1:]
_BLANK_LINE: Final = re.compile(rb"\n\n|\n\r\n|\r\r")
_LINE_END: Final = re.compile(rb"\r\n|\n|\r")
_BOM: Final = b"\xef\xbb\xbf"


class EventSplitter:
    """Cuts a byte stream after its last whole event and keeps the rest for the next piece.

    Work is linear in the bytes fed, also when an event of megabytes arrives one byte at a time.
    """

    __slots__ = ("_limit", "rest")

    def __init__(self, limit: int = EVENT) -> None:
        self.rest = bytearray()
        """Bytes of an event that has not ended; empty between events."""
        self._limit = limit

    @property
    def pending(self) -> int:
        """Bytes of an event that has not ended."""
        return len(self.rest)

    def feed(self, data: bytes) -> bytes:
        """The whole events that `data` completes, exactly as they came; empty when there is none.

        Raises WireError when one event grows beyond the limit.
        """
        rest = self.rest
        if not rest and data.endswith(b"\n\n"):
            return data
        searched = max(0, len(rest) - 3)
        rest += data
        end = last_event_end(rest, searched, len(rest))
        if end == 0:
            if len(rest) > self._limit:
                raise WireError(f"one event is larger than {self._limit} bytes")
            return b""
        whole = bytes(rest[:end])
        del rest[:end]
        return whole

    def take_rest(self) -> bytes:
        """What is left of an event that was never ended, and forgets it."""
        rest = bytes(self.rest)
        self.rest.clear()
        return rest


def event_end(whole: bytes, start: int) -> int:
    """Where the event that begins at `start` ends, behind its blank line; the end of `whole` when it has none."""
    end = whole.find(b"\n\n", start) + 2
    if end == 1:
        end = len(whole)
    for mark in _ODD_BLANK_LINES:
        at = whole.find(mark, start, end)
        if at >= 0:
            end = at + len(mark)
    return end


def last_event_end(whole: bytes | bytearray, start: int, stop: int) -> int:
    """Where the last blank line between `start` and `stop` ends; 0 when there is none."""
    ends = [at + len(mark) for mark in _BLANK_LINES if (at := whole.rfind(mark, start, stop)) >= 0]
    return max(ends, default=0)


def split_events(whole: bytes) -> list[bytes]:
    """Whole events, one by one, each with the blank line that ends it; their concatenation is `whole`."""
    if b"\r" not in whole:
        events = [event + b"\n\n" for event in whole.split(b"\n\n")]
        # What is behind the last blank line is no whole event, but is given all the same.
        rest = events.pop()[:-2]
        return [*events, rest] if rest else events
    events, start = [], 0
    for match in _BLANK_LINE.finditer(whole):
        events.append(whole[start : match.end()])
        start = match.end()
    return [*events, whole[start:]] if start < len(whole) else events


def is_blank(event: bytes) -> bool:
    """Whether there is nothing between two blank lines: then how often depends on how the bytes were cut."""
    return not event.strip(b"\r\n")


def event_data(event: bytes) -> bytes | None:
    """The data of one event, its `data` lines joined by LF; None when it has none (a comment, a bare id)."""
    if event.startswith(b"data: ") and event.find(b"\n") == len(event) - 2 and b"\r" not in event:
        return event[6:-2]
    parts: list[bytes] = []
    for line in _LINE_END.split(event.removeprefix(_BOM)):
        if line.startswith(b"data:"):
            parts.append(line[6:] if line.startswith(b"data: ") else line[5:])
        elif line == b"data":
            parts.append(b"")
    return b"\n".join(parts) if parts else None


def one_line(data: bytes) -> bytes:
    """JSON without line ends, which would cut an event's data short: JSON that passes may have been written in lines.

    Inside of JSON's texts line ends are escaped, so those that are found stand between its tokens.
    """
    return data.replace(b"\n", b" ").replace(b"\r", b" ")


def make_event(data: bytes) -> bytes:
    """One event that carries `data`, which must hold no line ends."""
    return b"data: " + data + b"\n\n"


class DataFrames:
    """A byte stream to the data of its events, for who reads every one of them; comments give an empty frame."""

    __slots__ = ("_splitter",)

    def __init__(self, limit: int = EVENT) -> None:
        self._splitter = EventSplitter(limit)

    def feed(self, data: bytes) -> list[bytes]:
        """The data of the events that `data` completes; raises WireError when one event grows beyond the limit."""
        splitter = self._splitter
        whole = data if data[-2:] == b"\n\n" and not splitter.rest else splitter.feed(data)
        if b"\r" in whole:
            return [event_data(event) or b"" for event in split_events(whole) if not is_blank(event)]
        events = whole.split(b"\n\n")
        events.pop()  # behind the last blank line is nothing
        frames = []
        for event in events:
            # One line of data, with a name before it or without, as nearly every event is.
            start = event.find(b"\n") + 7 if event[:6] == b"event:" else 6
            if event[start - 6 : start] == b"data: " and event.find(b"\n", start) < 0:
                frames.append(event[start:])
            elif not is_blank(event):
                frames.append(event_data(event) or b"")
        return frames

    def rest(self) -> list[bytes]:
        """The data of a last event without its blank line, and forgets it."""
        data = event_data(self._splitter.take_rest())
        return [] if data is None else [data]
