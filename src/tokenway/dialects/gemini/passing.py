"""Answers of the Gemini dialect as they pass: forwarded as bytes, looked at only where it matters.

A stream has no mark for its end: it ends with its body, and is whole when every candidate has a finish reason. Older
models write one into every chunk, so the last event that has come since is held back and let go when another follows;
the one that is held when the body ends is the end of the answer. Every chunk has the usage so far, which is read only
when somebody asks for it.

    state        event                          what happens
    WAITING      error                          `fault` is set, nothing is forwarded
    WAITING      not a response                 WireError
    WAITING      response                       FLOWING, forwarded
    FLOWING      response                       forwarded, stamped
    FLOWING      not a response                 before the first text WireError, then forwarded where it is JSON; else
                                                `fault` is set
    FLOWING      response after which all       FINISHED, held
                 candidates have finished
    FINISHED     event with data                what is held is forwarded, this one is held
    FINISHED     event without data             dropped: nobody waits for a keep-alive any more
    FLOWING,     error                          `fault` is set, not forwarded
    FINISHED
    FINISHED     end of the body                DONE: what is held is for `tail`
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import msgspec

from tokenway.dialects.base import UNREADABLE, CallerRequest, WholeAnswer, fault_text
from tokenway.dialects.gemini.frames import array_of, frame_data
from tokenway.dialects.gemini.request import EMBEDDINGS
from tokenway.dialects.gemini.schema import ABSENT, NOTHING, Candidate, Response
from tokenway.dialects.gemini.usage import meter
from tokenway.dialects.passing import NO_EVENT, ODD_SPACING, PassingStream, are_sound
from tokenway.model.catalog import Operation
from tokenway.model.errors import WireError
from tokenway.model.event import FinishReason
from tokenway.model.usage import ABSURD, UNMETERED, Metered
from tokenway.wire.sse import split_events


class _Embedded(msgspec.Struct, rename="camel"):
    """A whole answer of either embedding call."""

    embedding: msgspec.Raw = ABSENT
    embeddings: msgspec.Raw = ABSENT
    usage_metadata: msgspec.Raw = ABSENT
    error: object = None


_decode: Final = msgspec.json.Decoder(Response).decode
_decode_embedded: Final = msgspec.json.Decoder(_Embedded).decode
_STOP: Final = "STOP"
_COUNTS: Final = b'TokenCount"'
"""What a usage that counts anything has in it: Vertex writes a `trafficType` alone into most chunks."""


class Phase(IntEnum):
    """Where a stream is; see the table above."""

    WAITING = 0
    FLOWING = 1
    FINISHED = 2
    DONE = 3


_WAITING: Final = Phase.WAITING
_FLOWING: Final = Phase.FLOWING
_FINISHED: Final = Phase.FINISHED


class PassingGemini(PassingStream):
    """Reads one streamed answer; see `PassingStream` for what it tells."""

    __slots__ = ("_array", "_choices", "_counted", "_finished", "_has_calls", "_held", "_let_go", "_metered", "phase")

    MARKS = (b'"finishReason"', b'"error"', b'"promptFeedback"', b'"functionCall"')

    def __init__(self, request: CallerRequest) -> None:
        self._counted = b""
        """The last events with counts in them, as long as nobody has asked for them."""
        self._metered = UNMETERED
        super().__init__()
        self._array = array_of(request)
        self._choices = request.choices
        self._finished: set[int] = set()
        self._has_calls = False
        self._held = b""
        self._let_go: list[bytes] = []
        self.phase: Phase = _WAITING

    @property
    def is_whole(self) -> bool:
        """Whether the answer is complete: it had finished when its body ended.

        A finish reason alone is no end, since older models write one into every chunk.
        """
        return self.phase is Phase.DONE

    @property
    def metered(self) -> Metered:
        """What the provider has counted so far."""
        if self._counted:
            events, self._counted = split_events(self._counted), b""
            found = _usage_of(next(event for event in reversed(events) if _COUNTS in event))
            if found.given:
                self._metered = found
        return self._metered

    @metered.setter
    def metered(self, value: Metered) -> None:
        self._metered = value

    def feed(self, data: bytes, now: float) -> bytes:
        """The bytes to forward for this piece of the answer; raises WireError when it is no event stream."""
        whole = data if data[-2:] == b"\n\n" and not self._splitter.rest else self._splitter.feed(data)
        if not whole:
            return b""
        if (
            self._is_quick
            and b'"finishReason"' not in whole
            and b'"error"' not in whole
            and b'"functionCall"' not in whole
            and b'"promptFeedback"' not in whole
            and whole[:1] not in NO_EVENT
            and are_sound(whole)
        ):
            self.gaps[int((now - self.last_delta) * 1000.0).bit_length()] += 1
            self.last_delta = now
            if _COUNTS in whole:
                self._counted = whole
            return whole if self._array is None else self._array.elements(whole)
        out = self._look(whole, now)
        read = whole.partition(self.fault_event)[0] if self.fault_event else whole
        if _COUNTS in read:
            self._counted = read
        return self._forwarded(out)

    def finish(self) -> bytes:
        """What a last event without its blank line still gives; the end of the body is the end of the answer."""
        rest = self._splitter.take_rest()
        out = b""
        data = frame_data(rest)
        if data is not None and self._is_entire(data):
            if _COUNTS in rest:
                self._counted = rest
            out = self._forwarded(self._look(rest.rstrip(b"\r\n") + b"\n\n", self.last_delta))
        if self.phase is _FINISHED and not self.fault:
            self.phase = Phase.DONE
            self._end()
        return out

    def tail(self, cost: bytes, extra: bytes) -> bytes:  # noqa: ARG002 - the dialect has no room for either
        """The last event as it came; Gemini has no mark for the end, but an array has."""
        held, self._held = self._held, b""
        if self._array is None:
            return held
        return self._array.elements(held) + self._array.end()

    # -- one event ---------------------------------------------------------------------------------------

    def _forwarded(self, out: bytes) -> bytes:
        """What is forwarded: events that passed, and those that are not held any more."""
        if self._let_go:
            out = b"".join((out, *self._let_go))
            self._let_go.clear()
        if self._array is None:
            return out
        out = self._array.elements(out)
        if self.fault_event:
            self.fault_event = self._array.broken_by(self.fault_event)
        return out

    def _is_entire(self, data: bytes) -> bool:
        """See `PassingStream`."""
        try:
            _decode(data)
        except UNREADABLE:
            return False
        return True

    def _admit(self, event: bytes, now: float) -> bool:
        """Takes in one event; whether it is forwarded as it came."""
        if self.fault:
            return False
        data = frame_data(event)
        if data is None or not data.strip():
            return self.phase is _FLOWING
        try:
            response = _decode(data)
        except UNREADABLE as error:
            return self._unreadable(data, error) and self._pass(event)
        if response.error:
            self._fail(event, fault_text(response.error))
            return False
        if self.phase is _WAITING:
            if response.candidates is None and response.prompt_feedback is None and response.usage_metadata in NOTHING:
                raise WireError("the first event is not a response of this dialect")
            self.phase = _FLOWING
        self._take(response, event, now)
        return self._pass(event)

    def _take(self, response: Response, event: bytes, now: float) -> None:
        """Notes what one response says: finish reasons, and whether it has anything to see."""
        visible = answer = False
        for candidate in response.candidates or ():
            if candidate.finish_reason:
                self._finished.add(candidate.index or 0)
                self.finish_reason = candidate.finish_reason
            seen, said = _adds(candidate)
            visible, answer = visible or seen, answer or said
            self._has_calls = self._has_calls or _calls(candidate)
        if self._has_calls and self.finish_reason == _STOP:
            self.finish_reason = FinishReason.TOOL_CALLS.value
        feedback = response.prompt_feedback
        is_blocked = feedback is not None and bool(feedback.block_reason)
        if is_blocked and feedback is not None:
            self.finish_reason = feedback.block_reason or ""
        if visible:
            self.stamp_text(now, answer=answer)
        if is_blocked or len(self._finished) >= self._choices:
            self.phase = _FINISHED
        self._is_quick = self.phase is _FLOWING and self.first_answer > 0.0 and not ODD_SPACING.search(event)

    def _pass(self, event: bytes) -> bool:
        """Whether an event is forwarded now; one that may be the last is held, and lets the one before it go."""
        if self.phase is not _FINISHED:
            return True
        if self._held:
            self._let_go.append(self._held)
        self._held = event
        return False


def _adds(candidate: Candidate) -> tuple[bool, bool]:
    """Whether a candidate adds anything that a reader sees, and whether that is the answer, not a thought."""
    visible = False
    parts = candidate.content.parts if candidate.content is not None else None
    for part in parts or ():
        if part.thought:
            visible = visible or bool(part.text)
        elif part.text or part.function_call not in NOTHING or part.inline_data not in NOTHING:
            return True, True
    return visible, False


def _calls(candidate: Candidate) -> bool:
    """Whether a candidate calls a tool, of which its finish reason says nothing."""
    parts = candidate.content.parts if candidate.content is not None else None
    return any(part.function_call not in NOTHING for part in parts or ())


def _usage_of(event: bytes) -> Metered:
    """What an event with counts in it counts."""
    try:
        return meter(_decode(frame_data(event) or b"").usage_metadata)
    except UNREADABLE:
        return ABSURD


def read_whole(operation: Operation, body: bytes) -> WholeAnswer:
    """Reads a whole answer with status 200.

    Raises WireError when it is not one of this dialect: no JSON, an error, or with neither a candidate nor a reason
    why there is none.
    """
    try:
        if operation in EMBEDDINGS:
            return _read_embedded(body)
        response = _decode(body)
    except UNREADABLE as error:
        raise WireError(f"the answer is not one of this dialect: {error}") from None
    if response.error:
        raise WireError(f"an error came with status 200: {fault_text(response.error)}")
    feedback = response.prompt_feedback
    blocked = feedback.block_reason if feedback is not None else None
    if not response.candidates and not blocked:
        raise WireError("the answer has no candidates")
    finish = response.candidates[0].finish_reason if response.candidates else blocked
    if finish == _STOP and response.candidates and _calls(response.candidates[0]):
        finish = FinishReason.TOOL_CALLS.value
    return WholeAnswer(meter(response.usage_metadata), finish or "", bytes(response.usage_metadata))


def _read_embedded(body: bytes) -> WholeAnswer:
    answer = _decode_embedded(body)
    if answer.error:
        raise WireError(f"an error came with status 200: {fault_text(answer.error)}")
    if answer.embedding in NOTHING and answer.embeddings in NOTHING:
        raise WireError("the answer has no embeddings")
    return WholeAnswer(meter(answer.usage_metadata), "", bytes(answer.usage_metadata))


def priced(answer: bytes, cost: bytes, usage: bytes) -> bytes:  # noqa: ARG001 - the dialect has no room for a cost
    """The answer as it is: Gemini's usage has no place for a cost."""
    return answer
