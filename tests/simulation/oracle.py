"""What a reader must make of a simulated stream, worked out from its items and not from its bytes.

This is the second opinion: it shares no code with the dialect. It knows what each event means because it was
drawn that way, and how many of the bytes arrived.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from tests.simulation.scripts import Item
from tokenway.model.usage import Usage

BLANK = b"\r\n"


_OTHERS: Final = frozenset({"thought", "call"})


def key_of(choice: int, *, is_thought: bool) -> str:
    """The name of what a choice says."""
    kind = "thought" if is_thought else "text"
    return f"{kind} {choice}" if choice else kind


@dataclass(slots=True)
class Reading:
    """What the first `size` bytes of a stream say."""

    forwarded: list[bytes] = field(default_factory=list)
    """The events for the caller, in order, as they were sent."""
    held: list[bytes] = field(default_factory=list)
    """Events that may be kept back until the end; sent behind the others."""
    texts: dict[Any, str] = field(default_factory=dict)
    """The text of each choice in them, or of each kind."""
    said: dict[str, str] = field(default_factory=dict)
    """The same by kind; with the number of the choice, where that is not the first."""
    calls: bool = False
    """Whether a call has begun."""
    is_plain: bool = True
    """Whether there is nothing in them but the text of one answer."""
    is_whole: bool = False
    ending: str = ""
    """`done`, `error` or `garbage` once such an item was read; nothing after it counts."""
    told: bool = False
    usage: Usage | None = None
    has_text: bool = False


def read(items: list[Item], size: int, choices: int, *, ended: bool) -> Reading:
    """Reads the items that lie whole within `size` bytes.

    `ended` is whether the body ended there: then an event of a text stream counts that lacks but its blank line.
    """
    reading = Reading()
    finished: set[int | str] = set()
    begun = False
    at = 0
    for item in items:
        at += len(item.data)
        data = item.data
        if at > size:
            missing = at - size
            if not ended or item.kind == "comment" or data[-missing:].strip(BLANK):
                break
            data = data.rstrip(BLANK) + b"\n\n"
        if item.kind == "comment":
            if begun:
                reading.forwarded.append(data)
            continue
        begun = True
        _take(reading, item, data)
        if reading.ending:
            break
        if item.finishes:
            finished.add(item.index)
        if at > size:
            break
    reading.is_whole = reading.ending == "done" or (not reading.ending and len(finished) >= choices)
    return reading


def _take(reading: Reading, item: Item, data: bytes) -> None:
    """What one event adds."""
    if item.told:
        reading.told, reading.usage = True, item.usage
    if item.kind in {"done", "error", "garbage"}:
        reading.ending = item.kind
        if item.kind == "done":
            reading.held.append(data)
        return
    if item.text or item.visible:
        reading.has_text = True
    index = item.index
    if item.text:
        reading.texts[index] = reading.texts.get(index, "") + item.text
        kind = index if isinstance(index, str) else key_of(index, is_thought=item.is_thought)
        reading.said[kind] = reading.said.get(kind, "") + item.text
    if item.visible:
        reading.calls = True
    if index in _OTHERS or item.is_thought or item.is_odd or item.finishes or item.visible:
        reading.is_plain = False
    if item.held:
        reading.held.append(data)
    elif item.kind == "chunk":
        reading.forwarded.append(data)
