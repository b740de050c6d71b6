"""The messages of ConverseStream: which event one is, told by its headers, and events written as messages.

All messages of one kind have the same headers, so they are read once for a kind and not once for a message.
"""

from __future__ import annotations

from typing import Final

from tokenway.model.errors import WireError
from tokenway.wire.event_stream import frame_message, make_headers, parse_headers

MESSAGE_START: Final = "messageStart"
BLOCK_START: Final = "contentBlockStart"
BLOCK_DELTA: Final = "contentBlockDelta"
BLOCK_STOP: Final = "contentBlockStop"
MESSAGE_STOP: Final = "messageStop"
METADATA: Final = "metadata"
FAULT: Final = "exception"
"""An exception or an error of the service, whichever it is."""
OTHER: Final = "other"
"""An event that this version does not know."""
EVENTS: Final = (MESSAGE_START, BLOCK_START, BLOCK_DELTA, BLOCK_STOP, MESSAGE_STOP, METADATA)

_KNOWN_MAX: Final = 64
"""Kinds of headers that are remembered: there are seven."""


class Kinds:
    """Which event a message is, by its encoded headers."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[bytes, str] = {}

    def of(self, headers: bytes) -> str:
        """One of EVENTS, FAULT or OTHER; raises WireError when the headers are broken."""
        kind = self._known.get(headers)
        return kind or self._read(headers)

    def _read(self, headers: bytes) -> str:
        fields = parse_headers(headers)
        sort = fields.get(":message-type")
        event = fields.get(":event-type")
        if sort is None or not isinstance(sort.value, str):
            raise WireError("a message does not tell its type")
        if sort.value in {"exception", "error"}:
            return FAULT
        name = event.value if event is not None and sort.value == "event" else ""
        kind = next((known for known in EVENTS if known == name), OTHER)
        if len(self._known) < _KNOWN_MAX:
            self._known[headers] = kind
        return kind


HEADERS: Final[dict[str, bytes]] = {
    name: make_headers({":event-type": name, ":content-type": "application/json", ":message-type": "event"})
    for name in EVENTS
}
"""The encoded headers of each event, in Amazon's order."""


def event(name: str, payload: bytes) -> bytes:
    """One event as a message."""
    return frame_message(HEADERS[name], payload)
