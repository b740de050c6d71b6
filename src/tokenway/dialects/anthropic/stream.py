"""Streams of the Anthropic dialect, read into neutral events; `writer` writes them.

Source: Anthropic API reference, Messages streaming. A stream is one message: it starts, has blocks that start, grow and
stop, each with its index, and ends with a delta of the message (stop reason, usage) and a stop. Pings come anywhere.

The Reader, by the event's type; what is not in a row cannot come there (WireError), and unknown types are ignored:

    state      message_start   content_block_start/delta/stop   message_delta          message_stop   error
    WAITING    Started, OPEN   -                                -                      -              Failed, OVER
    OPEN       -               the events of a part             Counted; with a stop   Finished and   Failed, OVER
                                                                reason Finished, LAST  Ended, OVER
    LAST       -               -                                Counted                Ended, OVER    Failed, OVER
    OVER       everything is ignored

Blocks may overlap: parts are counted in the order in which blocks start.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from tokenway.dialects.anthropic.answer import arguments, cited, finish_of, foreign, input_object
from tokenway.dialects.anthropic.error import status_of
from tokenway.dialects.anthropic.schema import Frame, Tally, decode_block, decode_citation, decode_frame, decode_head
from tokenway.dialects.base import UNREADABLE, fault_text
from tokenway.dialects.passing import not_of_dialect
from tokenway.dialects.seal import ANTHROPIC
from tokenway.model.errors import WireError
from tokenway.model.event import (
    Added,
    Closed,
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
from tokenway.model.request import NO_JSON, Reasoning

_encode: Final = msgspec.json.encode
_decode: Final = msgspec.json.Decoder().decode
_decode_object: Final = msgspec.json.Decoder(dict[str, Any]).decode

_PING: Final = (Ping(),)


class _Open:
    """A block that has started. `raw` is the whole of one that only Anthropic has, which is gathered up to its end."""

    __slots__ = ("has_grown", "json", "kind", "part", "raw", "signature", "start")

    def __init__(self, part: int, kind: PartKind | None, start: msgspec.Raw = NO_JSON) -> None:
        self.part = part
        self.kind = kind
        self.start = start
        """A tool call's input in its start: empty, but for servers that give all of it there."""
        self.raw: dict[str, Any] = {}
        self.json: list[str] = []
        self.signature = ""
        self.has_grown = False


