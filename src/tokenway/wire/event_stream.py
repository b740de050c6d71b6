"""The AWS event stream (application/vnd.amazon.eventstream): binary messages, incrementally, both checksums checked.

    message   total length u32 · headers' length u32 · CRC of these eight bytes u32 ·
              headers · payload · CRC of all that stands before it u32
    header    length of its name u8 · name · type u8 · value

Numbers are big-endian, checksums are CRC-32, the total counts all bytes of the message (AWS: Amazon Transcribe
developer guide, *Event stream encoding*; Smithy specification, *Amazon event stream*).

A relay wants the messages one by one, each as it came (`MessageFrames`). It looks into one with `sections`, which
trusts that the message has been through there, or with `parse_message`, which trusts nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from enum import IntEnum
from typing import Final
from zlib import crc32

import msgspec

from tokenway.model.errors import WireError
from tokenway.wire.limits import MESSAGE, MESSAGE_HEADERS

_PRELUDE: Final = struct.Struct(">III")
_LENGTHS: Final = struct.Struct(">II")
_CRC: Final = struct.Struct(">I")
_SIZE: Final = struct.Struct(">H")
_PRELUDE_SIZE: Final = _PRELUDE.size
_CRC_SIZE: Final = _CRC.size
_LEAST: Final = _PRELUDE_SIZE + _CRC_SIZE
_NAME_MAX: Final = 255
_VALUE_MAX: Final = 2**15 - 1
"""Bytes of a text or byte array in a header: the format gives their length as a signed short."""


class HeaderType(IntEnum):
    """What a header's value is; the numbers are the format's."""

    TRUE = 0
    FALSE = 1
    BYTE = 2
    SHORT = 3
    INTEGER = 4
    LONG = 5
    BYTES = 6
    TEXT = 7
    TIMESTAMP = 8
    UUID = 9


_NUMBERS: Final[Mapping[int, struct.Struct]] = {
    HeaderType.BYTE: struct.Struct(">b"),
    HeaderType.SHORT: struct.Struct(">h"),
    HeaderType.INTEGER: struct.Struct(">i"),
    HeaderType.LONG: struct.Struct(">q"),
    HeaderType.TIMESTAMP: struct.Struct(">q"),
}
_UUID_SIZE: Final = 16


class Header(msgspec.Struct, frozen=True):
    """A header's value: a bool, a number (a timestamp in milliseconds of Unix time), bytes (16 of a UUID), a text."""

    type: HeaderType
    value: bool | int | bytes | str


class Message(msgspec.Struct, frozen=True):
    """One message, read."""

    headers: Mapping[str, Header]
    payload: bytes

    def text(self, name: str) -> str:
        """The text of a header; empty where there is none of that name, or it is no text."""
        header = self.headers.get(name)
        return header.value if header is not None and isinstance(header.value, str) else ""


