"""Events of a response that have gone to a caller: whether there is anything in them beside the text of a message.

A text that is over is not plain: its end told the whole of it, and so would the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from tokenway.dialects.resume import plain_frames
from tokenway.wire.sse import DataFrames


class Told(msgspec.Struct):
    """What is read of an event for who goes on behind it."""

    type: str
    sequence_number: Any = None
    output_index: int = 0
    content_index: int = 0
    item: dict[str, Any] = {}
    part: dict[str, Any] = {}
    response: dict[str, Any] = {}
    logprobs: Any = None


decode_told: Final = msgspec.json.Decoder(Told).decode
ITEM: Final = "response.output_item.added"
_LIFE: Final = frozenset({"response.created", "response.queued", "response.in_progress", "keepalive"})


def told(data: bytes) -> Sequence[bytes] | None:
    """See `dialects.base.Format.told`."""
    return plain_frames(DataFrames(), data, _is_plain)


def _is_plain(frame: bytes) -> bool:
    """Whether an event tells of the response, or of the first text of its first message, which is still open."""
    event = decode_told(frame)
    if event.output_index or event.content_index:
        return False
    match event.type:
        case "response.output_item.added":
            return event.item.get("type") == "message" and not event.item.get("content")
        case "response.content_part.added":
            return event.part.get("type") == "output_text" and not event.part.get("annotations")
        case "response.output_text.delta":
            return not event.logprobs
        case _:
            return event.type in _LIFE and not event.response.get("output")
