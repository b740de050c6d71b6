"""Streams that stay in their dialect: forwarded as bytes, looked at only where it matters.

`PassingStream` does what all dialects of server-sent events share: it forwards whole events unchanged, stamps
deltas, and hands an event to its dialect (`_admit`) where fixed bytes tell that it may be special. A plain event
in the middle of a stream costs no more than what tells that it is one, and that it is JSON. The dialect keeps its last
events back until the exchange has been settled.

What is no event of the dialect breaks a stream before its first text. After that, an object of another shape passes,
since most events are not decoded and how a stream is cut must not matter; what is no JSON object ends the answer,
because a caller who skips it would take what is left for all of it.
"""

from __future__ import annotations

import re
from typing import ClassVar, Final

import msgspec

from tokenway.dialects.base import UNREADABLE
from tokenway.model.errors import WireError
from tokenway.model.usage import UNMETERED, Metered
from tokenway.wire.sse import EventSplitter, event_data, event_end, last_event_end, split_events

GAP_BUCKETS: Final = 20
"""Gaps are counted by powers of two milliseconds: bucket i holds gaps below 2^i ms; the last one all others."""
_GAPS: Final = 64
"""Room for the gap between the first and the last second that a clock can tell."""
NO_EVENT: Final = (b"", b":")
"""How what brings no delta begins: nothing at all, or a comment, which keeps a connection alive."""
ODD_SPACING: Final = re.compile(rb'" +:|":(?:  |[\t\r\n])')
"""Spacing between a key and its value that marks with a colon in them do not know."""
_BETWEEN: Final = re.compile(rb"\n\n(?:event: [^\n]*\n)?data: ")
"""What stands between the data of two events as nearly all are written."""
LF: Final = 0x0A
CR: Final = 0x0D
_skip: Final = msgspec.json.Decoder(msgspec.Raw).decode
"""Reads JSON for its syntax alone: a fifth of a microsecond for a usual event."""


class Pace:
    """When the deltas of one answer came: three stamps and the pauses between them."""

    __slots__ = ("first_answer", "first_delta", "gaps", "last_delta")

    @property
    def answer_id(self) -> str:
        """See `dialects.base.AnswerStream`; most dialects need none."""
        return ""

    @property
    def sequence(self) -> int:
        """See `dialects.base.AnswerStream`; most dialects count nothing."""
        return 0

    def __init__(self) -> None:
        self.first_delta = 0.0
        self.first_answer = 0.0
        self.last_delta = 0.0
        self.gaps = [0] * _GAPS

    @property
    def gap_counts(self) -> tuple[int, ...]:
        """`gaps` as they are kept: at most GAP_BUCKETS counts, without the empty ones at the end."""
        counts = [*self.gaps[: GAP_BUCKETS - 1], sum(self.gaps[GAP_BUCKETS - 1 :])]
        while counts and not counts[-1]:
            counts.pop()
        return tuple(counts)

    def stamp(self, now: float) -> None:
        """A delta came."""
        if self.last_delta:
            self.gaps[int((now - self.last_delta) * 1000.0).bit_length()] += 1
        self.last_delta = now

    def stamp_text(self, now: float, *, answer: bool) -> None:
        """A delta came that a reader can see; `answer` is whether it is the answer and not reasoning."""
        self.stamp(now)
        self.first_delta = self.first_delta or now
        if answer:
            self.first_answer = self.first_answer or now


