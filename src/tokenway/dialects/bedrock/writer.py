"""Neutral events written as a ConverseStream.

    event            messages
    Started          messageStart
    Opened           contentBlockStart for a tool call; text and reasoning have none
    Added            contentBlockDelta
    Cited            contentBlockDelta with a citation, while its part is open
    Closed           a contentBlockDelta with the signature, contentBlockStop; a seal that is another part's has a
                     block of its own after it
    Whole            the messages of a block at once; none for what Converse has no block for
    Counted          none: kept for the tail
    Finished         none: kept for the tail
    others           none
    tail             contentBlockStop of what is still open, messageStop, metadata

Before Started only Counted and Ping may come, and Added and Closed need an open part: anything else is a WireError.
Blocks are numbered in the order in which they open; a stream has one choice, and events of others are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from tokenway.dialects.base import Maker
from tokenway.dialects.bedrock import frames
from tokenway.dialects.bedrock.answer import citation_of, link, sealed_call, seals
from tokenway.dialects.bedrock.blobs import make_blob
from tokenway.dialects.bedrock.media import format_of, is_picture
from tokenway.dialects.bedrock.schema import BlockDelta, finish_members, usage_object
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
from tokenway.model.request import Media, Reasoning, ToolCall
from tokenway.model.usage import UNMETERED, Metered
from tokenway.wire.event_stream import frame_message, sections

_encode: Final = msgspec.json.encode
_decode_delta: Final = msgspec.json.Decoder(BlockDelta).decode
_DELTA: Final = frames.HEADERS[frames.BLOCK_DELTA]
_TEXT: Final = (b'{"text":', b"}")
_AROUND: Final[Mapping[PartKind, tuple[bytes, bytes]]] = {
    PartKind.TEXT: _TEXT,
    PartKind.REFUSAL: _TEXT,
    PartKind.REASONING: (b'{"reasoningContent":{"text":', b"}}"),
    PartKind.TOOL_CALL: (b'{"toolUse":{"input":', b"}}"),
}
"""What stands around the text of a delta, by its part's kind."""


class _Block:
    """A part that is open."""

    __slots__ = ("has_text", "index", "opened", "prefix", "suffix")

    def __init__(self, index: int, opened: Opened) -> None:
        before, after = _AROUND[opened.kind]
        self.index = index
        self.opened = opened
        self.has_text = False
        self.prefix = b'{"contentBlockIndex":%d,"delta":%b' % (index, before)
        self.suffix = after + b"}"


