"""Answers of the Anthropic dialect as they pass: forwarded as bytes, looked at only where it matters.

A stream's deltas are not decoded once the first of its answer has been seen: what must be looked into (the usage, the
end, an error, a ping, the edges of a block) has one of MARKS. Only `message_stop` is held back until the
exchange has been settled: everything before it, the usage too, is the upstream's own and goes on at once.

    state        event                          what happens
    WAITING      message_start                  FLOWING, forwarded; its usage is the first count
    WAITING      error                          `fault` is set, nothing is forwarded
    WAITING      ping                           dropped: there is no answer yet to keep alive
    WAITING      anything else with data        WireError
    FLOWING      content_block_delta            forwarded, stamped
    FLOWING      content_block_start            forwarded; stamped where it brings a tool call or a sealed thought
    FLOWING      message_delta                  forwarded; its usage overwrites, its stop reason finishes the answer
    FLOWING      message_stop                   DONE, held back
    FLOWING      error                          `fault` is set, not forwarded
    FLOWING      ping, or of an unknown type    forwarded as it came
    FLOWING      not an event of this dialect   before the first text WireError, then forwarded where it is JSON; else
                                                `fault` is set
    DONE         anything                       dropped

A message_delta without a stop reason is only a count; the answer is whole with its stop reason or its end mark.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Final

from tokenway.dialects.anthropic.schema import (
    Frame,
    Tally,
    decode_block,
    decode_frame,
    decode_head,
    decode_message,
    glance,
    meter,
)
from tokenway.dialects.base import UNREADABLE, WholeAnswer, fault_text
from tokenway.dialects.passing import CR, LF, PassingStream, not_of_dialect
from tokenway.model.catalog import Operation
from tokenway.model.errors import WireError
from tokenway.wire.sse import event_data

STOP: Final = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
"""The end mark, for an upstream that sent none."""
_DELTA: Final = b"event: content_block_delta\ndata: "


class Phase(IntEnum):
    """Where a stream is; see the table above."""

    WAITING = 0
    FLOWING = 1
    DONE = 2


# Python 3.11 takes a quarter of a microsecond to look a member up in its enumeration.
_WAITING: Final = Phase.WAITING
_FLOWING: Final = Phase.FLOWING
_DONE: Final = Phase.DONE


class PassingMessages(PassingStream):
    """Reads one streamed answer; see `PassingStream` for what it tells."""

    __slots__ = ("_stop", "_tally", "phase")

    MARKS = (b'"message_', b'"content_block_st', b'"ping"', b'"error"')

    def __init__(self) -> None:
        super().__init__()
        self._stop = STOP
        self._tally = Tally()
        self.phase: Phase = _WAITING

    @property
    def is_whole(self) -> bool:
        """Whether the answer is complete: the end mark came, or at least the stop reason."""
        return self.phase is _DONE or bool(self.finish_reason)

    def feed(self, data: bytes, now: float) -> bytes:
        """The bytes to forward for this piece of the answer; raises WireError when it is no event stream."""
        whole = data if data[-2:] == b"\n\n" and not self._splitter.rest else self._splitter.feed(data)
        if self._is_quick and whole and are_deltas(whole):
            self.gaps[int((now - self.last_delta) * 1000.0).bit_length()] += 1
            self.last_delta = now
            return whole
        return self._look(whole, now) if whole else b""

    def _are_plain(self, events: bytes) -> bool:
        """See `PassingStream`."""
        return are_deltas(events)

    def tail(self, cost: bytes, extra: bytes) -> bytes:
        """The end mark: the upstream's own, where it came."""
        return self._stop

    def _is_entire(self, data: bytes) -> bool:
        """See `PassingStream`."""
        try:
            decode_frame(data)
        except UNREADABLE:
            return False
        return True

    def _admit(self, event: bytes, now: float) -> bool:
        """Takes in one event; whether it is forwarded as it came."""
        if self.phase is _DONE or self.fault:
            return False
        data = event_data(event)
        if data is None or not data.strip():
            return self.phase is _FLOWING
        try:
            frame = decode_frame(data)
        except UNREADABLE as error:
            return self._unreadable(data, error)
        if frame.type == "error":
            self._fail(event, fault_text(frame.error or frame.type))
            return False
        if self.phase is _WAITING:
            return self._begin(frame)
        if frame.type == "message_stop":
            self._stop = event
            self.phase = _DONE
            self._end()
            return False
        step = _STEPS.get(frame.type)
        if step is not None:
            step(self, frame, now)
        return True

    def _begin(self, frame: Frame) -> bool:
        if frame.type == "ping":
            return False
        if frame.type != "message_start":
            raise WireError(f"the stream begins with '{frame.type[:40]}'")
        try:
            head = decode_head(frame.message)
        except UNREADABLE as error:
            raise not_of_dialect(error) from None
        self.phase = _FLOWING
        if self._tally.add(head.usage):
            self.metered = self._tally.metered
        return True

    def _block(self, frame: Frame, now: float) -> None:
        """A block begins; some are an answer or a thought in themselves."""
        try:
            block = decode_block(frame.content_block)
        except UNREADABLE:
            return  # a block of a kind to come: its deltas tell
        if block.type == "redacted_thinking":
            self.stamp_text(now, answer=False)
        elif block.text or block.type not in {"text", "thinking"}:
            self.stamp_text(now, answer=True)

    def _delta(self, frame: Frame, now: float) -> None:
        delta = frame.delta
        if delta is None or not (delta.text or delta.partial_json or delta.thinking):
            self.stamp(now)
            return
        self.stamp_text(now, answer=not delta.thinking)
        self._is_quick = self.first_answer > 0.0

    def _close(self, frame: Frame, now: float) -> None:
        """The count so far, and why the answer ended."""
        if self._tally.add(frame.usage):
            self.metered = self._tally.metered
        if frame.delta is not None and frame.delta.stop_reason:
            self.finish_reason = str(frame.delta.stop_reason)


