"""Answers of Converse as they pass: forwarded as bytes, looked at only where it matters.

Whole messages only go out. A message's headers tell its kind; its JSON is decoded to find the first text, the stop
reason, the usage or a fault, and a plain delta after the first text is not decoded. `messageStop` and `metadata` are
held back until the exchange has been settled, and then go out as they came: Bedrock's usage has no room for a cost.

    state      message                        what happens
    WAITING    messageStart                   FLOWING, forwarded
    FLOWING    contentBlockStart/Delta/Stop   forwarded, stamped
    FLOWING    metadata                       held; its usage is read
    FLOWING    messageStop                    held; STOPPED, or DONE where the metadata have come
    STOPPED    metadata                       held; DONE
    STOPPED    an unknown event               held
    WAITING,   an unknown event               forwarded
    FLOWING
    any        exception, error               `fault` is set, not forwarded; DONE
    DONE       anything                       dropped
    others                                    WireError: it cannot come there
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import Final

import msgspec

from tokenway.dialects.base import UNREADABLE, CallerRequest, WholeAnswer
from tokenway.dialects.bedrock import frames, schema
from tokenway.dialects.bedrock.answer import decode_whole
from tokenway.dialects.bedrock.error import failed
from tokenway.dialects.bedrock.request import EVENT_STREAM
from tokenway.dialects.passing import Pace, not_of_dialect
from tokenway.model.catalog import Operation
from tokenway.model.errors import WireError
from tokenway.model.usage import UNMETERED, Metered
from tokenway.wire.event_stream import MessageFrames, parse_message, sections

_decode_start: Final = msgspec.json.Decoder(schema.BlockStart).decode
_decode_delta: Final = msgspec.json.Decoder(schema.BlockDelta).decode
_decode_stop: Final = msgspec.json.Decoder(schema.MessageStop).decode
_decode_metadata: Final = msgspec.json.Decoder(schema.Metadata).decode
_LENGTHS: Final = slice(4, 8)
_HEADERS: Final = 12
"""Where the headers of a message begin."""


class Phase(IntEnum):
    """Where a stream is; see the table above."""

    WAITING = 0
    FLOWING = 1
    STOPPED = 2
    DONE = 3


class PassingMessages(Pace):
    """Reads one streamed answer; see `dialects.base.AnswerStream`."""

    __slots__ = (
        "_frames",
        "_has_metadata",
        "_held",
        "_is_quick",
        "_kinds",
        "_plain",
        "_plain_size",
        "fault",
        "fault_event",
        "finish_reason",
        "is_calm",
        "metered",
        "phase",
    )

    def __init__(self, request: CallerRequest | None = None) -> None:
        del request  # a stream of Converse is the same for every request
        super().__init__()
        self._frames = MessageFrames()
        self._kinds = frames.Kinds()
        self._held: list[bytes] = []
        self._has_metadata = False
        self._is_quick = False
        self._plain = b""
        """The encoded headers of the last delta: messages that begin so are plain, once the first text has come."""
        self._plain_size = b""
        self.phase: Phase = Phase.WAITING
        self.is_calm = True
        self.fault = ""
        self.fault_event = b""
        self.finish_reason = ""
        self.metered: Metered = UNMETERED

    @staticmethod
    def accepts(content_type: bytes) -> bool:
        """Whether an answer of this media type (in lower case) is such a stream."""
        return EVENT_STREAM in content_type

    @property
    def is_whole(self) -> bool:
        """Whether the answer is complete: its stop reason has come."""
        return not self.fault and self.phase >= Phase.STOPPED

    def feed(self, data: bytes, now: float) -> bytes:
        """The bytes to forward for this piece of the answer; raises WireError when it is no stream of the dialect."""
        messages = self._frames.feed(data)
        if self._is_quick:
            plain, size = self._plain, self._plain_size
            for message in messages:
                if message[_LENGTHS] != size or not message.startswith(plain, _HEADERS):
                    break
            else:
                if messages:
                    self.stamp(now)
                return messages[0] if len(messages) == 1 else b"".join(messages)
        return b"".join([message for message in messages if self._admit(message, now)])

    def finish(self) -> bytes:
        """Nothing: half a message is none."""
        self._frames.rest()
        return b""

    def tail(self, cost: bytes, extra: bytes) -> bytes:
        """The messages that were held back."""
        del cost, extra
        return b"".join(self._held)

    def _admit(self, message: bytes, now: float) -> bool:
        """Takes in one message; whether it is forwarded."""
        if self.phase is Phase.DONE:
            return False
        headers, payload = sections(message)
        kind = self._kinds.of(headers)
        if kind == frames.FAULT:
            self._fail(message)
            return False
        step = _TABLE.get((self.phase, kind))
        if step is None:
            raise WireError(f"the event {kind} cannot come here")
        try:
            if step(self, payload, now):
                if kind == frames.BLOCK_DELTA:
                    self._plain, self._plain_size = headers, message[_LENGTHS]
                    self._is_quick = self.first_answer > 0.0
                return True
        except UNREADABLE as error:
            raise not_of_dialect(error) from None
        self._held.append(message)
        return False

    def _fail(self, message: bytes) -> None:
        """The message is a fault: nothing after it counts."""
        failure = failed(parse_message(message))
        self.fault = failure.message or failure.code or "an error without a message"
        self.fault_event = message
        self._end()

    def _end(self) -> None:
        self.phase = Phase.DONE
        self._is_quick = self.is_calm = False

    # -- the table's steps: whether the message is forwarded, else it is held ---------------------------------

    def _start(self, payload: bytes, now: float) -> bool:
        del payload, now
        self.phase = Phase.FLOWING
        return True

    def _block_start(self, payload: bytes, now: float) -> bool:
        if not self.first_answer:
            start = _decode_start(payload).start
            if start is not None and (start.tool_use is not None or start.image is not None):
                self.stamp_text(now, answer=True)
        return True

    def _delta(self, payload: bytes, now: float) -> bool:
        if self.first_answer:
            self.stamp(now)
            return True
        delta = _decode_delta(payload).delta
        if delta.text or delta.tool_use is not None or delta.image is not None:
            self.stamp_text(now, answer=True)
        elif delta.reasoning_content is not None and delta.reasoning_content.text:
            self.stamp_text(now, answer=False)
        return True

    def _forwarded(self, payload: bytes, now: float) -> bool:
        del payload, now
        return True

    def _kept(self, payload: bytes, now: float) -> bool:
        del payload, now
        return False

    def _stop(self, payload: bytes, now: float) -> bool:
        del now
        self.finish_reason = _decode_stop(payload).stop_reason or ""
        self._is_quick = False
        self.phase = Phase.STOPPED
        if self._has_metadata:
            self._end()
        return False

    def _metadata(self, payload: bytes, now: float) -> bool:
        del now
        metadata = _decode_metadata(payload)
        metered = schema.meter(metadata.usage, metadata.service_tier)
        if metered.given:
            self.metered = metered
        self._has_metadata = True
        if self.phase is Phase.STOPPED:
            self._end()
        return False


_TABLE: Final[dict[tuple[Phase, str], Callable[[PassingMessages, bytes, float], bool]]] = {
    (Phase.WAITING, frames.MESSAGE_START): PassingMessages._start,  # noqa: SLF001 - the table of the class above
    (Phase.WAITING, frames.OTHER): PassingMessages._forwarded,  # noqa: SLF001
    (Phase.FLOWING, frames.BLOCK_START): PassingMessages._block_start,  # noqa: SLF001
    (Phase.FLOWING, frames.BLOCK_DELTA): PassingMessages._delta,  # noqa: SLF001
    (Phase.FLOWING, frames.BLOCK_STOP): PassingMessages._forwarded,  # noqa: SLF001
    (Phase.FLOWING, frames.MESSAGE_STOP): PassingMessages._stop,  # noqa: SLF001
    (Phase.FLOWING, frames.METADATA): PassingMessages._metadata,  # noqa: SLF001
    (Phase.FLOWING, frames.OTHER): PassingMessages._forwarded,  # noqa: SLF001
    (Phase.STOPPED, frames.METADATA): PassingMessages._metadata,  # noqa: SLF001
    (Phase.STOPPED, frames.OTHER): PassingMessages._kept,  # noqa: SLF001
}
"""The transitions of the table above; faults are the same everywhere."""


def read_whole(operation: Operation, body: bytes) -> WholeAnswer:
    """Reads a whole answer with status 200; raises WireError when it is not one of this dialect."""
    del operation
    answer = decode_whole(body)
    return WholeAnswer(schema.meter(answer.usage, answer.service_tier), answer.stop_reason or "", bytes(answer.usage))


def priced(answer: bytes, cost: bytes, usage: bytes) -> bytes:
    """The answer as it is: Bedrock's usage has no room for a cost."""
    del cost, usage
    return answer
