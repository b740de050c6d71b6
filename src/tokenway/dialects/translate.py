"""An answer from one dialect to another: a reader of the one, a writer of the other, neutral events between.

`Translation` has the same shape as a stream that stays in its dialect (`dialects.base.AnswerStream`), so the edge does
not know the difference.

    state      frame or event       what happens
    WAITING    Failed               `fault` is set, nothing is forwarded
    WAITING    any other            FLOWING; what the writer makes of it is forwarded
    FLOWING    Failed               `fault` is set, not forwarded: the writer's own dialect ends the stream
    FLOWING    Ended                DONE; the writer keeps its last events for `tail`
    DONE       anything             dropped
    any        WireError            the reader does not know it, or it cannot come now: raised to the caller
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from tokenway.dialects.base import EventReader, EventWriter, Format, Maker, WholeAnswer
from tokenway.dialects.freeform import Unpacking, may_have_custom, names_of, unpacked
from tokenway.dialects.passing import Pace
from tokenway.model.errors import WireError
from tokenway.model.event import (
    Added,
    Answer,
    Counted,
    Ended,
    Event,
    Failed,
    Finished,
    FinishReason,
    Opened,
    PartKind,
    Ping,
    Started,
    Whole,
)
from tokenway.model.request import Refusal
from tokenway.model.usage import UNMETERED, Metered

_REASONING: Final = PartKind.REASONING
_TOOL_CALL: Final = PartKind.TOOL_CALL


class Translation(Pace):
    """One streamed answer from an upstream's dialect to the caller's; see `dialects.base.AnswerStream`."""

    __slots__ = (
        "_choices",
        "_content_type",
        "_finished",
        "_framing",
        "_has_refusals",
        "_has_started",
        "_is_done",
        "_reader",
        "_refused",
        "_thoughts",
        "_writer",
        "fault",
        "fault_event",
        "finish_reason",
        "is_calm",
        "metered",
    )

    def __init__(self, upstream: Format, caller: Format, maker: Maker) -> None:
        super().__init__()
        self._content_type = upstream.stream_type
        self._framing = upstream.framing()
        reader: EventReader = upstream.reader()
        self._reader = Unpacking(reader, maker.request) if may_have_custom(maker.request) else reader
        self._writer: EventWriter = caller.writer(maker)
        self._choices = maker.request.choices
        self._finished: set[int] = set()
        self._has_started = False
        self._has_refusals = caller.has_refusals
        self._refused: set[int] = set()
        """The choices that are refusals."""
        self._is_done = False
        self._thoughts: set[tuple[int, int]] = set()
        """The open parts that are reasoning."""
        self.is_calm = True
        self.fault = ""
        self.fault_event = b""
        self.finish_reason = ""
        self.metered: Metered = UNMETERED

    @property
    def sequence(self) -> int:
        """The number of the caller's next event, where its dialect counts them."""
        return getattr(self._writer, "sequence", 0)

    def accepts(self, content_type: bytes) -> bool:
        """Whether an answer of this media type is a stream of the upstream's dialect."""
        return self._content_type in content_type

    @property
    def is_whole(self) -> bool:
        """Whether the answer is complete: the end mark came, or every choice has finished."""
        return self._is_done or len(self._finished) >= self._choices

    def feed(self, data: bytes, now: float) -> bytes:
        """The bytes to forward for this piece of the upstream's answer; raises WireError when it breaks its format."""
        out: list[bytes] = []
        for frame in self._framing.feed(data):
            if not self.is_calm:
                break
            if frame:
                self._take(self._reader.read(frame), now, out)
            elif self._has_started:
                out.append(self._writer.write(Ping()))
        return out[0] if len(out) == 1 else b"".join(out)

    def finish(self) -> bytes:
        """What the end of the body still gives."""
        out: list[bytes] = []
        for frame in self._framing.rest():
            if self.is_calm:
                try:
                    events = self._reader.read(frame)
                except WireError:
                    break  # half an event: `is_whole` says whether anything is missing
                self._take(events, self.last_delta, out)
        if self.is_calm:
            self._take(self._reader.end(), self.last_delta, out)
        return b"".join(out)

    def ping(self) -> bytes:
        """What says in the caller's dialect that a silent stream goes on; empty where nothing does, or it does not."""
        return self._writer.write(Ping()) if self._has_started and self.is_calm else b""

    def tail(self, cost: bytes, extra: bytes) -> bytes:
        """The events that end the answer for the caller."""
        return self._writer.tail(cost, extra)

    def _take(self, events: Iterable[Event], now: float, out: list[bytes]) -> None:
        write = self._writer.write
        for event in events:
            kind = type(event)
            if kind is Added:
                if self.first_answer:  # a delta like most: only the pause before it is noted
                    self.gaps[int((now - self.last_delta) * 1000.0).bit_length()] += 1
                    self.last_delta = now
                else:
                    self.stamp_text(now, answer=(event.choice, event.part) not in self._thoughts)  # type: ignore[union-attr]
                out.append(write(event))
                continue
            if kind is Failed:
                self.fault = event.message or event.code or "an error without a message"  # type: ignore[union-attr]
                self.is_calm = False
                return
            if kind is not Ping:
                self._note(event, now)
            if kind is Finished and self._refused and not self._has_refusals:
                data = write(_as_refusal(event, self._refused))  # type: ignore[arg-type]
            else:
                data = write(event)
            if data:
                out.append(data)
            if self._is_done:
                return

    def _note(self, event: Event, now: float) -> None:
        """What an event that is no delta means for the exchange."""
        match event:
            case Started():
                self._has_started = True
            case Opened():
                if event.kind is _REASONING:
                    self._thoughts.add((event.choice, event.part))
                elif event.kind is _TOOL_CALL:
                    self.stamp_text(now, answer=True)
                elif event.kind is PartKind.REFUSAL:
                    self._refused.add(event.choice)
            case Whole():
                self.stamp_text(now, answer=True)
            case Counted():
                self.metered = event.metered
            case Finished():
                self._finished.add(event.choice)
                self.finish_reason = event.word
            case Ended():
                if not self._has_started:
                    raise WireError("the stream ended before its answer began")
                self._is_done = True
                self.is_calm = False


