"""Neutral events written as a stream of the Anthropic dialect.

A part's first text opens its block, so that no empty block of text is ever written: Anthropic refuses one when the
caller sends it back. The message's delta and stop are kept for `tail`.

    state      Started              a part's events     Ping    Counted, Finished   Ended   tail
    WAITING    message_start, OPEN  WireError           -       kept                -       message_start and the end
    OPEN       WireError            its block           ping    kept                -       the end

    part's event    block it belongs to     what is written
    Opened          a tool call             its start; every other block waits for its text
    Added           not begun               its start and the delta
    Added           begun                   the delta
    Cited           a text's                a delta with the source, behind its start where it has not begun
    Closed          a text's                its stop, if it has begun
    Closed          a thought's             its signature and its stop; sealed without a text it is a redacted block
    Closed          a tool call's           its stop; a signature follows in a redacted block that names the call
    Whole           -                       a block of its own, if Anthropic has one for it
    any             never opened            WireError

Blocks may overlap where parts do: each has its own index, dense and in the order in which blocks begin. There is one
choice: events of others are dropped. Log probabilities have no place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from tokenway.dialects.anthropic.answer import (
    citation_object,
    media_text,
    message_id,
    own_block,
    redacted,
    stop_members,
    usage_object,
)
from tokenway.dialects.anthropic.schema import decode_frame
from tokenway.dialects.base import Maker
from tokenway.dialects.seal import ANTHROPIC, seal
from tokenway.model.errors import WireError
from tokenway.model.event import (
    Added,
    Cited,
    Closed,
    Counted,
    Event,
    Finished,
    FinishReason,
    Opened,
    PartKind,
    Ping,
    Started,
    Whole,
)
from tokenway.model.request import Foreign, Media, Reasoning
from tokenway.model.usage import UNMETERED, Metered
from tokenway.wire.sse import one_line

_encode: Final = msgspec.json.encode

PING: Final = b'event: ping\ndata: {"type":"ping"}\n\n'
STOP: Final = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'

_DELTA: Final = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":"%b","%b":'
_DELTA_END: Final = b"}}\n\n"
_TEXT: Final = (b"text_delta", b"text")
_DELTAS: Final[dict[PartKind, tuple[bytes, bytes]]] = {
    PartKind.TEXT: _TEXT,
    PartKind.REFUSAL: _TEXT,
    PartKind.REASONING: (b"thinking_delta", b"thinking"),
    PartKind.TOOL_CALL: (b"input_json_delta", b"partial_json"),
}
"""A part's kind to the type of its block's deltas and the member that grows."""


class _Part:
    """A part that is open. `prefix` is how its deltas begin, empty until its block has begun."""

    __slots__ = ("index", "opened", "prefix")

    def __init__(self, opened: Opened) -> None:
        self.opened = opened
        self.index = -1
        self.prefix = b""


class Writer:
    """Writes one answer; see `dialects.base.EventWriter`."""

    __slots__ = ("_finish", "_has_started", "_index", "_maker", "_metered", "_parts")

    def __init__(self, maker: Maker) -> None:
        self._maker = maker
        self._has_started = False
        self._index = 0
        self._parts: dict[int, _Part] = {}
        self._metered: Metered = UNMETERED
        self._finish = Finished(FinishReason.STOP)

    def write(self, event: Event) -> bytes:
        """The bytes for one event; see the table above."""
        step = _STEPS.get(type(event))
        return b"" if step is None else step(self, event)

    def tail(self, cost: bytes, extra: bytes) -> bytes:
        """The usage, the stop reason and the end; blocks that are still open are closed before."""
        start = b"" if self._has_started else self._started(Started())
        closing = b"".join([self._closed(Closed(number)) for number in list(self._parts)])
        delta = {
            "type": "message_delta",
            "delta": stop_members(self._finish),
            "usage": usage_object(self._metered),
        }
        return b"%b%bevent: message_delta\ndata: %b\n\n%b" % (start, closing, _encode(delta), STOP)

    def follow(self, frame: bytes, events: Sequence[Event]) -> None:
        """See `dialects.base.EventWriter`. Where a part has been opened its block has begun, with its own index."""
        for event in events:
            self.write(event)
            if isinstance(event, Opened):
                self._index = decode_frame(frame).index
                self._begin(self._parts[event.part])

    # -- steps -------------------------------------------------------------------------------------------

    def _started(self, event: Started) -> bytes:
        if self._has_started:
            raise WireError("the answer has started already")
        self._has_started = True
        message: dict[str, object] = {
            "id": message_id(self._maker.exchange),
            "type": "message",
            "role": "assistant",
            "model": self._maker.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage_object(UNMETERED),
        }
        return b'event: message_start\ndata: {"type":"message_start","message":%b}\n\n' % _encode(message)

    def _opened(self, event: Opened) -> bytes:
        if event.choice:
            return b""
        if not self._has_started or event.part in self._parts:
            raise WireError(f"part {event.part} cannot begin here")
        part = self._parts[event.part] = _Part(event)
        return self._begin(part) if event.kind is PartKind.TOOL_CALL else b""

    def _added(self, event: Added) -> bytes:
        if event.choice:
            return b""
        part = self._parts.get(event.part)
        if part is None:
            raise WireError(f"a delta for part {event.part}, which is not open")
        text = event.text
        if not text:
            return b""
        start = b"" if part.prefix else self._begin(part)
        if part.opened.custom:
            # Free text is made the one member of an object: its inside is what grows.
            return b"%b%b%b%b" % (start, part.prefix, _encode(_encode(text)[1:-1].decode()), _DELTA_END)
        return b"%b%b%b%b" % (start, part.prefix, _encode(text), _DELTA_END)

    def _cited(self, event: Cited) -> bytes:
        part = self._parts.get(event.part)
        if event.choice or part is None or part.opened.kind not in {PartKind.TEXT, PartKind.REFUSAL}:
            return b""
        start = b"" if part.prefix else self._begin(part)
        return start + _delta(part.index, {"type": "citations_delta", "citation": citation_object(event)})

    def _closed(self, event: Closed) -> bytes:
        if event.choice:
            return b""
        part = self._parts.pop(event.part, None)
        if part is None:
            raise WireError(f"part {event.part} ends and is not open")
        opened = part.opened
        whose = event.format or opened.format
        if opened.kind is PartKind.TOOL_CALL:
            end = _delta(part.index, {"type": "input_json_delta", "partial_json": '"}'}) if opened.custom else b""
            signed = self._block(redacted(event.signature, whose, opened.id)) if event.signature else b""
            return b"%b%b%b" % (end, _stop(part.index), signed)
        signature = event.signature or event.sealed
        if opened.kind is PartKind.REASONING and signature:
            if event.sealed and not part.prefix:
                return self._block(redacted(event.sealed, whose))
            start = b"" if part.prefix else self._begin(part)
            signed = _delta(part.index, {"type": "signature_delta", "signature": seal(signature, whose, ANTHROPIC)})
            return b"%b%b%b" % (start, signed, _stop(part.index))
        return _stop(part.index) if part.prefix else b""

    def _whole(self, event: Whole) -> bytes:
        if event.choice:
            return b""
        if not self._has_started:
            raise WireError(f"part {event.part} cannot begin here")
        match event.value:
            case Media():
                whole = _Part(Opened(event.part, PartKind.TEXT))
                start = self._begin(whole)
                text = _delta(whole.index, {"type": "text_delta", "text": media_text(event.value)})
                return b"%b%b%b" % (start, text, _stop(whole.index))
            case Reasoning():
                return self._block(redacted(event.value.sealed, event.value.format))
            case Foreign():
                return self._block(event.value.raw) if own_block(event.value) else b""

    def _counted(self, event: Counted) -> bytes:
        self._metered = event.metered
        return b""

    def _finished(self, event: Finished) -> bytes:
        if not event.choice:
            self._finish = event
        return b""

    def _pinged(self, event: Ping) -> bytes:
        return PING if self._has_started else b""

    # -- blocks ------------------------------------------------------------------------------------------

    def _begin(self, part: _Part) -> bytes:
        """The start of a part's block, and how its deltas begin."""
        opened = part.opened
        part.index = self._index
        part.prefix = _DELTA % (part.index, *_DELTAS[opened.kind])
        block: dict[str, object] = {"type": "text", "text": ""}
        if opened.kind is PartKind.REASONING:
            block = {"type": "thinking", "thinking": "", "signature": ""}
        elif opened.kind is PartKind.TOOL_CALL:
            block = {"type": "tool_use", "id": opened.id, "name": opened.name, "input": {}}
        start = self._start(block)
        if opened.custom:
            return start + _delta(part.index, {"type": "input_json_delta", "partial_json": '{"input":"'})
        return start

    def _start(self, block: dict[str, object] | msgspec.Raw) -> bytes:
        index = self._index
        self._index += 1
        return b'event: content_block_start\ndata: {"type":"content_block_start","index":%d,"content_block":%b}\n\n' % (
            index,
            one_line(_encode(block)),
        )

    def _block(self, block: dict[str, object] | msgspec.Raw) -> bytes:
        """A block that is whole with its start."""
        index = self._index
        return self._start(block) + _stop(index)


def _delta(index: int, delta: dict[str, object]) -> bytes:
    return b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":%b}\n\n' % (
        index,
        _encode(delta),
    )


def _stop(index: int) -> bytes:
    return b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n' % index


# ruff: noqa: ARG002, SLF001 - the table names the steps of the class above, which have one signature
_STEPS: Final[dict[type, Callable[[Writer, Any], bytes]]] = {
    Started: Writer._started,
    Opened: Writer._opened,
    Added: Writer._added,
    Cited: Writer._cited,
    Closed: Writer._closed,
    Whole: Writer._whole,
    Counted: Writer._counted,
    Finished: Writer._finished,
    Ping: Writer._pinged,
}
