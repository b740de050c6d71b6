"""Compressed request bodies: gzip and zstd, undone within a bound.

A small body can inflate to gigabytes, so the bound is on what comes out, and is checked while it comes.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Final, Protocol

import zstandard

from tokenway.model.errors import ErrorType, Problem, Refusal, invalid_request

MEMBERS_MAX: Final = 1024
"""Gzip members or zstd frames in one body: parallel compressors make one for each piece, empty ones are an attack."""

_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS
_ZSTD_WINDOW: Final = 1 << 27
# A byte of gzip gives at most 1032 bytes; four of zstd can be a block of 128 KiB. Either way 4 to 8 MiB at a time.
_GZIP_PIECE: Final = 4096
_ZSTD_PIECE: Final = 256


def inflate(body: bytes, encoding: bytes, limit: int) -> bytes:
    """The body without its content coding; raises Refusal: 400 broken, 413 too large, 415 unknown."""
    coding = encoding.strip().lower()
    if coding in {b"", b"identity"}:
        return body
    if coding in {b"gzip", b"x-gzip"}:
        return _gunzip(body, limit)
    if coding == b"zstd":
        return _unzstd(body, limit)
    raise Refusal(
        Problem(
            415,
            ErrorType.INVALID_REQUEST,
            f"The content encoding '{coding.decode('latin-1')[:40]}' is not supported; gzip, zstd and identity are.",
            code="unsupported_encoding",
        )
    )


def too_large(limit: int) -> Refusal:
    """413."""
    return Refusal(
        Problem(
            413,
            ErrorType.PAYLOAD_TOO_LARGE,
            f"The request body is larger than {limit} bytes (server.max_body).",
            code="payload_too_large",
            should_retry=False,
        )
    )


class _Member(Protocol):
    """What `zlib` and `zstandard` call a decompressor: of one gzip member or one zstd frame."""

    @property
    def eof(self) -> bool:
        """Whether the member is complete."""

    @property
    def unused_data(self) -> bytes:
        """What came behind its end."""

    def decompress(self, data: bytes, /) -> bytes:
        """What `data` gives."""


def _undo(body: bytes, limit: int, start: Callable[[], _Member], piece: int) -> bytes:
    """All members of `body`, one behind the other; `piece` is how much is inflated before the bound is checked."""
    out = bytearray()
    at = 0
    for _ in range(MEMBERS_MAX):
        member = start()
        while not member.eof:
            data = body[at : at + piece]
            if not data:
                raise invalid_request("The compressed body is cut short.")
            at += len(data)
            out += member.decompress(data)
            if len(out) > limit:
                raise too_large(limit)
        at -= len(member.unused_data)
        if at == len(body):
            return bytes(out)
    raise invalid_request(f"The compressed body has more than {MEMBERS_MAX} members.")


def _gunzip(body: bytes, limit: int) -> bytes:
    try:
        return _undo(body, limit, lambda: zlib.decompressobj(_GZIP_WINDOW), _GZIP_PIECE)
    except zlib.error as error:
        raise invalid_request(f"The body is not valid gzip: {error}.") from None


def _unzstd(body: bytes, limit: int) -> bytes:
    decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
    try:
        return _undo(body, limit, decompressor.decompressobj, _ZSTD_PIECE)
    except zstandard.ZstdError as error:
        raise invalid_request(f"The body is not valid zstd: {error}.") from None
