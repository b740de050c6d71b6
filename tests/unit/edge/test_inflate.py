"""Compressed bodies: whole ones come out as they went in, and nothing else comes out at all."""

from __future__ import annotations

import gzip
import tracemalloc
from collections.abc import Callable

import pytest
import zstandard

from tokenway.edge.inflate import MEMBERS_MAX, inflate, too_large
from tokenway.model.errors import Refusal

TEXT = b'{"model":"m","messages":[{"role":"user","content":"hello"}]}' * 200
LIMIT = 1 << 20
_SKIPPABLE = b"\x50\x2a\x4d\x18\x03\x00\x00\x00xyz"


def zstd(data: bytes) -> bytes:
    """One frame with a checksum."""
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


def refused(body: bytes, encoding: bytes, limit: int = LIMIT) -> int:
    """The status with which a body is refused."""
    with pytest.raises(Refusal) as refusal:
        inflate(body, encoding, limit)
    return refusal.value.problem.status


@pytest.mark.parametrize(
    ("body", "encoding"),
    [
        (TEXT, b""),
        (TEXT, b" Identity "),
        (gzip.compress(TEXT), b"gzip"),
        (gzip.compress(TEXT), b"X-GZIP "),
        (gzip.compress(TEXT[:100]) + gzip.compress(b"") + gzip.compress(TEXT[100:]), b"gzip"),
        (zstd(TEXT), b"zstd"),
        (zstd(TEXT[:100]) + _SKIPPABLE + zstd(TEXT[100:]), b"Zstd"),
    ],
)
def test_a_whole_body_comes_out_as_it_went_in(body: bytes, encoding: bytes) -> None:
    """Every coding in any case, in one member or several."""
    assert inflate(body, encoding, LIMIT) == TEXT


@pytest.mark.parametrize("compress", [gzip.compress, zstd], ids=["gzip", "zstd"])
def test_a_truncated_body_is_broken_at_every_length(compress: Callable[[bytes], bytes]) -> None:
    """400, wherever it was cut: what did come out of it must not be taken for the request."""
    encoding = b"gzip" if compress is gzip.compress else b"zstd"
    whole = compress(TEXT)
    assert {refused(whole[:size], encoding) for size in range(len(whole))} == {400}
    assert {refused(whole + whole[:size], encoding) for size in range(1, len(whole))} == {400}


@pytest.mark.parametrize("encoding", [b"gzip", b"zstd"])
def test_other_bytes_are_broken(encoding: bytes) -> None:
    """400 for what is not the coding at all, also behind a whole member."""
    whole = gzip.compress(TEXT) if encoding == b"gzip" else zstd(TEXT)
    assert refused(TEXT, encoding) == 400
    assert refused(whole + b"rubbish, and more of it", encoding) == 400


def test_the_bound_is_on_what_comes_out() -> None:
    """A body of exactly the bound passes, one byte more is 413; several members count together."""
    for encoding, compress in ((b"gzip", gzip.compress), (b"zstd", zstd)):
        assert inflate(compress(TEXT), encoding, len(TEXT)) == TEXT
        assert refused(compress(TEXT), encoding, len(TEXT) - 1) == 413
        assert refused(compress(TEXT[:9000]) + compress(TEXT[9000:]), encoding, len(TEXT) - 1) == 413


@pytest.mark.parametrize("encoding", [b"gzip", b"zstd"])
def test_a_bomb_is_stopped_while_it_inflates(encoding: bytes) -> None:
    """Sixty-four megabytes out of a small body are refused, and never held in memory."""
    huge = bytes(64 << 20)
    bomb = gzip.compress(huge) if encoding == b"gzip" else zstd(huge)
    del huge
    tracemalloc.start()
    try:
        assert refused(bomb, encoding) == 413
        assert tracemalloc.get_traced_memory()[1] < 24 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("encoding", [b"gzip", b"zstd"])
def test_empty_members_without_number_are_refused(encoding: bytes) -> None:
    """Each costs a decompressor: as many as a parallel compressor makes are taken, and not one more."""
    empty = gzip.compress(b"") if encoding == b"gzip" else zstd(b"")
    assert inflate(empty * MEMBERS_MAX, encoding, LIMIT) == b""
    assert refused(empty * (MEMBERS_MAX + 1), encoding) == 400


@pytest.mark.parametrize("encoding", [b"br", b"deflate", b"gzip, gzip", b"\xff" * 200])
def test_an_unknown_coding_is_named(encoding: bytes) -> None:
    """415, with the coding cut to a length that can be shown."""
    with pytest.raises(Refusal) as refusal:
        inflate(b"", encoding, LIMIT)
    problem = refusal.value.problem
    assert (problem.status, problem.code) == (415, "unsupported_encoding")
    assert f"'{encoding.decode('latin-1')[:40]}'" in problem.message


def test_the_refusal_of_a_large_body_names_the_bound() -> None:
    """413, and no use in trying again."""
    problem = too_large(1000).problem
    assert (problem.status, problem.should_retry) == (413, False)
    assert "1000 bytes" in problem.message
