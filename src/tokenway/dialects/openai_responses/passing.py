"""Answers of the Responses dialect as they pass: forwarded as bytes, looked at only where it matters.

The last event holds the whole response with its usage. It is kept until the exchange has been settled, and
sent with the cost in its usage; every other byte of the stream is the upstream's. Once text of the answer has come,
an event is decoded only if it carries a response, as all that end a stream do, or an error.

    state     event                                   what happens
    WAITING   failed, error                           `fault` is set, nothing is forwarded
    WAITING   completed, incomplete                   DONE: an answer that came in one piece
    WAITING   any other `response.…`, keepalive       FLOWING, forwarded
    WAITING   anything else with data                 WireError: not of this dialect
    FLOWING   a delta, a call that begins             forwarded, stamped
    FLOWING   completed, incomplete                   DONE; kept for `tail`
    FLOWING   failed, error                           `fault` is set, not forwarded
    FLOWING   not an event of this dialect            before the first text WireError, then forwarded where it is JSON;
                                                      else `fault` is set
    any       `[DONE]`, which is not of this API      dropped
    DONE      anything                                dropped
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import Any, ClassVar, Final

import msgspec

from tokenway.dialects.base import UNREADABLE, CallerRequest, WholeAnswer, fault_text
from tokenway.dialects.openai_chat.passing import EXTRA_MEMBERS, with_usage_members
from tokenway.dialects.openai_responses.reader import read_response
from tokenway.dialects.openai_responses.schema import NOTHING, PassingEvent, ResponseFields
from tokenway.dialects.passing import PassingStream
from tokenway.model.catalog import Operation
from tokenway.model.errors import WireError
from tokenway.wire.splice import replace, set_members
from tokenway.wire.sse import event_data

_decode: Final = msgspec.json.Decoder(PassingEvent).decode

_ENDS: Final = frozenset({"response.completed", "response.incomplete"})
_FAULTS: Final = frozenset({"response.failed", "error"})
_ITEMS: Final = frozenset({"response.output_item.added", "response.output_item.done"})
_NUMBER: Final = re.compile(rb'"sequence_number"[ \t]*:[ \t]*(\d{1,18})')
_ITEM_TYPE: Final = re.compile(rb'"type"[ \t]*:[ \t]*"(\w+)"')
_CALLS: Final = frozenset({b"function_call", b"custom_tool_call"})
_SILENT: Final = frozenset({b"reasoning", b"message"})
"""Types of items whose end is no news: what is in them has come before."""


class Phase(IntEnum):
    """Where a stream is; see the table above."""

    WAITING = 0
    FLOWING = 1
    DONE = 2


_WAITING: Final = Phase.WAITING
_FLOWING: Final = Phase.FLOWING
_DONE: Final = Phase.DONE


class PassingResponses(PassingStream):
    """Reads one streamed answer; see `PassingStream` for what it tells."""

    __slots__ = ("_answer_id", "_held", "_last", "phase")

    MARKS: ClassVar[tuple[bytes, ...]] = (b'"response"', b'"error"', b"[DONE]")

    def __init__(self) -> None:
        super().__init__()
        self.phase: Phase = _WAITING
        self._answer_id = ""
        """The id of the response, which an error in the stream must repeat."""
        self._held = b""
        self._last = b""

    @property
    def is_whole(self) -> bool:
        """Whether the answer is complete: its last event came."""
        return self.phase is _DONE

    @property
    def answer_id(self) -> str:
        """The id of the response, which its failure must repeat."""
        return self._answer_id

    @property
    def sequence(self) -> int:
        """The number that the next event should have: one more than the last that was forwarded."""
        numbers = _NUMBER.findall(self._last)
        return int(numbers[-1]) + 1 if numbers else 0

    def feed(self, data: bytes, now: float) -> bytes:
        """The bytes to forward for this piece of the answer; raises WireError when it is no event stream."""
        out = super().feed(data, now)
        if b'"sequence_number"' in out:
            self._last = out
        return out

    def tail(self, cost: bytes, extra: bytes) -> bytes:
        """The last event as it came, but for `cost` in its usage and `extra` in its response."""
        event = self._held
        data = event_data(event)
        if data is None or not (cost or extra):
            return event
        told = _with_members(data, cost, extra)
        if data in event:
            return event.replace(data, told)
        kind = b"response.incomplete" if b"event: response.incomplete" in event else b"response.completed"
        return b"event: %b\ndata: %b\n\n" % (kind, told.replace(b"\n", b" ").replace(b"\r", b" "))

    def _is_entire(self, data: bytes) -> bool:
        """See `PassingStream`."""
        try:
            _decode(data)
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
        if data.startswith(b"[DONE]"):
            return False
        try:
            decoded = _decode(data)
        except UNREADABLE as error:
            return self._unreadable(data, error)
        kind = decoded.type
        if kind in _FAULTS or (decoded.error and not kind):
            self._take_fault(event, decoded)
            return False
        if self.phase is _WAITING:
            if not kind.startswith("response.") and kind != "keepalive":
                raise WireError("the first event is not one of this dialect")
            self.phase = _FLOWING
        if kind in _ENDS:
            self._take_end(event, decoded)
            return False
        self._take(kind, decoded, now)
        return True

    def _take(self, kind: str, event: PassingEvent, now: float) -> None:
        """What an event in the middle of the answer says of its pace."""
        if kind.endswith(".delta"):
            self.stamp_text(now, answer=not kind.startswith("response.reasoning"))
        elif kind in _ITEMS:
            found = _ITEM_TYPE.findall(event.item)
            is_call = any(each in _CALLS for each in found)
            if is_call or (kind.endswith(".done") and not self.first_answer and found and found[0] not in _SILENT):
                self.stamp_text(now, answer=True)
        elif not self._answer_id and event.response not in NOTHING:
            self._answer_id = str(read_response(event.response).id or "")
        self._is_quick = self.first_answer > 0.0

    def _take_end(self, event: bytes, decoded: PassingEvent) -> None:
        response = read_response(decoded.response)
        self._count(response)
        self.finish_reason = response.word
        self._held = event
        self.phase = _DONE
        self._end()

    def _take_fault(self, event: bytes, decoded: PassingEvent) -> None:
        error: Any = decoded.error
        if decoded.response not in NOTHING:
            response = read_response(decoded.response)
            error = response.error
            self._count(response)
        if not error:
            error = {"message": decoded.message or decoded.code or "the response has failed"}
        self._fail(event, fault_text(error))

    def _count(self, response: ResponseFields) -> None:
        metered = response.metered
        if metered.given:
            self.metered = metered


def passing(request: CallerRequest) -> PassingResponses:  # noqa: ARG001
    """A reader for a stream that answers this request, whatever it asks."""
    return PassingResponses()


def read_whole(operation: Operation, body: bytes) -> WholeAnswer:
    """Reads a whole answer with status 200.

    A response that is still being made in the background is one; one that has failed raises WireError, as does
    what is no response. A compacted conversation has no status.
    """
    response = read_response(body)
    if response.error or response.status == "failed":
        raise WireError(f"an error came with status 200: {fault_text(response.error)}")
    if response.output is None or (response.status is None and operation is not Operation.COMPACT):
        raise WireError("the answer is not one of this dialect")
    return WholeAnswer(response.metered, response.word, bytes(response.usage))


def priced(answer: bytes, cost: bytes, usage: bytes) -> bytes:
    """The answer with its cost in its usage."""
    return with_usage_members(answer, cost, usage) if cost else answer


def _with_members(data: bytes, cost: bytes, extra: bytes) -> bytes:
    """The data of a last event with members added to its response; unchanged where the place is not sure."""
    try:
        response = bytes(_decode(data).response)
        told = with_usage_members(response, cost) if cost else response
        if extra:
            told = set_members(told, extra, EXTRA_MEMBERS)
    except (*UNREADABLE, WireError):
        return data
    at = data.find(response)
    return replace(data, (at, at + len(response)), told)