class MessageFrames:
    """Cuts a byte stream into whole messages, each as it came; see `dialects.base.Framing`.

    Work is linear in the bytes fed, also when a message of megabytes arrives one byte at a time.
    """

    __slots__ = ("_limit", "_rest", "_wanted")

    def __init__(self, limit: int = MESSAGE) -> None:
        self._limit = limit
        self._rest = bytearray()
        self._wanted = _PRELUDE_SIZE
        """How many bytes `_rest` must have before anything more can be said of it."""

    @property
    def pending(self) -> int:
        """Bytes of a message that has not ended."""
        return len(self._rest)

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that `data` completes.

        Raises WireError when lengths contradict each other or pass their bound, or a checksum is wrong: then nothing
        after it can be found again.
        """
        rest = self._rest
        if rest:
            rest += data
            if len(rest) < self._wanted:
                return []
            data = bytes(rest)
            rest.clear()
        frames: list[bytes] = []
        at, size = 0, len(data)
        wanted = _PRELUDE_SIZE
        while size - at >= _PRELUDE_SIZE:
            total = self._length(data, at)
            end = at + total
            if end > size:
                wanted = total
                break
            if crc32(data[at : end - _CRC_SIZE]) != _CRC.unpack_from(data, end - _CRC_SIZE)[0]:
                raise WireError("a message's checksum is wrong")
            frames.append(data[at:end])
            at = end
        if at < size:
            rest += data[at:]
        self._wanted = wanted
        return frames

    def rest(self) -> list[bytes]:
        """Nothing: a message has no end mark that could lack. What has come of one is forgotten."""
        self._rest.clear()
        self._wanted = _PRELUDE_SIZE
        return []

    def _length(self, data: bytes, at: int) -> int:
        """The length of the message whose first twelve bytes stand at `at`."""
        total, headers, crc = _PRELUDE.unpack_from(data, at)
        if crc32(data[at : at + 8]) != crc:
            raise WireError("the checksum of a message's lengths is wrong")
        if total > self._limit:
            raise WireError(f"one message is larger than {self._limit} bytes")
        if headers > MESSAGE_HEADERS:
            raise WireError(f"the headers of a message are larger than {MESSAGE_HEADERS} bytes")
        if headers + _LEAST > total:
            raise WireError("the lengths of a message contradict each other")
        return int(total)


def sections(frame: bytes) -> tuple[bytes, bytes]:
    """The headers, still encoded, and the payload of a message that `MessageFrames` gave."""
    split = _PRELUDE_SIZE + int.from_bytes(frame[4:8], "big")
    return frame[_PRELUDE_SIZE:split], frame[split:-_CRC_SIZE]


def parse_message(frame: bytes) -> Message:
    """Exactly one message; raises WireError for anything else."""
    if MessageFrames().feed(frame) != [frame]:
        raise WireError("the bytes are not one message")
    headers, payload = sections(frame)
    return Message(parse_headers(headers), payload)


def parse_headers(data: bytes) -> dict[str, Header]:
    """Encoded headers; raises WireError when they break off, repeat a name, or have a type that does not exist."""
    headers: dict[str, Header] = {}
    at = 0
    while at < len(data):
        name_end = at + 1 + data[at]
        if name_end >= len(data) or name_end == at + 1:
            raise WireError("a header of a message breaks off")
        name = _text(data[at + 1 : name_end])
        if name in headers:
            raise WireError("a message has a header twice")
        headers[name], at = _value(data, name_end)
    return headers


def _value(data: bytes, at: int) -> tuple[Header, int]:
    """The value whose type stands at `at`, and where it ends."""
    try:
        kind = HeaderType(data[at])
    except ValueError:
        raise WireError(f"a header of a message has the type {data[at]}") from None
    at += 1
    value: bool | int | bytes | str
    number = _NUMBERS.get(kind)
    if kind in {HeaderType.TRUE, HeaderType.FALSE}:
        return Header(kind, kind is HeaderType.TRUE), at
    if number is not None:
        end = at + number.size
    elif kind is HeaderType.UUID:
        end = at + _UUID_SIZE
    else:
        start = at + _SIZE.size
        end = start + int.from_bytes(data[at:start], "big")
        at = start
    if end > len(data):
        raise WireError("a header of a message breaks off")
    if number is not None:
        value = number.unpack_from(data, at)[0]
    else:
        value = _text(data[at:end]) if kind is HeaderType.TEXT else data[at:end]
    return Header(kind, value), end


def _text(data: bytes) -> str:
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError:
        raise WireError("a header of a message is not valid UTF-8") from None


def make_headers(headers: Mapping[str, str | Header]) -> bytes:
    """Headers, encoded; a plain text is a header of type TEXT. Raises ValueError for what the format cannot say."""
    return b"".join([_encoded(name, header) for name, header in headers.items()])


def _encoded(name: str, header: str | Header) -> bytes:
    label = name.encode()
    if not 0 < len(label) <= _NAME_MAX:
        raise ValueError(f"the name of a header has 1 to {_NAME_MAX} bytes")
    if isinstance(header, str):
        header = Header(HeaderType.TEXT, header)
    kind, value = header.type, header.value
    start = b"%c%b%c" % (len(label), label, kind)
    number = _NUMBERS.get(kind)
    if number is not None:
        try:
            return start + number.pack(value)
        except struct.error:
            raise ValueError(f"{value!r} is no {kind.name}") from None
    if kind in {HeaderType.TRUE, HeaderType.FALSE}:
        return start
    data = value.encode() if isinstance(value, str) else value
    if not isinstance(data, bytes) or len(data) > _VALUE_MAX:
        raise ValueError(f"the value of a header is text or at most {_VALUE_MAX} bytes")
    if kind is HeaderType.UUID:
        if len(data) != _UUID_SIZE:
            raise ValueError(f"a UUID has {_UUID_SIZE} bytes")
        return start + data
    return start + _SIZE.pack(len(data)) + data


def make_message(headers: Mapping[str, str | Header], payload: bytes) -> bytes:
    """One message."""
    return frame_message(make_headers(headers), payload)


def frame_message(headers: bytes, payload: bytes) -> bytes:
    """One message out of encoded headers: what a writer of many messages with the same headers calls."""
    size = len(headers)
    lengths = _LENGTHS.pack(_LEAST + size + len(payload), size)
    body = b"%b%b%b%b" % (lengths, _CRC.pack(crc32(lengths)), headers, payload)
    return body + _CRC.pack(crc32(body))
