"""Neutral events to a Gemini stream.

Each chunk is a whole response with what is new in it; text and thoughts go out as they come. Gemini gives tool calls
whole, so a call's arguments are kept until it closes. The finish reasons, the citations and the usage stand in the last
chunk, which `tail` writes; there is no mark behind it. A keep-alive is nothing: Google's clients take a comment for a
chunk.

    event                    what happens
    Opened text, refusal     open
    Opened reasoning         open
    Opened tool call         open, nothing goes out before it closes
    Added                    text, thought: a chunk; tool call: kept
    Closed                   tool call: a chunk with the call; thought with a signature: a chunk that signs it
    Whole                    a chunk, or nothing for a part of another vendor's
    Cited, Logprobs          kept for the last chunk
    Counted, Finished        kept for the last chunk
    Started, Failed, Ping,   nothing
    Ended

Added, Closed and Cited of a part that is not open (or was not) are a WireError.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final

import msgspec

from tokenway.dialects.base import Maker
from tokenway.dialects.gemini.citations import write_citations
from tokenway.dialects.gemini.frames import array_of
from tokenway.dialects.gemini.logprobs import write_logprobs
from tokenway.dialects.gemini.pieces import call_piece, foreign_piece, media_piece, seal_piece, thought_end
from tokenway.dialects.gemini.schema import finish_word
from tokenway.dialects.gemini.usage import usage_object
from tokenway.model.errors import WireError
from tokenway.model.event import (
    Added,
    Cited,
    Closed,
    Counted,
    Ended,
    Event,
    Failed,
    Finished,
    Logprobs,
    Opened,
    PartKind,
    Ping,
    Started,
    Whole,
)
from tokenway.model.request import Foreign, Media, Reasoning, ToolCall
from tokenway.model.usage import UNMETERED, Metered
from tokenway.wire.sse import make_event, one_line

_encode: Final = msgspec.json.encode
_REASONING: Final = PartKind.REASONING
_TOOL_CALL: Final = PartKind.TOOL_CALL


class _Open:
    """A part: `head` and `foot` are a chunk's bytes around its text, `texts` what is kept of it."""

    __slots__ = ("foot", "head", "opened", "texts")

    def __init__(self, opened: Opened, foot: bytes) -> None:
        self.opened = opened
        self.head = b'data: {"candidates":[{"content":{"parts":[{"text":'
        thought = b',"thought":true' if opened.kind is _REASONING else b""
        self.foot = b"%b%b" % (thought, foot)
        self.texts: list[str] = []