class PassingStream(Pace):
    """Reads one streamed answer. Times are monotonic seconds given by the caller.

    Attributes: `is_calm` (neither the end mark nor an error has come), `fault` (text of an in-band error) and
    `fault_event` (its bytes), `metered`, `finish_reason`. `_is_quick` is set by the dialect once events without any of
    MARKS are known to be plain deltas.
    """

    __slots__ = ("_is_quick", "_splitter", "fault", "fault_event", "finish_reason", "is_calm", "metered")

    MARKS: ClassVar[tuple[bytes, ...]] = ()
    """What an event has that must be looked into, as it is usually spelled."""

    def __init__(self) -> None:
        super().__init__()
        self._splitter = EventSplitter()
        self._is_quick = False
        self.is_calm = True
        self.fault = ""
        self.fault_event = b""
        self.finish_reason = ""
        self.metered: Metered = UNMETERED

    def feed(self, data: bytes, now: float) -> bytes:
        """The bytes to forward for this piece of the answer; raises WireError when it is no event stream."""
        whole = data if data[-2:] == b"\n\n" and not self._splitter.rest else self._splitter.feed(data)
        if self._is_quick and whole[:1] not in NO_EVENT:
            for mark in self.MARKS:
                if mark in whole:
                    break
            else:
                if not self._are_plain(whole):
                    return self._look(whole, now)
                self.gaps[int((now - self.last_delta) * 1000.0).bit_length()] += 1
                self.last_delta = now
                return whole
        return self._look(whole, now) if whole else b""

    def finish(self) -> bytes:
        """What a last event without its blank line still gives; call it when the body has ended.

        Half an event gives nothing, and is no fault of its own: `is_whole` says whether anything is missing.
        """
        rest = self._splitter.take_rest()
        data = event_data(rest)
        if data is None or not self._is_entire(data):
            return b""
        return self._look(rest.rstrip(b"\r\n") + b"\n\n", self.last_delta)

    @staticmethod
    def accepts(content_type: bytes) -> bool:
        """Whether an answer of this media type (in lower case) is such a stream."""
        return b"text/event-stream" in content_type

    def _is_entire(self, data: bytes) -> bool:
        """Whether the data of an event that lacks its blank line is there up to its last brace."""
        raise NotImplementedError

    def _are_plain(self, events: bytes) -> bool:
        """Whether whole events that have none of MARKS are what they seem; else they are looked at one by one."""
        return are_sound(events)

    def _admit(self, event: bytes, now: float) -> bool:
        """Takes in one event; whether it is forwarded as it came."""
        raise NotImplementedError

    def _fail(self, event: bytes, text: str) -> None:
        """The event is an error: nothing after it counts."""
        self.fault = text
        self.fault_event = event
        self._is_quick = self.is_calm = False

    def _unreadable(self, data: bytes, error: Exception) -> bool:
        """What an event means that cannot be decoded: whether it is forwarded; see the top of this module."""
        if not self.first_answer:
            raise not_of_dialect(error) from None
        if _is_object(data):
            return True
        self._fail(b"", str(not_of_dialect(error)))
        return False

    def _end(self) -> None:
        """The end of the answer came."""
        self._is_quick = self.is_calm = False

    def _look(self, whole: bytes, now: float) -> bytes:
        """Goes through whole events and drops those that are not for the caller as they are.

        A slow gateway finds many events in one read, of which the last few are special: a run of plain ones is
        passed in one piece, the others are looked at one by one.
        """
        forwarded = []
        at, size = 0, len(whole)
        while at < size:
            end = self._plain_until(whole, at) if self._is_quick else at
            run = whole[at:end]
            if run and self._are_plain(run):
                self.stamp(now)
                forwarded.append(run)
            else:
                if not run:
                    end = event_end(whole, at)
                events = split_events(run) or [whole[at:end]]
                forwarded += [event for event in events if self._admit(event, now)]
            at = end
        return forwarded[0] if len(forwarded) == 1 else b"".join(forwarded)

    def _plain_until(self, whole: bytes, start: int) -> int:
        """Where the plain events from `start` on end: before the first event with something to look into."""
        first = len(whole)
        for mark in (*self.MARKS, b"\n:", b"\r:"):
            at = whole.find(mark, start, first)
            if at >= 0:
                first = at
        if whole.startswith(b":", start):
            return start
        return first if first == len(whole) else last_event_end(whole, start, first) or start


def are_sound(events: bytes) -> bool:
    """Whether the data of each of these whole events is an object. False also says: look at each."""
    start = events.find(b"\n") + 7 if events[:6] == b"event:" else 6
    if events[start - 6 : start] != b"data: " or CR in events:
        found = [event_data(event) for event in split_events(events)]
        return all(data is not None and _is_object(data) for data in found)
    if events.find(b"\n", start) == len(events) - 2:  # one event, as most reads bring
        return _is_object(events[start:-2])
    # A line end within the data of one would be a space to JSON, and is the end of the data to a reader of events.
    return all(LF not in data and _is_object(data) for data in _BETWEEN.split(events[start:-2]))


def _is_object(data: bytes) -> bool:
    """Whether data is a JSON object: clients look for members in every event, and nothing else has any."""
    try:
        _skip(data)
    except UNREADABLE:
        return False
    return data.lstrip()[:1] == b"{"


def not_of_dialect(error: Exception) -> WireError:
    """What a decoder could not read, as a fault of the upstream."""
    return WireError(f"an event is not one of this dialect: {error}")
