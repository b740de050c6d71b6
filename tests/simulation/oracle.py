"""What a reader must make of a simulated stream, worked out from its items and not from its bytes.

This is the second opinion: it shares no code with the dialect. It knows what each event means because it was
drawn that way, and how many of the bytes arrived.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.simulation.scripts import Item
from tokenway.model.usage import Usage

BLANK = b"\r\n"


@dataclass(slots=True)
class Reading:
    """What the first `size` bytes of a stream say."""

    forwarded: list[bytes] = field(default_factory=list)
    """The events for the caller, in order, as they were sent."""
    texts: dict[int, str] = field(default_factory=dict)
    """The text of each choice in them."""
    is_whole: bool = False
    ending: str = ""
    """`done`, `error` or `garbage` once such an item was read; nothing after it counts."""
    told: bool = False
    usage: Usage | None = None
    has_text: bool = False


def read(items: list[Item], size: int, choices: int, *, ended: bool) -> Reading:
    """Reads the items that lie whole within `size` bytes.

    `ended` is whether the body ended there: then an event counts that lacks but its blank line.
    """
    reading = Reading()
    finished: set[int] = set()
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
        if item.kind in {"done", "error", "garbage"}:
            reading.ending = item.kind
            break
        begun = True
        if item.told:
            reading.told, reading.usage = True, item.usage
        if item.finishes:
            finished.add(item.index)
        if item.text:
            reading.has_text = True
            reading.texts[item.index] = reading.texts.get(item.index, "") + item.text
        if item.kind == "chunk":
            reading.forwarded.append(data)
        if at > size:
            break
    reading.is_whole = reading.ending == "done" or (not reading.ending and len(finished) >= choices)
    return reading
