"""Heads of requests: what is wrong with one, and those that a client repeats, which need not be parsed again.

A client sends the same head with each request of a connection, but for the length of the body. So a read that
begins with the bytes of a head that the strict parser has accepted, has nothing but digits where the length
stood, and ends where that length says, is that request again with another body. Whatever is not so to the byte
goes to the parser.
"""

from __future__ import annotations

import re
from typing import Final, Protocol

from tokenway.edge.doors import Door

VERSIONS: Final = ("1.1", "1.0")

LENGTH_DIGITS_MAX: Final = 20
"""Of a content-length, zeros before it included: what 64 bits can hold."""
HEADS_MAX: Final = 1000
"""Heads that a worker keeps at a time; clients of one kind share one."""
LESSONS_MAX: Final = 4
"""After so many heads of a connection its client is taken for one that sends another head each time."""
_DIGITS_MAX: Final = 9
_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,9})[ \t]*\r\n", re.IGNORECASE)
_HEAD_END: Final = b"\r\n\r\n"


def what_is_wrong(version: str, headers: dict[bytes, bytes], fields: list[tuple[bytes, bytes]]) -> str:
    """What llhttp lets pass and a strict reader does not (RFC 9112, sections 3.2 and 6.1); empty if nothing is."""
    if version not in VERSIONS:
        return f"its version is {version}"
    coding = headers.get(b"transfer-encoding")
    if coding is not None and coding.strip().lower() != b"chunked":
        return "it has a transfer coding other than chunked"
    if len(headers.get(b"content-length", b"")) > LENGTH_DIGITS_MAX:
        return "its length is no number of bytes"
    if len(headers) != len(fields):
        names = [name for name, _ in fields]
        if names.count(b"host") > 1 or names.count(b"transfer-encoding") > 1:
            return "a header that says how to read it comes twice"
    if b"host" not in headers and version == "1.1":
        return "it has no Host header"
    return ""


def joined(fields: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Header fields by name; those that came several times as one list (RFC 9110, section 5.3)."""
    headers = dict(fields)
    if len(headers) != len(fields):
        for name in headers:
            values = [value for other, value in fields if other == name]
            headers[name] = b", ".join(values) if len(values) > 1 else values[0]
    return headers


def without_origin(target: bytes) -> bytes:
    """The path of a target that proxies may send whole, as in `http://host/path`."""
    if not target.startswith((b"http://", b"https://")):
        return target
    return b"/" + target.partition(b"://")[2].partition(b"/")[2]


class Head:
    """A head for a hot path of an HTTP/1.1 request that keeps its connection. `headers` lacks the body's length."""

    __slots__ = ("_after", "_before", "_size", "door", "headers", "query")

    def __init__(self, before: bytes, after: bytes, door: Door, query: bytes, headers: dict[bytes, bytes]) -> None:
        """`before` and `after` are the head's bytes around the digits of its content-length."""
        self._before = before
        self._after = after
        self._size = len(before)
        self.door = door
        self.query = query
        self.headers = headers

    def body_of(self, data: bytes) -> bytes | None:
        """The body, if one read is exactly this head with some length and so many bytes after it; else None."""
        size, after = self._size, self._after
        if not data.startswith(self._before):
            return None
        end = data.find(after, size, size + _DIGITS_MAX + len(after))
        digits = data[size:end]
        if end < 0 or not digits.isdigit():
            return None
        start = end + len(after)
        return data[start:] if len(data) - start == int(digits) else None


class Parsed(Protocol):
    """A request whose head a parser has read."""

    door: Door
    query: bytes
    headers: dict[bytes, bytes]


class Heads:
    """The heads that are known to a worker."""

    def __init__(self) -> None:
        self._known: dict[tuple[bytes, bytes], Head] = {}

    def learn(self, data: bytes, request: Parsed) -> Head | None:
        """The head of a request that a parser has accepted, if it can be known again.

        `data` is a read that began with the request. None when it is not the request and nothing else, or when
        the client waits for a 100.
        """
        end = data.find(_HEAD_END) + len(_HEAD_END)
        length = _LENGTH.search(data, 0, end)
        headers = request.headers
        if length is None or len(data) - end != int(length.group(1)) or b"expect" in headers:
            return None
        before, after = data[: length.start(1)], data[length.end(1) : end]
        head = self._known.get((before, after))
        if head is None:
            if len(self._known) >= HEADS_MAX:
                self._known.clear()
            kept = {name: value for name, value in headers.items() if name != b"content-length"}
            head = self._known[before, after] = Head(before, after, request.door, request.query, kept)
        return head

    def clear(self) -> None:
        """Forgets all: they hold keys, which are kept no longer than a snapshot."""
        self._known.clear()
