"""AWS's event-stream encoding, written out: a prelude with its checksum, headers, a payload, and a checksum over all.

    total length u32 | headers' length u32 | CRC32 of these 8 bytes | headers | payload | CRC32 of all before it

A header is the length of its name (u8), the name, the type 7 (text), the length of the value (u16) and the value.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

_TEXT = 7
_FRAME = 16
"""Bytes of a message without headers and payload: the prelude's 12 and the last checksum."""


def message(headers: Mapping[str, str], payload: bytes) -> bytes:
    """One message with text headers."""
    coded = b"".join(_header(name.encode(), value.encode()) for name, value in headers.items())
    lengths = struct.pack(">II", _FRAME + len(coded) + len(payload), len(coded))
    begun = lengths + struct.pack(">I", zlib.crc32(lengths)) + coded + payload
    return begun + struct.pack(">I", zlib.crc32(begun))


def _header(name: bytes, value: bytes) -> bytes:
    return bytes([len(name)]) + name + bytes([_TEXT]) + struct.pack(">H", len(value)) + value
