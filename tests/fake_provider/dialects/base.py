"""What a renderer gets and gives."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.fake_provider.reply import Reply

CREATED = 1_760_000_000
"""The time in every answer, so that answers are the same in every run."""
EVENT_STREAM = "text/event-stream; charset=utf-8"


@dataclass(frozen=True)
class FormPart:
    """One part of a multipart body."""

    name: str
    data: bytes
    filename: str = ""
    media_type: str = ""


@dataclass(frozen=True)
class Ask:
    """One request as a renderer needs it."""

    dialect: str
    """Which renderer answers."""
    kind: str
    """What is asked for, in the dialect's own word: `chat`, `count_tokens`, `embedContent`, …"""
    model: str
    stream: bool
    body: dict[str, Any]
    """The decoded body; a form's text fields."""
    query: Mapping[str, str] = field(default_factory=dict)
    form: tuple[FormPart, ...] = ()


@dataclass(frozen=True)
class Frame:
    """One write of a stream. `tokens` is 1 where it delivers a token, else 0."""

    data: bytes
    tokens: int = 0
    reasoning: bool = False


@dataclass(frozen=True)
class Whole:
    """An answer that comes at once."""

    body: bytes
    media_type: str = "application/json"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Streamed:
    """An answer in pieces. `total` is how many of the frames deliver tokens; `end` is the dialect's end mark."""

    frames: Iterable[Frame]
    total: int
    media_type: str = EVENT_STREAM
    end: bytes = b""


@dataclass(frozen=True)
class Failure:
    """What went wrong, for a renderer to word."""

    status: int
    message: str
    retry_after: str = ""


@dataclass(frozen=True)
class Voice:
    """A dialect's renderers."""

    answer: Callable[[Reply, Ask], Whole | Streamed]
    error: Callable[[Failure], Whole]
    broken: Callable[[Failure, Ask, int], bytes]
    """(failure, request, frames sent so far): the error inside a stream."""


def compact(value: Any) -> str:
    """JSON without spaces, as it is sent."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def whole(value: Any, **more: Any) -> Whole:
    """A JSON body at once."""
    return Whole(compact(value).encode(), **more)


def event(value: Any, name: str = "") -> bytes:
    """One server-sent event."""
    return (f"event: {name}\n" if name else "").encode() + f"data: {compact(value)}\n\n".encode()


def words(value: Any) -> int:
    """What a prompt counts: the words of its JSON, at least one."""
    return max(1, len(json.dumps(value or "").split()))