def translate_answer(upstream: Format, caller: Format, body: bytes, maker: Maker) -> tuple[WholeAnswer, bytes]:
    """A whole answer of the upstream's dialect in the caller's; raises WireError when it is none."""
    return written(unpacked(upstream.read_answer(body), names_of(maker.request)), caller, maker)


def written(answer: Answer, caller: Format, maker: Maker) -> tuple[WholeAnswer, bytes]:
    """A whole answer in the caller's dialect, and what the gateway reads of it."""
    if not caller.has_refusals:
        answer = _without_refusals(answer)
    finish = answer.choices[0].finish if answer.choices else None
    reason = "" if finish is None else finish.word
    return WholeAnswer(answer.metered, reason), caller.write_answer(answer, maker)


def _as_refusal(finish: Finished, refused: set[int]) -> Finished:
    """The end of a refusal for a caller who gets it as text: its reason tells what it is."""
    if finish.choice not in refused or finish.reason is not FinishReason.STOP:
        return finish
    return msgspec.structs.replace(finish, reason=FinishReason.CONTENT_FILTER)


def _without_refusals(answer: Answer) -> Answer:
    refused = {
        number
        for number, choice in enumerate(answer.choices)
        if any(isinstance(part, Refusal) for part in choice.parts)
    }
    if not refused:
        return answer
    choices = tuple(
        msgspec.structs.replace(choice, finish=_as_refusal(choice.finish, refused)) for choice in answer.choices
    )
    return msgspec.structs.replace(answer, choices=choices)
