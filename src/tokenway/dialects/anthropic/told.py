"""Events of a message that have gone to a caller: whether there is anything in them beside text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from tokenway.dialects.resume import plain_frames
from tokenway.wire.sse import DataFrames


class _Frame(msgspec.Struct):
    type: str
    message: dict[str, Any] = {}
    content_block: dict[str, Any] = {}
    delta: dict[str, Any] = {}


_decode: Final = msgspec.json.Decoder(_Frame).decode
_BARE: Final = frozenset({"content_block_stop", "ping"})
"""Types that bring nothing themselves."""


def told(data: bytes) -> Sequence[bytes] | None:
    """See `dialects.base.Format.told`."""
    return plain_frames(DataFrames(), data, _is_plain)


def _is_plain(frame: bytes) -> bool:
    """Whether an event begins a message, or begins, extends or ends a block of text."""
    event = _decode(frame)
    match event.type:
        case "message_start":
            return not event.message.get("content")
        case "content_block_start":
            return event.content_block.get("type") == "text" and not event.content_block.get("citations")
        case "content_block_delta":
            return event.delta.get("type") == "text_delta"
        case _:
            return event.type in _BARE
