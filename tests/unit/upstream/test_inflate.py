"""Answers that come compressed, however they are cut: what their reader hears, and what is no answer."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.contract.upstreams import REQUEST, Heard, Owner
from tokenway.aio.tasks import Tasks
from tokenway.model.errors import WireError
from tokenway.model.faults import Fault
from tokenway.upstream import inflate
from tokenway.upstream.call import Call
from tokenway.upstream.inflate import reader_of
from tokenway.upstream.mock import Ending, MockNetwork
from tokenway.upstream.pool import Pool

TEXT = "Grüße, 世界. ".encode() * 50
PACKED = {b"gzip": gzip.compress(TEXT), b"X-GZip": gzip.compress(TEXT[:9]) + gzip.compress(TEXT[9:])}
PACKED[b"deflate"] = zlib.compress(TEXT)


def read(coding: bytes, *pieces: bytes) -> Heard:
    """What is heard of a body in these pieces."""
    heard = Heard()
    reader = reader_of(coding, heard, Call(Owner(), heard, REQUEST))
    for piece in pieces:
        reader.upstream_body(piece)
    reader.upstream_end()
    return heard


def answered(coding: bytes, body: bytes, *, chunked: bool = False) -> bytes:
    """An answer with this coding."""
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: %b\r\n" % coding
    if chunked:
        return b"%btransfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (head, len(body), body)
    return b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body)


async def hear(tasks: Tasks, *pieces: bytes | Ending) -> tuple[Heard, Pool]:
    """One call, answered with these reads."""
    pool = MockNetwork([pieces]).pool(asyncio.get_running_loop(), tasks)
    heard = Heard()
    heard.call = pool.open(REQUEST, heard)
    await heard.over()
    return heard, pool


@pytest.mark.parametrize("coding", PACKED)
@given(cuts=st.lists(st.integers(0, 90), max_size=8))
def test_a_compressed_body_is_read_however_it_is_cut(coding: bytes, cuts: list[int]) -> None:
    """Its reader hears what was compressed, and no empty pieces."""
    body = PACKED[coding]
    heard = read(coding, *(body[start:end] for start, end in pairwise([0, *sorted(cuts), len(body)])))
    assert heard.body == TEXT
    assert all(heard.pieces)
    assert heard.calls[-1] == "end"


@pytest.mark.parametrize("coding", PACKED)
def test_a_body_that_is_cut_short_is_no_answer(coding: bytes) -> None:
    """Wherever it stops: its checksum is missing."""
    for at in range(1, len(gzip.compress(TEXT[:9])) - 1):
        heard = read(coding, PACKED[coding][:at])
        assert (heard.fault, heard.detail) == (Fault.FRAMING, inflate.CUT)


@pytest.mark.parametrize("pieces", [(b"<html>",), (PACKED[b"gzip"][:30], b"<html>" * 9), (PACKED[b"gzip"], b"more")])
def test_a_body_that_is_not_what_it_says_is_no_answer(pieces: tuple[bytes, ...]) -> None:
    """It fails once, and nothing more is heard."""
    heard = read(b"gzip", *pieces, PACKED[b"gzip"])
    assert (heard.fault, heard.detail) == (Fault.FRAMING, inflate.BROKEN)
    assert heard.calls.count("failed") == 1
    assert heard.calls[-1] == "failed"


def test_a_small_body_cannot_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one read inflates to is bounded."""
    monkeypatch.setattr(inflate, "ANSWER", 1000)
    assert read(b"gzip", gzip.compress(b"\0" * 999)).fault is None
    for body in (gzip.compress(b"\0" * 100_000), gzip.compress(b"\0" * 600) * 3):
        heard = read(b"gzip", body)
        assert (heard.fault, heard.pieces) == (Fault.TOO_LARGE, [])


def test_a_body_of_nothing_is_nothing() -> None:
    """Some servers name a coding where they send no body."""
    heard = read(b"gzip")
    assert (heard.calls, heard.body) == (["end"], b"")


@pytest.mark.parametrize("coding", [b"", b"identity", b"utf-8", b"none"])
def test_what_is_no_compression_changes_nothing(coding: bytes) -> None:
    """The reader stays the one it was."""
    heard = Heard()
    assert reader_of(coding, heard, Call(Owner(), heard, REQUEST)) is heard


@pytest.mark.parametrize("coding", [b"br", b"zstd", b"gzip, gzip", b"gzip, br", b"identity, compress"])
async def test_other_compressions_break_the_answer(tasks: Tasks, coding: bytes) -> None:
    """Also several at once."""
    heard = Heard()
    with pytest.raises(WireError, match="nobody asked for"):
        reader_of(coding, heard, Call(Owner(), heard, REQUEST))
    heard, pool = await hear(tasks, answered(coding, b"x"))
    assert (heard.fault, heard.body) == (Fault.FRAMING, b"")
    await pool.close()


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("coding", PACKED)
async def test_over_a_connection(tasks: Tasks, coding: bytes, chunked: bool) -> None:
    """In one read or in two, after which the connection serves on; a broken one fails."""
    answer = answered(coding, PACKED[coding], chunked=chunked)
    for cut in (0, 70, len(answer) - 9):
        heard, pool = await hear(tasks, *filter(None, (answer[:cut], answer[cut:])))
        assert (heard.status, heard.body, heard.calls[-1], pool.idle) == (200, TEXT, "end", 1)
        await pool.close()
        heard, pool = await hear(tasks, answered(coding, PACKED[coding][:-2], chunked=chunked))
        assert heard.fault is Fault.FRAMING
        await pool.close()
