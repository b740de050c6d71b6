"""Chunks of the dialect, and what is read from them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from tokenway.dialects.openai_chat.stream_reader import Reader, read_answer
from tokenway.model.event import Answer, Event, fold

STOP = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
DONE = b"[DONE]"


def chunk(delta: dict[str, Any] | None = None, index: int = 0, **more: Any) -> dict[str, Any]:
    """A chunk that adds to one choice."""
    return {"id": "c", "created": 7, "model": "m", "choices": [{"index": index, "delta": delta or {}} | more]}


def read(chunks: Iterable[dict[str, Any] | bytes]) -> list[Event]:
    """The events of these chunks and of the end of the body."""
    reader = Reader()
    events: list[Event] = []
    for each in chunks:
        events += reader.read(each if isinstance(each, bytes) else json.dumps(each).encode())
    return [*events, *reader.end()]


def parts(*deltas: dict[str, Any]) -> tuple[Any, ...]:
    """The parts that these deltas amount to."""
    return fold(read([*map(chunk, deltas), STOP, DONE])).choices[0].parts


def whole(message: dict[str, Any], **more: Any) -> Answer:
    """A whole answer with one message."""
    return read_answer(json.dumps({"id": "c", "choices": [{"message": message} | more]}).encode())


def call(index: int | None, identity: str = "", name: str = "", arguments: Any = "") -> dict[str, Any]:
    """A delta with a piece of a tool call."""
    piece: dict[str, Any] = {"index": index, "function": {"name": name, "arguments": arguments}}
    return {"tool_calls": [piece | ({"id": identity} if identity else {})]}
