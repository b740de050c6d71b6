"""Answers that were compressed although the request says `accept-encoding: identity`: inflated on their way.

Some servers, and proxies in front of them, compress whatever passes. gzip and deflate (RFC 9110, section 8.4.1) are
undone; any other known compression breaks the answer at once, because nobody behind here could read it. What is no
compression at all (`identity`, or `utf-8`, which some servers write) says nothing.
"""

from __future__ import annotations

import zlib
from typing import Final

from tokenway.model.errors import WireError
from tokenway.model.faults import Fault
from tokenway.upstream.base import Headers, Reader
from tokenway.upstream.call import Call
from tokenway.wire.limits import ANSWER

_WINDOWS: Final = {b"gzip": 16 + zlib.MAX_WBITS, b"x-gzip": 16 + zlib.MAX_WBITS, b"deflate": zlib.MAX_WBITS}
_OTHERS: Final = frozenset({b"br", b"zstd", b"compress", b"x-compress", b"dcb", b"dcz"})

BROKEN: Final = "The upstream's answer is compressed, and broken."
CUT: Final = "The upstream's compressed answer is cut short."


def reader_of(coding: bytes, reader: Reader, call: Call) -> Reader:
    """Who reads a body of this content coding for `reader`; raises WireError where it cannot be undone."""
    names = [name.strip().lower() for name in coding.split(b",")]
    packed = [name for name in names if name in _WINDOWS or name in _OTHERS]
    if not packed:
        return reader
    if len(packed) > 1 or packed[0] in _OTHERS:
        raise WireError("The upstream compressed its answer in a way that nobody asked for.")
    return Inflating(reader, call, _WINDOWS[packed[0]])


class Inflating:
    """A reader that inflates what it hears for another one. One read brings at most `limits.ANSWER` bytes."""

    def __init__(self, reader: Reader, call: Call, window: int) -> None:
        """`window` as `zlib` has it."""
        self._reader = reader
        self._call = call
        self._window = window
        self._member = zlib.decompressobj(window)
        self._is_begun = False
        self._is_over = False

    def upstream_opened(self) -> None:
        """Passed on."""
        self._reader.upstream_opened()

    def upstream_head(self, status: int, headers: Headers) -> None:
        """Passed on."""
        self._reader.upstream_head(status, headers)

    def upstream_body(self, data: bytes) -> None:
        """What `data` gives."""
        inflated = self._inflate(data)
        if inflated:
            self._reader.upstream_body(inflated)

    def upstream_end(self) -> None:
        """The end, if the last member has one."""
        if self._is_over:
            return
        if self._is_begun and not self._member.eof:
            self.upstream_failed(Fault.FRAMING, CUT)
        else:
            self._reader.upstream_end()

    def upstream_answer(self, status: int, headers: Headers, body: bytes) -> None:
        """All of it in one call."""
        inflated = self._inflate(body)
        if self._is_over:
            return
        if self._member.eof:
            self._reader.upstream_answer(status, headers, inflated)
        else:
            self.upstream_failed(Fault.FRAMING, CUT)

    def upstream_failed(self, fault: Fault, detail: str) -> None:
        """Passed on, and the connection given up."""
        self._is_over = True
        self._call.cancel()
        self._reader.upstream_failed(fault, detail)

    def _inflate(self, data: bytes) -> bytes:
        """Member by member: compressors that work in pieces write one behind the other."""
        if self._is_over:
            return b""
        self._is_begun = True
        parts: list[bytes] = []
        room = ANSWER
        try:
            while data:
                if self._member.eof:
                    self._member = zlib.decompressobj(self._window)
                parts.append(self._member.decompress(data, room))
                room -= len(parts[-1])
                if self._member.unconsumed_tail or room <= 0:
                    self.upstream_failed(Fault.TOO_LARGE, f"more than {ANSWER} bytes at once")
                    return b""
                data = self._member.unused_data
        except zlib.error:
            self.upstream_failed(Fault.FRAMING, BROKEN)
            return b""
        return b"".join(parts)
