"""Answers of the OpenAI chat dialect as they pass: forwarded as bytes, looked at only where it matters.

A reader of a stream forwards whole events unchanged. It decodes an event only to find the first
text, the finish reason, the usage, an error or the end mark; a plain chunk in the middle of a stream costs a few
searches for fixed bytes. The events that carry only usage, and the end mark `[DONE]`, are held back until the
exchange has been settled, because the last event a caller sees tells what it cost, and a caller must not see the
end before the ledger has it.

    state        event                          what happens
    WAITING      error                          `fault` is set, nothing is forwarded
    WAITING      [DONE]                         WireError: an end without an answer
    WAITING      anything else with data        FLOWING, forwarded
    FLOWING      chunk                          forwarded, stamped
    FLOWING      not a chunk                    before the first text WireError, then forwarded where it is an
                                                object; else `fault` is set
    FLOWING      usage without choices          kept as the usage, not forwarded
    FLOWING      error                          `fault` is set, not forwarded
    FLOWING      [DONE]                         DONE; with neither a finish reason nor usage before it: a fault
    DONE         anything                       dropped: providers have been seen to repeat themselves
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import Final

import msgspec

from tokenway.dialects.base import UNREADABLE, WholeAnswer, fault_text
from tokenway.dialects.openai_chat.schema import ABSENT, Answer, AnswerChoice, Chunk, Glance, meter
from tokenway.dialects.passing import CR, LF, ODD_SPACING, PassingStream
from tokenway.model.catalog import Operation
from tokenway.model.errors import WireError
from tokenway.model.event import FinishReason
from tokenway.model.usage import Usage
from tokenway.wire.splice import append_member, find_value, replace, set_members
from tokenway.wire.sse import event_data, make_event

_decode_chunk: Final = msgspec.json.Decoder(Chunk).decode
_glance: Final = msgspec.json.Decoder(Glance).decode
_decode_answer: Final = msgspec.json.Decoder(Answer).decode
_decode_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode

_NOTHING: Final = (ABSENT, msgspec.Raw(b"null"))

END: Final = make_event(b"[DONE]")
NO_FINISH: Final = "the stream ended with neither a finish reason nor usage"
"""Some who relay an answer write the end mark whatever has become of it; some providers send no finish reason ever."""

COST_MEMBERS: Final = ("cost", "cost_details")
"""What is added to a usage; an upstream that is a gateway itself has told its own."""
_TOOL_CALLS: Final = re.compile(rb'"tool_calls"\s*:\s*\[\s*\{')
"""A call in a message: within a text its quotes would be escaped."""
EXTRA_MEMBERS: Final = ("tokenway",)
"""What is added to the last chunk of a stream."""
_USAGE_KEYS: Final = (b'"usage":', b'"usage": ')


class Phase(IntEnum):
    """Where a stream is; see the table above."""

    WAITING = 0
    FLOWING = 1
    DONE = 2


# Python 3.11 takes a quarter of a microsecond to look a member up in its enumeration.
_WAITING: Final = Phase.WAITING
_FLOWING: Final = Phase.FLOWING
_DONE: Final = Phase.DONE
_EMBEDDING: Final = Operation.EMBEDDING


class PassingChat(PassingStream):
    """Reads one streamed answer; see `PassingStream` for what it tells."""

    __slots__ = ("_asks_usage", "_choices", "_finished", "_has_calls", "_usage_event", "head", "phase")

    MARKS = (b'_tokens"', b'"finish_reason":"', b'"finish_reason": "', b"[DONE]", b'"error"')

    def __init__(self, choices: int = 1, *, asks_usage: bool = True) -> None:
        """`choices` is how many answers the stream carries: it is whole when so many have finished.

        `asks_usage` is whether the caller wants the usage: else the stream ends with the end mark alone.
        """
        super().__init__()
        self._choices = choices
        self._asks_usage = asks_usage
        self._finished: set[int] = set()
        self._has_calls = False
        self._usage_event: bytes | None = None
        self.phase: Phase = _WAITING
        self.head = Chunk()

    @property
    def answer_id(self) -> str:
        """The id that the upstream's chunks have, which an error at their end repeats."""
        return self.head.id if isinstance(self.head.id, str) else ""

    @property
    def is_whole(self) -> bool:
        """Whether the answer is complete: the end mark came, or every choice gave its finish reason."""
        return self.phase is _DONE or len(self._finished) >= self._choices

    def feed(self, data: bytes, now: float) -> bytes:
        """The bytes to forward for this piece of the answer; raises WireError when it is no event stream."""
        whole = data if data[-2:] == b"\n\n" and not self._splitter.rest else self._splitter.feed(data)
        if self._is_quick and whole and are_plain(whole):
            self.gaps[int((now - self.last_delta) * 1000.0).bit_length()] += 1
            self.last_delta = now
            return whole
        return self._look(whole, now) if whole else b""

    def _are_plain(self, events: bytes) -> bool:
        """See `PassingStream`."""
        return are_plain(events)

    def tail(self, cost: bytes, extra: bytes) -> bytes:
        """The events that end the answer: a chunk with the usage, if the caller asked for it, and the end mark."""
        if not self._asks_usage:
            return END
        data = event_data(self._usage_event) if self._usage_event is not None else None
        if data is None:
            data = self._made_usage_event()
        if cost:
            data = with_usage_members(data, cost)
        if extra:
            try:
                data = set_members(data, extra, EXTRA_MEMBERS)
            except WireError:
                data = append_member(self._made_usage_event(), extra)
        return make_event(data.replace(b"\n", b" ").replace(b"\r", b" ")) + END

    def _made_usage_event(self) -> bytes:
        """A last chunk for a provider that sent none of its own kind: same id, no choices."""
        head = self.head
        shape: dict[str, object] = {
            "id": head.id or "",
            "object": head.object or "chat.completion.chunk",
            "created": head.created or 0,
            "model": head.model or "",
            "choices": [],
            "usage": _usage_object(self.metered.usage),
        }
        return msgspec.json.encode(shape)

    def _is_entire(self, data: bytes) -> bool:
        """See `PassingStream`."""
        if data.startswith(b"[DONE]"):
            return True
        try:
            _decode_chunk(data)
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
            if self.phase is _WAITING:
                raise WireError("the stream ended before its first chunk")
            if not self._finished and not self.metered.given:
                self._fail(b"", NO_FINISH)
                return False
            self.phase = _DONE
            self._end()
            return False
        try:
            chunk = _decode_chunk(data)
        except UNREADABLE as error:
            return self._unreadable(data, error)
        if chunk.error:
            self._fail(event, fault_text(chunk.error))
            return False
        if self.phase is _WAITING:
            if chunk.choices is None and chunk.object is None and chunk.usage in _NOTHING:
                raise WireError("the first event is not a chunk of this dialect")
            self.phase = _FLOWING
            self.head = chunk
        return self._take(chunk, event, now)

    def _take(self, chunk: Chunk, event: bytes, now: float) -> bool:
        metered = meter(chunk.usage, chunk.service_tier or self.head.service_tier)
        if metered.given:
            self.metered = metered
        choices = chunk.choices
        if not choices:
            if metered.given:
                self._usage_event = event
            return not metered.given
        for choice in choices:
            if choice.delta is not None and choice.delta.tool_calls:
                self._has_calls = True
            if choice.finish_reason:
                self._finished.add(choice.index if isinstance(choice.index, int) else 0)
                self.finish_reason = _word(str(choice.finish_reason), has_calls=self._has_calls)
        visible, answer = _adds_text(chunk)
        if visible:
            self.stamp_text(now, answer=answer)
        self._is_quick = self.first_answer > 0.0 and not ODD_SPACING.search(event)
        return True


