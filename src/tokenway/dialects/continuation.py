"""An answer that broke, and goes on with what another upstream says: one valid stream in the caller's dialect.

What was sent (`resume.Sent`) is shown to the caller's writer, which then goes on where the first one stopped; what the
second upstream says becomes a part of the same answer:

    event of the second          the answer has begun              it has not
    Started                      dropped                           passed
    Opened, the first text       dropped where a text is open,     passed
                                 which it continues; else passed
    Opened, Whole, reasoning     dropped, with all of it, where    passed
                                 a text has begun
    Opened, Whole, any other     an open text that was not         passed
                                 continued is closed before it
    Finished                     as the row above; a stop after    passed
                                 nothing but reasoning: WireError
    Counted, Ping, Failed        passed                            passed
    Ended                        passed; before Started WireError  passed

Parts that are passed are counted on from those that the caller has. Reasoning would stand behind what it is about, and
its signature vouch for a turn that began otherwise. Where nothing else came, the rest of the text is likely in it: a
server that waits for the end of a thought finds none in a turn that has begun.

A second upstream is asked to go on with a text (`model.request.prefilled`), or, where nothing has been seen yet, from
the beginning. Where the two texts meet is what `Seam` takes care of.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from tokenway.dialects.base import EventReader, Format, Maker
from tokenway.dialects.resume import Progress, Sent
from tokenway.dialects.translate import Translation
from tokenway.model.errors import WireError
from tokenway.model.event import (
    Added,
    Cited,
    Closed,
    Counted,
    Ended,
    Event,
    Finished,
    FinishReason,
    Logprobs,
    Opened,
    PartKind,
    Started,
    Whole,
)
from tokenway.model.request import Reasoning

REPEATED: Final = 16
"""Characters that a text must have before its repetition can be no coincidence."""


class Seam:
    """Where a text that broke and its continuation meet.

    The second model was given the text without the white space at its end (`model.request.prefilled`), so it begins
    with its own: what of that repeats the white space that has been shown is left out, character by character, up to
    the first that differs. A blank that neither has is not invented.

    Some servers say all of what they were given before they go on. That is left out where it is repeated exactly, and
    long enough (REPEATED). As long as it may become so it is held back, and let go at the first character that differs.
    """

    __slots__ = ("_blank", "_given", "_seen", "dropped")

    def __init__(self, before: str) -> None:
        """`before` is what has been shown."""
        self._given = before.rstrip()
        self._blank = before[len(self._given) :]
        """White space that has been shown and may come again."""
        self._seen = 0 if len(self._given) >= REPEATED else -1
        """How many characters of `_given` have come again; -1 once it is known whether all of them do."""
        self.dropped = 0
        """How many characters of the continuation were left out."""

    def take(self, text: str) -> str:
        """More of the continuation: what of it is to be shown now."""
        if self._seen < 0:
            return self._without_blank(text) if self._blank else text
        given, at = self._given, self._seen
        if given.startswith(text, at) and at + len(text) < len(given):
            self._seen += len(text)
            return ""
        self._seen = -1
        if text.startswith(given[at:]):
            self.dropped += len(given)
            return self._without_blank(text[len(given) - at :])
        return self._without_blank(given[:at] + text)

    def rest(self) -> str:
        """What is still held back when the continuation has ended."""
        at, self._seen = max(self._seen, 0), -1
        return self._without_blank(self._given[:at])

    def _without_blank(self, text: str) -> str:
        same = 0
        while same < min(len(self._blank), len(text)) and self._blank[same] == text[same]:
            same += 1
        self._blank = self._blank[same:] if same == len(text) else ""
        self.dropped += same
        return text[same:]


class Joining:
    """Reads a second upstream's stream as another reader does, as a part of the answer that was sent; see the table."""

    __slots__ = ("_before", "_has_begun", "_hidden", "_next", "_numbers", "_open", "_reader", "_seam", "_sent", "_text")

    def __init__(self, reader: EventReader, sent: Sent) -> None:
        events = [event for _, events in sent.frames for event in events]
        is_closed = any(isinstance(event, Closed) for event in events)
        self._reader = reader
        self._sent = sent
        self._has_begun = False
        """Whether the second answer has."""
        self._before = sum(isinstance(event, Opened) for event in events)
        """How many parts the caller has, of which the last can be a text that is open."""
        self._open = self._before - 1 if not is_closed else -1
        """The number of that text, as long as nothing has closed it or gone on with it; else -1."""
        self._next = self._before
        self._numbers: dict[int, int] = {}
        """The numbers of the second's parts, and what they are in the answer."""
        self._hidden: set[int] = set()
        """Its parts that are not shown."""
        self._text = -1
        """The number of its first text; -1 before that."""
        self._seam = Seam(sent.text)

    def read(self, frame: bytes) -> Sequence[Event]:
        """The events of one frame; raises WireError as the reader does."""
        return self._turned(self._reader.read(frame))

    def end(self) -> Sequence[Event]:
        """What is owed when the body ends."""
        return self._turned(self._reader.end())

    def _turned(self, events: Sequence[Event]) -> list[Event]:
        out: list[Event] = []
        for event in events:
            if getattr(event, "choice", 0):
                out.append(event)  # another choice, of which nothing was sent
                continue
            match event:
                case Added() | Cited() | Logprobs():
                    self._grow(event, out)
                case Opened() | Whole():
                    self._begin(event, out)
                case Closed():
                    self._close(event, out)
                case Started():
                    self._has_begun = True
                    out += () if self._sent.started is not None else (event,)
                case Finished():
                    if self._hidden and not self._numbers and event.reason is FinishReason.STOP:
                        raise WireError("the answer was not gone on with: nothing but reasoning came")
                    self._leave(out)
                    out.append(event)
                case Ended() if not self._has_begun:
                    raise WireError("the stream ended before its answer began")
                case _:
                    out.append(event)
        return out

    def _begin(self, event: Opened | Whole, out: list[Event]) -> None:
        kind = event.kind if isinstance(event, Opened) else None
        is_thought = kind is PartKind.REASONING or (isinstance(event, Whole) and isinstance(event.value, Reasoning))
        if is_thought and self._before:
            self._hidden.add(event.part)
            return
        if kind is PartKind.TEXT and self._text < 0:
            self._text = event.part
            if self._open >= 0:
                self._numbers[event.part], self._open = self._open, -1
                return
        self._leave(out)
        self._numbers[event.part] = self._next
        self._next += 1
        out.append(replace(event, part=self._numbers[event.part]))

    def _grow(self, event: Added | Cited | Logprobs, out: list[Event]) -> None:
        number = self._numbers.get(event.part, event.part)
        if event.part in self._hidden:
            return
        if event.part != self._text:
            out.append(replace(event, part=number))
        elif isinstance(event, Added):
            text = self._seam.take(event.text)
            out += (Added(number, text),) if text else ()
        elif isinstance(event, Cited) and event.start >= 0:
            shift = (len(self._sent.text) if number < self._before else 0) - self._seam.dropped
            start = event.start + shift
            end = event.end + shift if start >= 0 else -1
            out.append(replace(event, part=number, start=max(start, -1), end=end))
        else:
            out.append(replace(event, part=number))

    def _close(self, event: Closed, out: list[Event]) -> None:
        if event.part in self._hidden:
            return
        number = self._numbers.get(event.part, event.part)
        if event.part == self._text:
            rest = self._seam.rest()
            out += (Added(number, rest),) if rest else ()
        out.append(replace(event, part=number))

    def _leave(self, out: list[Event]) -> None:
        """An open text that nothing has gone on with ends here."""
        if self._open >= 0:
            out.append(Closed(self._open))
            self._open = -1


class Continuation(Translation):
    """One streamed answer that begins with what was sent and ends with what an upstream says; see `Translation`."""

    __slots__ = ("_answer_id",)

    def __init__(self, upstream: Format, caller: Format, maker: Maker, sent: Sent) -> None:
        """Raises ValueError where what was sent cannot be gone on with (`Progress.OTHER`)."""
        if sent.progress is Progress.OTHER:
            raise ValueError("an answer of which more than text was sent is not joined with another")
        started = sent.started
        if started is not None:
            said = {"answer": started.id, "model": started.model, "created": started.created}
            maker = replace(maker, **{name: value for name, value in said.items() if value})
        super().__init__(upstream, caller, maker)
        for frame, events in sent.frames:
            # What the first upstream has counted is its own affair: the end of the answer tells the second's count.
            self._writer.follow(frame, [event for event in events if not isinstance(event, Counted)])
        self._reader = Joining(self._reader, sent)
        self._has_started = started is not None
        self._answer_id = "" if started is None else started.id

    @property
    def answer_id(self) -> str:
        """The id that the caller has been told, which an error at the end of its stream must repeat."""
        return self._answer_id
