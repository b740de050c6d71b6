"""ConverseStream read into neutral events.

A stream is `messageStart`, then for each block of content perhaps `contentBlockStart`, then `contentBlockDelta`s and
`contentBlockStop`, then `messageStop` and at last `metadata`. Blocks of text and reasoning have no start: their first
delta opens them. A tool's start names it; its input comes as pieces of JSON text. A sealed reasoning and a picture come
as bytes, which are whole with the block. Blocks of tools that Amazon runs itself are not the caller's, and are skipped.

    state      message             next       events
    WAITING    messageStart        FLOWING    Started
    FLOWING    contentBlockStart   FLOWING    Opened of a tool call
    FLOWING    contentBlockDelta   FLOWING    Opened of a block not known yet, Added, Cited
    FLOWING    contentBlockStop    FLOWING    Closed, or Whole
    FLOWING    messageStop         STOPPED    Closed of what is open, Finished
    FLOWING    metadata            FLOWING    Counted: it came early, the end is still to come
    STOPPED    metadata            DONE       Counted, Ended
    any        exception, error    DONE       Failed
    any        another event       the same   none
    DONE       any                 DONE       none
    STOPPED    the end of the body DONE       Ended: no usage came

A message that is not in the table cannot come then: a WireError. Source: botocore's service model
(ConverseStreamOutput). `writer` has the other direction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Any, Final

import msgspec

from tokenway.dialects.base import UNREADABLE
from tokenway.dialects.bedrock import frames, schema
from tokenway.dialects.bedrock.answer import cited, media_of, no_media
from tokenway.dialects.bedrock.blobs import from_base64, open_blob, to_base64
from tokenway.dialects.bedrock.error import failed
from tokenway.dialects.passing import not_of_dialect
from tokenway.dialects.seal import ANTHROPIC
from tokenway.model.errors import WireError
from tokenway.model.event import Added, Closed, Counted, Ended, Event, Opened, PartKind, Started, Whole
from tokenway.model.request import MediaKind, Reasoning
from tokenway.wire.event_stream import parse_message, sections

_decode_start: Final = msgspec.json.Decoder(schema.BlockStart).decode
_decode_delta: Final = msgspec.json.Decoder(schema.BlockDelta).decode
_decode_block_stop: Final = msgspec.json.Decoder(schema.BlockStop).decode
_decode_stop: Final = msgspec.json.Decoder(schema.MessageStop).decode
_decode_metadata: Final = msgspec.json.Decoder(schema.Metadata).decode


class State(IntEnum):
    """Where a stream is; see the table above."""

    WAITING = 0
    FLOWING = 1
    STOPPED = 2
    DONE = 3


class Kind(IntEnum):
    """What an open block is."""

    TEXT = 0
    REASONING = 1
    TOOL_CALL = 2
    SEALED = 3
    IMAGE = 4
    SKIPPED = 5


# Python 3.11 takes a quarter of a microsecond to look a member up in its enumeration.
_TEXT: Final = Kind.TEXT
_OPENED: Final = {
    Kind.TEXT: PartKind.TEXT,
    Kind.REASONING: PartKind.REASONING,
    Kind.TOOL_CALL: PartKind.TOOL_CALL,
}
"""The kinds of blocks that arrive as text in pieces."""


class _Block:
    """A block that has not ended."""

    __slots__ = ("data", "has_text", "kind", "media", "part", "signature")

    def __init__(self, kind: Kind, part: int) -> None:
        self.kind = kind
        self.part = part
        self.has_text = False
        self.signature = ""
        self.data = b""
        """The bytes of a sealed reasoning or a picture."""
        self.media = schema.Given()


class Reader:
    """Reads one answer; see `dialects.base.EventReader`."""

    __slots__ = ("_blocks", "_counted", "_kinds", "_parts", "state")

    def __init__(self) -> None:
        self.state: State = State.WAITING
        self._kinds = frames.Kinds()
        self._blocks: dict[int, _Block] = {}
        self._parts = 0
        self._counted = False

    def read(self, frame: bytes) -> Sequence[Event]:
        """The events of one whole message; raises WireError when it is not one of this dialect, or cannot come now."""
        headers, payload = sections(frame)
        kind = self._kinds.of(headers)
        step = _TABLE.get((self.state, kind))
        if step is not None:
            try:
                return step(self, payload)
            except (*UNREADABLE, ValueError) as error:
                raise not_of_dialect(error) from None
        if self.state is State.DONE or kind == frames.OTHER:
            return ()
        if kind == frames.FAULT:
            self.state = State.DONE
            return (failed(parse_message(frame)),)
        raise WireError(f"the event {kind} cannot come here")

    def end(self) -> Sequence[Event]:
        """What the end of the body means."""
        if self.state is not State.STOPPED:
            return ()
        self.state = State.DONE
        return (Ended(),)

    # -- the table's steps -------------------------------------------------------------------------------

    def _start(self, payload: bytes) -> Sequence[Event]:
        del payload
        self.state = State.FLOWING
        return (Started(),)

    def _block_start(self, payload: bytes) -> Sequence[Event]:
        event = _decode_start(payload)
        start, index = event.start or schema.Start(), event.content_block_index
        if start.tool_use is not None and start.tool_use.type != schema.SERVER_TOOL:
            block, events = self._open(Kind.TOOL_CALL, index, start.tool_use)
            return events
        if start.image is not None:
            block, events = self._open(Kind.IMAGE, index)
            block.media = start.image
            return events
        if start != schema.Start():
            return self._open(Kind.SKIPPED, index)[1]
        return ()

    def _delta(self, payload: bytes) -> Sequence[Event]:
        event = _decode_delta(payload)
        text = event.delta.text
        block = self._blocks.get(event.content_block_index)
        if text is not None and block is not None and block.kind is _TEXT:
            return (Added(block.part, text),) if text else ()
        if block is not None and block.kind is Kind.SKIPPED:
            return ()
        for name, kind, step in _DELTAS:
            value = getattr(event.delta, name)
            if value is not None:
                return step(self, event.content_block_index, kind, value)
        return ()

    def _text_delta(self, index: int, kind: Kind, text: str) -> Sequence[Event]:
        block, events = self._need(kind, index)
        return (*events, Added(block.part, text)) if text else events

    def _tool_delta(self, index: int, kind: Kind, piece: schema.ToolUsePiece) -> Sequence[Event]:
        block = self._blocks.get(index)
        if block is None or block.kind is not kind:
            raise WireError("a tool's input came before its name")
        if not piece.input:
            return ()
        block.has_text = True
        return (Added(block.part, piece.input),)

    def _reasoning_delta(self, index: int, kind: Kind, piece: schema.ReasoningPiece) -> Sequence[Event]:
        if piece.redacted_content is not None:
            known = self._blocks.get(index)
            block, events = self._need(kind if known is not None and known.kind is kind else Kind.SEALED, index)
            block.data += from_base64(piece.redacted_content)
            return events
        block, events = self._need(kind, index)
        block.signature += piece.signature or ""
        return (*events, Added(block.part, piece.text)) if piece.text else events

    def _citation_delta(self, index: int, kind: Kind, citation: schema.Cited) -> Sequence[Event]:
        block, events = self._need(kind, index)
        return (*events, *cited(block.part, citation))

    def _image_delta(self, index: int, kind: Kind, piece: schema.Given) -> Sequence[Event]:
        block, events = self._need(kind, index)
        data = (piece.source or {}).get("bytes")
        if isinstance(data, str):
            block.data += from_base64(data)
        else:
            block.media = schema.Given(block.media.format, source=piece.source, error=piece.error)
        return events

    def _block_stop(self, payload: bytes) -> Sequence[Event]:
        return self._close(_decode_block_stop(payload).content_block_index)

    def _stop(self, payload: bytes) -> Sequence[Event]:
        event = _decode_stop(payload)
        closing = [each for index in list(self._blocks) for each in self._close(index)]
        finish = schema.finished(event.stop_reason, event.additional_model_response_fields)
        if self._counted:
            self.state = State.DONE
            return (*closing, finish, Ended())
        self.state = State.STOPPED
        return (*closing, finish)

    def _metadata(self, payload: bytes) -> Sequence[Event]:
        metadata = _decode_metadata(payload)
        metered = schema.meter(metadata.usage, metadata.service_tier)
        self._counted = True
        counted = (Counted(metered),) if metered.given else ()
        if self.state is State.FLOWING:
            return counted
        self.state = State.DONE
        return (*counted, Ended())

    # -- blocks ------------------------------------------------------------------------------------------

    def _need(self, kind: Kind, index: int) -> tuple[_Block, Sequence[Event]]:
        """The open block of that number and kind, and the events that open it where there is none."""
        block = self._blocks.get(index)
        if block is not None and block.kind is kind:
            return block, ()
        return self._open(kind, index)

    def _open(self, kind: Kind, index: int, tool: schema.ToolUse | None = None) -> tuple[_Block, Sequence[Event]]:
        closing = self._close(index)
        block = self._blocks[index] = _Block(kind, self._parts)
        if kind is Kind.SKIPPED:
            return block, closing
        self._parts += 1
        opened = _OPENED.get(kind)
        if opened is None:
            return block, closing
        whose = ANTHROPIC if kind is Kind.REASONING else ""
        names = ("", "") if tool is None else (tool.tool_use_id, tool.name)
        return block, (*closing, Opened(block.part, opened, *names, format=whose))

    def _close(self, index: int) -> Sequence[Event]:
        """The events that end the block of that number; none where none is open."""
        block = self._blocks.pop(index, None)
        if block is None or block.kind is Kind.SKIPPED:
            return ()
        sealed = open_blob(to_base64(block.data)) if block.data and block.kind is not Kind.IMAGE else ""
        if block.kind is Kind.SEALED:
            return (Whole(block.part, Reasoning(sealed=sealed, format=ANTHROPIC)),)
        if block.kind is Kind.IMAGE:
            return _picture(block)
        if block.kind is Kind.REASONING:
            return (Closed(block.part, block.signature, sealed, ANTHROPIC),)
        if block.kind is Kind.TOOL_CALL and not block.has_text:
            return (Added(block.part, "{}"), Closed(block.part))
        return (Closed(block.part),)


def _picture(block: _Block) -> Sequence[Event]:
    """A picture that is complete, or why there is none."""
    given = block.media
    if block.data:
        given = schema.Given(given.format, source={"bytes": to_base64(block.data)})
    media = media_of(MediaKind.IMAGE, given)
    if media is not None:
        return (Whole(block.part, media),)
    why = no_media(given)
    if why is None:
        return ()
    return (Opened(block.part, PartKind.REFUSAL), Added(block.part, why.text), Closed(block.part))


_DELTAS: Final[tuple[tuple[str, Kind, Callable[[Reader, int, Kind, Any], Sequence[Event]]], ...]] = (
    ("text", Kind.TEXT, Reader._text_delta),  # noqa: SLF001 - the table of the class above
    ("tool_use", Kind.TOOL_CALL, Reader._tool_delta),  # noqa: SLF001
    ("reasoning_content", Kind.REASONING, Reader._reasoning_delta),  # noqa: SLF001
    ("citation", Kind.TEXT, Reader._citation_delta),  # noqa: SLF001
    ("image", Kind.IMAGE, Reader._image_delta),  # noqa: SLF001
)
"""What a delta adds, by the field it has, and to which kind of block."""

_TABLE: Final[dict[tuple[State, str], Callable[[Reader, bytes], Sequence[Event]]]] = {
    (State.WAITING, frames.MESSAGE_START): Reader._start,  # noqa: SLF001
    (State.FLOWING, frames.BLOCK_START): Reader._block_start,  # noqa: SLF001
    (State.FLOWING, frames.BLOCK_DELTA): Reader._delta,  # noqa: SLF001
    (State.FLOWING, frames.BLOCK_STOP): Reader._block_stop,  # noqa: SLF001
    (State.FLOWING, frames.MESSAGE_STOP): Reader._stop,  # noqa: SLF001
    (State.FLOWING, frames.METADATA): Reader._metadata,  # noqa: SLF001
    (State.STOPPED, frames.METADATA): Reader._metadata,  # noqa: SLF001
}
"""The transitions that a message makes; exceptions and unknown events are the same everywhere (`Reader.read`)."""