class Reader:
    """Reads an upstream's stream, event by event; see `dialects.base.EventReader`."""

    __slots__ = ("_blocks", "_parts", "_row", "_tally")

    def __init__(self) -> None:
        self._row: _Row = _WAITING
        self._blocks: dict[int, _Open] = {}
        self._parts = 0
        self._tally = Tally()

    def read(self, frame: bytes) -> Sequence[Event]:
        """The events of one event's data; raises WireError when it is not one of this dialect, or cannot come now."""
        row = self._row
        if row is _OVER:
            return ()
        try:
            event = decode_frame(frame)
            step = row.get(event.type)
            if step is not None:
                return step(self, event, frame)
        except UNREADABLE as error:
            if not frame.strip():
                return _PING
            raise not_of_dialect(error) from None
        if event.type in _ORDERED:
            raise WireError(f"'{event.type}' cannot come here in the stream")
        return ()

    def end(self) -> Sequence[Event]:
        """Nothing is owed at the end of the body: an answer without its stop reason is not whole."""
        return ()

    def _started(self, event: Frame, frame: bytes) -> Sequence[Event]:
        head = decode_head(event.message)
        self._row = _OPEN
        started = Started(str(head.id or ""), str(head.model or ""))
        if self._tally.add(head.usage):
            return (started, Counted(self._tally.metered))
        return (started,)

    def _block_started(self, event: Frame, frame: bytes) -> Sequence[Event]:
        if event.index in self._blocks:
            raise WireError(f"block {event.index} has started already")
        block = decode_block(event.content_block)
        part = self._parts
        self._parts += 1
        opened = self._blocks[event.index] = _Open(part, _KINDS.get(block.type), block.input)
        if block.type == "tool_use":
            return (Opened(part, PartKind.TOOL_CALL, block.id or "", block.name or ""),)
        if opened.kind is None:
            opened.raw = _decode_object(event.content_block)
            return ()
        if opened.kind is PartKind.REASONING:
            opened.signature = block.signature or ""
            events: list[Event] = [Opened(part, PartKind.REASONING, format=ANTHROPIC)]
        else:
            events = [Opened(part, PartKind.TEXT)]
            found = (cited(part, each) for each in block.citations or ())
            events += [each for each in found if each is not None]
        text = block.thinking or block.text
        if text:
            events.append(Added(part, text))
        return events

    def _grown(self, event: Frame, frame: bytes) -> Sequence[Event]:
        block = self._blocks.get(event.index)
        delta = event.delta
        if block is None or delta is None:
            raise WireError(f"a delta for block {event.index}, which is not open")
        if block.kind is not None:
            text = delta.text or delta.partial_json or delta.thinking
            if text:
                block.has_grown = True
                return (Added(block.part, text),)
            block.signature += delta.signature or ""
            if delta.citation:
                source = cited(block.part, decode_citation(delta.citation))
                return () if source is None else (source,)
        elif delta.partial_json is not None:
            block.json.append(delta.partial_json)
        else:
            _merge(block.raw, _decode_object(frame)["delta"])
        return ()

    def _stopped(self, event: Frame, frame: bytes) -> Sequence[Event]:
        block = self._blocks.pop(event.index, None)
        if block is None:
            raise WireError(f"block {event.index} stops and is not open")
        return self._close(block)

    def _close(self, block: _Open) -> Sequence[Event]:
        part = block.part
        if block.kind is None:
            if block.json:
                block.raw["input"] = _decode(input_object("".join(block.json)))
            value = foreign(_encode(block.raw))
            if value.name == "redacted_thinking":
                return (Whole(part, Reasoning(sealed=str(block.raw.get("data") or ""), format=ANTHROPIC)),)
            return (Whole(part, value),)
        if block.kind is PartKind.REASONING:
            return (Closed(part, block.signature, format=ANTHROPIC),)
        if block.kind is PartKind.TOOL_CALL and not block.has_grown:
            return (Added(part, arguments(block.start)), Closed(part))
        return (Closed(part),)

    def _counted(self, event: Frame, frame: bytes) -> Sequence[Event]:
        return (Counted(self._tally.metered),) if self._tally.add(event.usage) else ()

    def _finished(self, event: Frame, frame: bytes) -> Sequence[Event]:
        events = list(self._counted(event, frame))
        delta = event.delta
        if delta is None or not delta.stop_reason:
            return events
        closing = [each for block in self._blocks.values() for each in self._close(block)]
        self._row = _LAST
        return [*closing, *events, finish_of(delta.stop_reason, delta.stop_sequence, delta.stop_details)]

    def _cut(self, event: Frame, frame: bytes) -> Sequence[Event]:
        self._row = _OVER
        closing = [each for block in self._blocks.values() for each in self._close(block)]
        return [*closing, Finished(FinishReason.STOP), Ended()]

    def _ended(self, event: Frame, frame: bytes) -> Sequence[Event]:
        self._row = _OVER
        return (Ended(),)

    def _failed(self, event: Frame, frame: bytes) -> Sequence[Event]:
        self._row = _OVER
        kind = event.error.get("type") if isinstance(event.error, dict) else None
        code = kind if isinstance(kind, str) else ""
        return (Failed(fault_text(event.error or "an error without a message"), code, status_of(code)),)

    def _pinged(self, event: Frame, frame: bytes) -> Sequence[Event]:
        return _PING


def _merge(block: dict[str, Any], delta: dict[str, Any]) -> None:
    """A delta of a kind to come: its texts are added, everything else replaces."""
    for name, value in delta.items():
        if name == "type":
            continue
        old = block.get(name)
        block[name] = old + value if isinstance(old, str) and isinstance(value, str) else value


_KINDS: Final = {"text": PartKind.TEXT, "thinking": PartKind.REASONING, "tool_use": PartKind.TOOL_CALL}
_Row = Mapping[str, Callable[[Reader, Frame, bytes], Sequence[Event]]]
# ruff: noqa: ARG002, SLF001 - the tables name the steps of the class above, which have one signature
_WAITING: Final[_Row] = {"message_start": Reader._started, "ping": Reader._pinged, "error": Reader._failed}
_OPEN: Final[_Row] = {
    "content_block_delta": Reader._grown,
    "content_block_start": Reader._block_started,
    "content_block_stop": Reader._stopped,
    "message_delta": Reader._finished,
    "message_stop": Reader._cut,
    "ping": Reader._pinged,
    "error": Reader._failed,
}
_LAST: Final[_Row] = {
    "message_delta": Reader._counted,
    "message_stop": Reader._ended,
    "ping": Reader._pinged,
    "error": Reader._failed,
}
_OVER: Final[_Row] = {}
_ORDERED: Final = frozenset({"message_start", *_OPEN})
"""Types that have their place in a stream."""
