"""AWS's event-stream encoding, written out: a prelude with its checksum, headers, a payload, and a checksum over all.

    total length u32 | headers' length u32 | CRC32 of these 8 bytes | headers | payload | CRC32 of all before it

A header is the length of its name (u8), the name, the type 7 (text), the length of the value (u16) and the value.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping

_TEXT = 7
_PRELUDE = 12
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


def split(data: bytes) -> Iterator[tuple[dict[str, str], bytes]]:
    """The messages of a stream, as headers and payload. Raises ValueError for a wrong length or checksum."""
    while data:
        total, coded = struct.unpack_from(">II", data)
        one, data = data[:total], data[total:]
        sums = struct.unpack_from(">I", one, 8)[0], struct.unpack_from(">I", one, len(one) - 4)[0]
        if len(one) != total or sums != (zlib.crc32(one[:8]), zlib.crc32(one[:-4])):
            raise ValueError("a message with a wrong length or checksum")
        yield _headers(one[_PRELUDE : _PRELUDE + coded]), one[_PRELUDE + coded : -4]


def _headers(data: bytes) -> dict[str, str]:
    found = {}
    while data:
        name_end = 1 + data[0]
        if data[name_end] != _TEXT:
            raise ValueError("a header that is no text")
        value_start = name_end + 3
        value_end = value_start + struct.unpack_from(">H", data, name_end + 1)[0]
        found[data[1:name_end].decode()] = data[value_start:value_end].decode()
        data = data[value_end:]
    return found