def are_plain(events: bytes) -> bool:
    """Whether each of these whole events is a chunk that brings no usage, error or finish; False also where in doubt.

    To decode so little is faster than to search for what these would have in them, and tells broken events too.
    """
    end = len(events) - 2
    if events[:6] != b"data: " or CR in events:
        return False
    try:
        for data in (events[6:end],) if events.find(b"\n") == end else events[6:end].split(b"\n\ndata: "):
            chunk = _glance(data)
            # A line end within the data would be a space to JSON, and is the end of the data to a reader of events.
            if chunk.usage or chunk.error or LF in data:
                return False
            for choice in chunk.choices or ():
                if choice.finish_reason:
                    return False
    except UNREADABLE:
        return False
    return True


def read_whole(operation: Operation, body: bytes) -> WholeAnswer:
    """Reads a whole answer with status 200.

    Raises WireError when it is not one of this dialect: no JSON, an error, or without the list that the
    operation's answers have.
    """
    try:
        answer = _decode_answer(body)
    except UNREADABLE as error:
        raise WireError(f"the answer is not one of this dialect: {error}") from None
    items = answer.data if operation is _EMBEDDING else answer.choices
    if answer.error:
        raise WireError(f"an error came with status 200: {fault_text(answer.error)}")
    if items is None:
        raise WireError("the answer is not one of this dialect")
    first = answer.choices[0] if answer.choices else AnswerChoice()
    finish = _word(str(first.finish_reason or ""), has_calls=_TOOL_CALLS.search(bytes(first.message)) is not None)
    return WholeAnswer(meter(answer.usage, answer.service_tier), finish, bytes(answer.usage))


def with_usage_members(text: bytes, members: bytes, usage: bytes = b"") -> bytes:
    """An answer's or a chunk's object with `members` added to its usage; `usage` is that object, where it is known.

    It is unchanged where it has no usage, and where it is too broken to be sure of the place.
    """
    try:
        usage = usage or bytes(_decode_members(text).get("usage", b""))
        if not usage.startswith(b"{"):
            return text
        if b'"cost' in usage or len(usage) <= len(b"{}"):
            priced = set_members(usage, members, COST_MEMBERS)
        else:
            priced = b"%b,%b}" % (usage[:-1], members)
        at = text.rfind(usage)
        if text[at - 9 : at].endswith(_USAGE_KEYS) and text.count(b'"usage"') == 1:
            return replace(text, (at, at + len(usage)), priced)
        return replace(text, find_value(text, "usage", usage), priced)
    except (*UNREADABLE, WireError):
        return text


def _word(finish: str, *, has_calls: bool) -> str:
    """How an answer ended, for the books: a call that was forced ends with `stop`."""
    return FinishReason.TOOL_CALLS.value if has_calls and finish == FinishReason.STOP else finish


def _adds_text(chunk: Chunk) -> tuple[bool, bool]:
    """Whether a chunk adds anything that a reader sees, and whether that is the answer, not reasoning."""
    visible = False
    for choice in chunk.choices or ():
        delta = choice.delta
        if choice.text:
            return True, True
        if delta is None:
            continue
        if delta.content or delta.refusal or delta.tool_calls or delta.audio or delta.function_call:
            return True, True
        if delta.reasoning_content or delta.reasoning:
            visible = True
    return visible, False


def _usage_object(usage: Usage | None) -> dict[str, object] | None:
    if usage is None:
        return None
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }
