"""Length-prefixed frames for the socket between the control process and its workers.

Four bytes, big-endian, give the length of the payload that follows.
"""

from __future__ import annotations

from typing import Final

from tokenway.model.errors import WireError
from tokenway.wire.limits import MIB

FRAME: Final = 256 * MIB
"""The largest payload: a snapshot of a hundred thousand keys has about 30 MB."""
_PREFIX: Final = 4


def frame(payload: bytes) -> bytes:
    """One payload as it goes over the socket."""
    return len(payload).to_bytes(_PREFIX, "big") + payload


class FrameSplitter:
    """Cuts a byte stream into payloads."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The payloads that `data` completes; raises WireError for a length beyond the bound."""
        buffer = self._buffer
        buffer += data
        payloads = []
        start = 0
        while len(buffer) - start >= _PREFIX:
            length = int.from_bytes(buffer[start : start + _PREFIX], "big")
            if length > FRAME:
                raise WireError(f"a frame of {length} bytes")
            if len(buffer) - start - _PREFIX < length:
                break
            payloads.append(bytes(buffer[start + _PREFIX : start + _PREFIX + length]))
            start += _PREFIX + length
        del buffer[:start]
        return payloads