# ruff: noqa: ARG002, SLF001 - the table names the steps of the class above, which have one signature
_STEPS: Final[dict[str, Callable[[PassingMessages, Frame, float], None]]] = {
    "content_block_start": PassingMessages._block,
    "content_block_delta": PassingMessages._delta,
    "message_delta": PassingMessages._close,
}


def are_deltas(events: bytes) -> bool:
    """Whether each of these whole events is a delta of a block; False also where in doubt, as where one has no name.

    To decode so little is faster than to search for what others would have in them, and tells broken events too.
    """
    if not events.startswith(_DELTA) or CR in events:
        return False
    start, end = len(_DELTA), len(events) - 2
    is_one = events.find(b"\n", start) == end
    try:
        for data in (events[start:end],) if is_one else events[start:end].split(b"\n\n" + _DELTA):
            # A line end within the data would be a space to JSON, and is the end of the data to a reader of events.
            if glance(data).type != "content_block_delta" or LF in data:
                return False
    except UNREADABLE:
        return False
    return True


def read_whole(operation: Operation, body: bytes) -> WholeAnswer:  # noqa: ARG001 - the others are not read here
    """Reads a whole message with status 200; raises WireError when it is not one of this dialect."""
    try:
        message = decode_message(body)
    except UNREADABLE as error:
        raise WireError(f"the answer is not one of this dialect: {error}") from None
    if message.error:
        raise WireError(f"an error came with status 200: {fault_text(message.error)}")
    if message.content is None:
        raise WireError("the answer is not one of this dialect")
    return WholeAnswer(meter(message.usage), str(message.stop_reason or ""), bytes(message.usage))


def priced(text: bytes, members: bytes, usage: bytes = b"") -> bytes:  # noqa: ARG001 - see below
    """The answer as it is: Anthropic's usage keeps its own shape exactly, the cost stands in a header."""
    return text
