"""Length-prefixed frames for the socket between the control process and its workers.

Four bytes, big-endian, give the length of the payload that follows.
"""

from __future__ import annotations

from collections.abc import Iterator
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

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The payloads that `data` completes, one by one.

        Raises WireError for a length beyond the bound, after the payloads that came before it.
        """
        buffer = self._buffer
        buffer += data
        while len(buffer) >= _PREFIX:
            length = int.from_bytes(buffer[:_PREFIX], "big")
            if length > FRAME:
                raise WireError(f"a frame of {length} bytes")
            end = _PREFIX + length
            if len(buffer) < end:
                return
            payload = bytes(buffer[_PREFIX:end])
            del buffer[:end]
            yield payload
