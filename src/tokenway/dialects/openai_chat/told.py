"""Chunks that have gone to a caller: whether there is anything in them beside the text of an answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from tokenway.dialects.resume import plain_frames
from tokenway.wire.sse import DataFrames


class _Choice(msgspec.Struct):
    delta: dict[str, Any] | None = None
    finish_reason: Any = None
    logprobs: Any = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    error: Any = None
    citations: Any = None
    search_results: Any = None


_decode: Final = msgspec.json.Decoder(_Chunk).decode
_TEXT: Final = frozenset({"role", "content"})


def told(data: bytes) -> Sequence[bytes] | None:
    """See `dialects.base.Format.told`."""
    return plain_frames(DataFrames(), data, _is_plain)


def _is_plain(frame: bytes) -> bool:
    """Whether a chunk's choices have a text, a role, or nothing; members that say nothing do not count."""
    chunk = _decode(frame)
    if chunk.error or chunk.citations or chunk.search_results:
        return False
    return all(_is_text(choice) for choice in chunk.choices or ())


def _is_text(choice: _Choice) -> bool:
    delta = choice.delta or {}
    if choice.finish_reason or choice.logprobs or not isinstance(delta.get("content"), str | None):
        return False
    return not any(value for name, value in delta.items() if name not in _TEXT)
