"""Messages of a stream that have gone to a caller: whether there is anything in them beside text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from tokenway.dialects.bedrock import frames
from tokenway.wire.event_stream import MessageFrames, sections


class _Piece(msgspec.Struct):
    start: dict[str, Any] | None = None
    delta: dict[str, Any] | None = None


_decode: Final = msgspec.json.Decoder(_Piece).decode
_BARE: Final = frozenset({frames.MESSAGE_START, frames.BLOCK_STOP})
"""Events that bring nothing themselves."""


def told(data: bytes) -> Sequence[bytes] | None:
    """See `dialects.base.Format.told`."""
    kinds = frames.Kinds()
    framing = MessageFrames()
    found = framing.feed(data)
    return found if not framing.pending and all(_is_plain(kinds, frame) for frame in found) else None


def _is_plain(kinds: frames.Kinds, frame: bytes) -> bool:
    """Whether a message begins an answer, or begins, extends or ends a block of text."""
    headers, payload = sections(frame)
    kind = kinds.of(headers)
    if kind in _BARE:
        return True
    if kind not in {frames.BLOCK_START, frames.BLOCK_DELTA}:
        return False
    piece = _decode(payload)
    return not piece.start and (piece.delta or {}).keys() <= {"text"}
