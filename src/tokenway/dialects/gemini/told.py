"""Chunks that have gone to a caller: whether there is anything in them beside the text of an answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from tokenway.dialects.gemini.frames import Frames
from tokenway.dialects.resume import plain_frames


class _Content(msgspec.Struct):
    parts: list[dict[str, Any]] | None = None


class _Chunk(msgspec.Struct, rename="camel"):
    candidates: list[dict[str, msgspec.Raw]] | None = None
    prompt_feedback: dict[str, Any] | None = None
    error: Any = None


_decode: Final = msgspec.json.Decoder(_Chunk).decode
_decode_content: Final = msgspec.json.Decoder(_Content | None).decode
_decode_elements: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_SILENT: Final = frozenset({"content", "index", "safetyRatings", "tokenCount", "avgLogprobs"})
"""Members of a candidate that change nothing in what another model may go on with."""
_EMPTY: Final = (b"null", b'""', b"[]", b"{}")


def told(data: bytes) -> Sequence[bytes] | None:
    """See `dialects.base.Format.told`; a stream that is an array has not ended."""
    if not data.startswith(b"["):
        return plain_frames(Frames(), data, _is_plain)
    frames = [bytes(element) for element in _decode_elements(data + b"]")]
    return frames if all(map(_is_plain, frames)) else None


def _is_plain(frame: bytes) -> bool:
    """Whether a chunk has texts alone: no finish reason, nothing to cite, no thought, no signature."""
    chunk = _decode(frame)
    if chunk.error or (chunk.prompt_feedback or {}).get("blockReason"):
        return False
    return all(_is_text(candidate) for candidate in chunk.candidates or ())


def _is_text(candidate: dict[str, msgspec.Raw]) -> bool:
    if any(bytes(value) not in _EMPTY for name, value in candidate.items() if name not in _SILENT):
        return False
    content = _decode_content(candidate.get("content", msgspec.Raw(b"null")))
    parts = (content.parts if content is not None else None) or ()
    return not any(value for part in parts for name, value in part.items() if name != "text")
