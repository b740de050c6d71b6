"""Compressed request bodies: gzip and zstd, undone within a bound.

A small body can inflate to gigabytes, so the bound is on what comes out, and is checked while it comes.
"""

from __future__ import annotations

import zlib

import zstandard

from tokenway.model.errors import ErrorType, Problem, Refusal, invalid_request

_GZIP_WINDOW = 16 + zlib.MAX_WBITS


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


def _gunzip(body: bytes, limit: int) -> bytes:
    out = bytearray()
    rest = body
    try:
        while rest:
            member = zlib.decompressobj(_GZIP_WINDOW)
            out += member.decompress(rest, limit + 1 - len(out))
            if len(out) > limit or member.unconsumed_tail:
                raise too_large(limit)
            if not member.eof:
                raise invalid_request("The gzip body is cut short.")
            rest = member.unused_data
    except zlib.error as error:
        raise invalid_request(f"The body is not valid gzip: {error}.") from None
    return bytes(out)


def _unzstd(body: bytes, limit: int) -> bytes:
    try:
        with zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(body, read_across_frames=True) as reader:
            out: bytes = reader.read(limit + 1)
    except zstandard.ZstdError as error:
        raise invalid_request(f"The body is not valid zstd: {error}.") from None
    if len(out) > limit:
        raise too_large(limit)
    return out