class Writer:
    """Writes one answer; see `dialects.base.EventWriter`."""

    def __init__(self, maker: Maker) -> None:
        self._model = maker.model
        self._id = maker.answer or maker.exchange
        self._array = array_of(maker.request)
        self._parts: dict[tuple[int, int], _Open] = {}
        self._indices: dict[tuple[int, int], int] = {}
        self._written: dict[int, int] = {}
        """How many parts each choice has so far, as Gemini counts them."""
        self._cited: dict[int, list[Cited]] = {}
        self._logprobs: dict[int, list[msgspec.Raw]] = {}
        self._metered: Metered = UNMETERED
        self._finished: dict[int, Finished] = {}

    def write(self, event: Event) -> bytes:
        """The bytes for one event; raises WireError for one that cannot come now."""
        out = self._TABLE[type(event)](self, event)
        if self._array is not None and out:
            return self._array.elements(out)
        return out

    def tail(self, cost: bytes, extra: bytes) -> bytes:  # noqa: ARG002 - the dialect has no room for either
        """The last chunk: finish reasons, citations and usage."""
        candidates = [self._last(number) for number in sorted({0, *self._written, *self._finished})]
        last: dict[str, object] = {"candidates": candidates}
        if self._metered.usage is not None:
            last["usageMetadata"] = usage_object(self._metered.usage)
        event = make_event(one_line(_encode(last | self._names())))
        return event if self._array is None else self._array.elements(event) + self._array.end()

    def follow(self, _frame: bytes, events: Sequence[Event]) -> None:
        """See `dialects.base.EventWriter`."""
        if self._array is not None:
            self._array.follow()
        for event in events:
            self.write(event)

    # -- events ------------------------------------------------------------------------------------------

    def _add(self, event: Added) -> bytes:
        part = self._parts.get((event.choice, event.part))
        if part is None:
            raise WireError(f"more of a part that is not open: {event.part}")
        kind = part.opened.kind
        if kind is not _REASONING:
            part.texts.append(event.text)
            if kind is _TOOL_CALL:
                return b""
        return b"%b%b%b" % (part.head, _encode(event.text), part.foot)

    def _open(self, event: Opened) -> bytes:
        index = self._written.get(event.choice, 0)
        self._indices[event.choice, event.part] = index
        self._written[event.choice] = index + 1
        self._parts[event.choice, event.part] = _Open(event, self._foot(event.choice))
        return b""

    def _close(self, event: Closed) -> bytes:
        part = self._parts.get((event.choice, event.part))
        if part is None:
            raise WireError(f"the end of a part that is not open: {event.part}")
        opened = part.opened
        mark = event.format or opened.format
        if opened.kind is _TOOL_CALL:
            arguments = "".join(part.texts)
            part.texts.clear()
            call = ToolCall(opened.id, opened.name, arguments, opened.custom, event.signature, mark)
            return self._chunk(event.choice, call_piece(call))
        if opened.kind is _REASONING:
            value = event.signature or event.sealed
            return self._chunk(event.choice, thought_end(value, mark)) if value else b""
        return b""

    def _whole(self, event: Whole) -> bytes:
        piece: object
        match event.value:
            case Media():
                piece = media_piece(event.value)
            case Reasoning():
                piece = seal_piece(event.value)
            case Foreign():
                piece = foreign_piece(event.value)
        if piece is None:
            return b""
        self._written[event.choice] = self._written.get(event.choice, 0) + 1
        return self._chunk(event.choice, piece)

    def _cite(self, event: Cited) -> bytes:
        self._cited.setdefault(event.choice, []).append(event)
        return b""

    def _take_logprobs(self, event: Logprobs) -> bytes:
        self._logprobs.setdefault(event.choice, []).append(event.tokens)
        return b""

    def _count(self, event: Counted) -> bytes:
        self._metered = event.metered
        return b""

    def _finish(self, event: Finished) -> bytes:
        self._finished[event.choice] = event
        return b""

    def _ignore(self, _: Started | Failed | Ping | Ended) -> bytes:
        return b""

    # -- chunks ------------------------------------------------------------------------------------------

    def _names(self) -> dict[str, object]:
        return {"modelVersion": self._model, "responseId": self._id}

    def _foot(self, choice: int) -> bytes:
        """What follows the text in a chunk."""
        names = _encode(self._names())[1:]
        return b'}],"role":"model"},"index":%d}],%b\n\n' % (choice, names)

    def _chunk(self, choice: int, piece: object) -> bytes:
        candidate = {"content": {"parts": [piece], "role": "model"}, "index": choice}
        return make_event(one_line(_encode({"candidates": [candidate], **self._names()})))

    def _last(self, number: int) -> dict[str, object]:
        """A candidate as the last chunk has it."""
        found: dict[str, object] = {"content": {"parts": [{"text": ""}], "role": "model"}}
        finished = self._finished.get(number)
        if finished is not None:
            found["finishReason"] = finish_word(finished.reason, finished.native)
            if finished.detail:
                found["finishMessage"] = finished.detail
        found["index"] = number
        cited = self._cited.get(number)
        if cited:
            texts = {part: "".join(each.texts) for (choice, part), each in self._parts.items() if choice == number}
            indices = {part: index for (choice, part), index in self._indices.items() if choice == number}
            found["groundingMetadata"] = write_citations(cited, texts, indices)
        logprobs = write_logprobs(self._logprobs.get(number, []))
        if logprobs is not None:
            found["logprobsResult"] = logprobs
        return found

    _TABLE: ClassVar[dict[type, Callable[[Any, Any], bytes]]] = {
        Added: _add,
        Started: _ignore,
        Opened: _open,
        Closed: _close,
        Whole: _whole,
        Cited: _cite,
        Logprobs: _take_logprobs,
        Counted: _count,
        Finished: _finish,
        Failed: _ignore,
        Ping: _ignore,
        Ended: _ignore,
    }