class Writer:
    """Writes one answer; see `dialects.base.EventWriter`."""

    __slots__ = ("_blocks", "_count", "_finish", "_has_started", "_metered")

    def __init__(self, maker: Maker) -> None:
        del maker  # Converse says neither an id nor a model
        self._has_started = False
        self._blocks: dict[int, _Block] = {}
        self._count = 0
        self._finish = Finished(FinishReason.STOP)
        self._metered: Metered = UNMETERED

    def write(self, event: Event) -> bytes:
        """The bytes for one event; raises WireError for one that cannot come now."""
        kind = type(event)
        if kind is Added and event.choice == 0:  # type: ignore[union-attr]
            block = self._blocks.get(event.part)  # type: ignore[union-attr]
            if block is None:
                raise WireError("a part grew that was not open")
            block.has_text = True
            text = event.text  # type: ignore[union-attr]
            if block.opened.custom:
                text = _inside(text)
            payload = b"%b%b%b" % (block.prefix, _encode(text), block.suffix)
            return frame_message(_DELTA, payload)
        if not self._has_started and kind not in _BEFORE:
            raise WireError(f"{kind.__name__} came before the answer began")
        step = _TABLE.get(kind)
        if step is None or (kind not in _WHOLE_ANSWER and event.choice):  # type: ignore[union-attr]
            return b""
        return step(self, event)

    def tail(self, cost: bytes, extra: bytes) -> bytes:
        """The messages that end the answer; Bedrock has no room for `cost` and `extra`."""
        del cost, extra
        closing = [self._closed(Closed(part)) for part in list(self._blocks)]
        metadata: dict[str, object] = {"metrics": {"latencyMs": 0}}
        if self._metered.usage is not None:
            metadata["usage"] = usage_object(self._metered.usage)
        stop = frames.event(frames.MESSAGE_STOP, _encode(finish_members(self._finish)))
        return b"".join([*closing, stop, frames.event(frames.METADATA, _encode(metadata))])

    def follow(self, frame: bytes, events: Sequence[Event]) -> None:
        """See `dialects.base.EventWriter`. A part that has been opened is the block of the frame's own number."""
        for event in events:
            if isinstance(event, Opened):
                self._count = _decode_delta(sections(frame)[1]).content_block_index
            self.write(event)

    # -- the table's steps -------------------------------------------------------------------------------

    def _started(self, event: Started) -> bytes:
        del event
        self._has_started = True
        return frames.event(frames.MESSAGE_START, b'{"role":"assistant"}')

    def _opened(self, event: Opened) -> bytes:
        block = self._blocks[event.part] = _Block(self._next(), event)
        if event.kind is not PartKind.TOOL_CALL:
            return b""
        start = _start(block.index, {"toolUse": {"toolUseId": event.id, "name": event.name}})
        if not event.custom:
            return start
        block.has_text = True  # free text grows inside of an object's one member
        return start + _delta(block.index, {"toolUse": {"input": '{"arguments":"'}})

    def _closed(self, event: Closed) -> bytes:
        block = self._blocks.pop(event.part, None)
        if block is None:
            raise WireError("a part ended that was not open")
        opened, index = block.opened, block.index
        whose = event.format or opened.format
        if opened.kind is PartKind.REASONING:
            part = Reasoning("", event.signature, event.sealed, whose)
            return self._reasoning_end(index, part, has_text=block.has_text)
        if opened.kind is PartKind.TOOL_CALL:
            end = '"}' if opened.custom else "" if block.has_text else "{}"
            out = (_delta(index, {"toolUse": {"input": end}}) if end else b"") + _stop(index)
            if event.signature:
                call = ToolCall(opened.id, opened.name, "", signature=event.signature, format=whose)
                out += self._sealed(make_blob(sealed_call(call)))
            return out
        return _stop(index) if block.has_text else _delta(index, {"text": ""}) + _stop(index)

    def _reasoning_end(self, index: int, part: Reasoning, *, has_text: bool) -> bytes:
        """The end of a block of reasoning, with what seals it."""
        signature, sealed = seals(part.signature, part.sealed, part.format, has_text=has_text)
        if sealed and not has_text and not signature:
            return _redacted(index, make_blob(sealed)) + _stop(index)
        out = _delta(index, {"reasoningContent": {"signature": signature}}) if signature else b""
        if not has_text and not signature:
            out = _delta(index, {"reasoningContent": {"text": ""}})
        out += _stop(index)
        return out + self._sealed(make_blob(sealed)) if sealed else out

    def _whole(self, event: Whole) -> bytes:
        value = event.value
        if isinstance(value, Reasoning):
            index = self._next()
            text = _delta(index, {"reasoningContent": {"text": value.text}}) if value.text else b""
            return text + self._reasoning_end(index, value, has_text=bool(value.text))
        if not isinstance(value, Media):
            return b""
        if not is_picture(value):
            return self._text(value.text or link(value)) if value.text or value.url else b""
        index = self._next()
        start = _start(index, {"image": {"format": format_of(value)}})
        return start + _delta(index, {"image": {"source": {"bytes": value.data}}}) + _stop(index)

    def _text(self, text: str) -> bytes:
        """A block of text of its own."""
        index = self._next()
        return _delta(index, {"text": text}) + _stop(index)

    def _cited(self, event: Cited) -> bytes:
        block = self._blocks.get(event.part)
        if block is None:
            return b""
        block.has_text = True
        return _delta(block.index, {"citation": citation_of(event)})

    def _counted(self, event: Counted) -> bytes:
        self._metered = event.metered
        return b""

    def _finished(self, event: Finished) -> bytes:
        self._finish = event
        return b""

    def _sealed(self, blob: str) -> bytes:
        """A block of its own for something sealed."""
        index = self._next()
        return _redacted(index, blob) + _stop(index)

    def _next(self) -> int:
        index = self._count
        self._count += 1
        return index


def _inside(text: str) -> str:
    """Free text as it stands between the quotes of a JSON text."""
    return _encode(text)[1:-1].decode()


def _start(index: int, start: dict[str, object]) -> bytes:
    return frames.event(frames.BLOCK_START, _encode({"contentBlockIndex": index, "start": start}))


def _delta(index: int, delta: dict[str, object]) -> bytes:
    return frames.event(frames.BLOCK_DELTA, _encode({"contentBlockIndex": index, "delta": delta}))


def _redacted(index: int, blob: str) -> bytes:
    return _delta(index, {"reasoningContent": {"redactedContent": blob}})


def _stop(index: int) -> bytes:
    return frames.event(frames.BLOCK_STOP, b'{"contentBlockIndex":%d}' % index)


_WHOLE_ANSWER: Final = frozenset({Started, Counted})
"""Events that belong to no choice."""
_BEFORE: Final = frozenset({Started, Counted, Ping})
"""What may come before the answer begins."""
_TABLE: Final[dict[type, Callable[[Writer, Any], bytes]]] = {
    Started: Writer._started,  # noqa: SLF001 - the table of the class above
    Opened: Writer._opened,  # noqa: SLF001
    Closed: Writer._closed,  # noqa: SLF001
    Whole: Writer._whole,  # noqa: SLF001
    Cited: Writer._cited,  # noqa: SLF001
    Counted: Writer._counted,  # noqa: SLF001
    Finished: Writer._finished,  # noqa: SLF001
}
"""The step of each event; the others say nothing in this dialect."""
