"""Reads streams of the OpenAI chat dialect into neutral events: chunks in, parts out.

The dialect has no parts: a chunk adds text, reasoning, a refusal or a piece of a tool call to a choice, and what kind
it is tells where one part ends and the next begins. So there are two small machines: one for each choice
(`stream_choice`), and one for the stream:

    state      frame                    what happens
    WAITING    [DONE]                   WireError: an end without an answer
    WAITING    no chunk                 WireError
    WAITING    chunk                    FLOWING; `Started` once a chunk has choices or usage (Azure's first has neither)
    FLOWING    chunk                    its usage, then what it adds to each choice
    FLOWING    no chunk                 WireError
    FLOWING    [DONE]                   DONE: choices without a finish reason finish, then `Ended`; `Failed` where
                                        there was neither a finish reason nor usage
    FLOWING    end of the body          DONE where every choice has finished, else nothing: the answer was cut
    any        error                    DONE: `Failed`
    DONE       anything                 nothing: providers have been seen to repeat themselves

Whole answers are read by the same steps (`read_answer`), so that both ways of answering cannot say different things.

Sources: OpenAI API reference, "The chat completion chunk object"; OpenRouter's guides for reasoning and images;
DeepSeek's and vLLM's documentation of `reasoning_content`; Mistral's of thinking chunks.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Any, Final

import msgspec

from tokenway.dialects.base import UNREADABLE, fault_text
from tokenway.dialects.openai_chat.error import status_of
from tokenway.dialects.openai_chat.passing import NO_FINISH
from tokenway.dialects.openai_chat.schema import EventChoice, EventChunk, meter
from tokenway.dialects.openai_chat.stream_choice import MEMBERS, Choice
from tokenway.dialects.openai_chat.words import text_of
from tokenway.dialects.passing import not_of_dialect
from tokenway.model.errors import WireError
from tokenway.model.event import Added, Answer, Counted, Ended, Event, Failed, PartKind, Started, fold

_decode: Final = msgspec.json.Decoder(EventChunk).decode
_encode: Final = msgspec.json.encode
_TEXT: Final = PartKind.TEXT


class Phase(IntEnum):
    """Where a stream is; see the table above."""

    WAITING = 0
    FLOWING = 1
    DONE = 2


class Reader:
    """Reads one streamed answer; see `dialects.base.EventReader`."""

    __slots__ = ("_choices", "_found", "_head", "_is_counted", "_is_started", "_last", "_out", "_phase", "_whole")

    def __init__(self, *, whole: bool = False) -> None:
        """`whole` is for `read_answer`: each choice comes in one piece."""
        self._phase = Phase.WAITING
        self._head = EventChunk()
        self._is_started = self._is_counted = False
        self._choices: dict[int, Choice] = {}
        self._last: Choice | None = None
        """The choice that had text last: most chunks add to it and to nothing else."""
        self._out: list[Event] = []
        self._whole = whole
        self._found: Any = None
        """What a search found, as the last chunk that says it has it."""

    def read(self, frame: bytes) -> Sequence[Event]:
        """The events of one frame; raises WireError when it is no chunk, or cannot come now."""
        if self._phase is Phase.DONE:
            return ()
        try:
            chunk = _decode(frame)
        except UNREADABLE as error:
            return self._odd(frame, error)
        last = self._last
        choices = chunk.choices
        if last is not None and choices is not None and len(choices) == 1 and chunk.usage is None:
            choice = choices[0]
            delta = choice.delta
            if (
                delta is not None
                and choice.index == last.number
                and last.kind is _TEXT
                and choice.finish_reason is None
                and choice.logprobs is None
                and delta.tool_calls is None
                and delta.reasoning is None
                and delta.reasoning_content is None
                and delta.reasoning_details is None
                and delta.refusal is None
                and delta.annotations is None
                and delta.images is None
                and delta.audio is None
                and delta.function_call is None
                and delta.extra_content is None
                and chunk.error is None
                and type(delta.content) is str
                and delta.content
            ):
                return (Added(last.part, delta.content, last.number),)
        return self.take(chunk)

    def end(self) -> Sequence[Event]:
        """The end of the body: the answer is whole if every choice has finished."""
        is_whole = bool(self._choices) and all(choice.is_finished for choice in self._choices.values())
        if self._phase is Phase.DONE or not is_whole:
            return ()
        self._phase = Phase.DONE
        return (Ended(),)

    def _odd(self, frame: bytes, error: Exception) -> Sequence[Event]:
        """What is no chunk: the end mark, or a fault."""
        if not frame.strip().startswith(b"[DONE]"):
            raise not_of_dialect(error)
        if self._phase is Phase.WAITING:
            raise WireError("the stream ended before its first chunk")
        self._phase = Phase.DONE
        if not self._is_counted and not any(choice.is_finished for choice in self._choices.values()):
            return (Failed(NO_FINISH),)
        self._start()
        for choice in self._choices.values():
            choice.finish()
        self._out.append(Ended())
        return self._told()

    def take(self, chunk: EventChunk) -> Sequence[Event]:
        """The events of one chunk."""
        if chunk.error:
            self._phase = Phase.DONE
            code = chunk.error.get("code") if isinstance(chunk.error, dict) else None
            return (Failed(fault_text(chunk.error), "" if code is None else str(code), status_of(chunk.error)),)
        if self._phase is Phase.WAITING:
            if chunk.choices is None and chunk.object is None and chunk.usage is None:
                raise WireError("the first event is not a chunk of this dialect")
            self._phase = Phase.FLOWING
        if not self._is_started:
            self._head = chunk
        if chunk.choices or chunk.usage is not None:
            self._start()
        self._found = chunk.search_results or chunk.citations or self._found
        if chunk.usage is not None:
            self._is_counted = True
            tier = chunk.service_tier or self._head.service_tier
            self._out.append(Counted(meter(msgspec.Raw(_encode(chunk.usage)), tier)))
        for place, choice in enumerate(chunk.choices or ()):
            self._add(place, choice)
        return self._told()

    def _start(self) -> None:
        if not self._is_started:
            self._is_started = True
            created = self._head.created
            is_time = isinstance(created, int | float) and not isinstance(created, bool)
            self._out.append(Started(text_of(self._head.id), text_of(self._head.model), int(created) if is_time else 0))

    def _told(self) -> Sequence[Event]:
        told = list(self._out)
        self._out.clear()
        return told

    def _add(self, place: int, piece: EventChoice) -> None:
        """What a chunk adds to one choice."""
        number = piece.index if isinstance(piece.index, int) and piece.index >= 0 else place if self._whole else 0
        choice = self._choices.get(number)
        if choice is None:
            head = self._head
            choice = Choice(number, (head.id, head.created, head.model), self._out, whole=self._whole)
            self._choices[number] = choice
        delta = piece.delta if piece.delta is not None else piece.message
        if not choice.is_finished:
            if delta is not None:
                choice.take_reasoning(delta)
                if delta.content is not None:
                    choice.take_content(delta.content)
            if piece.text is not None:
                choice.take_content(piece.text)
        # What belongs to the text comes before what ends it.
        if delta is not None and delta.annotations is not None:
            choice.take_annotations(delta.annotations)
        choice.take_logprobs(piece.logprobs, "content", choice.text_part)
        if not choice.is_finished and delta is not None:
            for name, take in MEMBERS:
                value = getattr(delta, name)
                if value is not None:
                    take(choice, value)
        choice.take_logprobs(piece.logprobs, "refusal", choice.refusal_part)
        self._last = choice
        if self._whole or (isinstance(piece.finish_reason, str) and piece.finish_reason):
            if self._found and not choice.is_finished:
                choice.take_found(self._found)
            choice.finish(piece)


def read_answer(body: bytes) -> Answer:
    """A whole answer; raises WireError when it is none: no JSON, an error, or without choices."""
    try:
        chunk = _decode(body)
    except UNREADABLE as error:
        raise WireError(f"the answer is not one of this dialect: {error}") from None
    if chunk.error:
        raise WireError(f"an error came with status 200: {fault_text(chunk.error)}")
    if chunk.choices is None:
        raise WireError("the answer is not one of this dialect")
    reader = Reader(whole=True)
    return fold(reader.take(chunk))
