"""Where answers end, decided without a connection."""

from __future__ import annotations

import pytest
from httptools import HttpParserError, HttpParserUpgrade
from hypothesis import given
from hypothesis import strategies as st

from tokenway.model.errors import WireError
from tokenway.upstream.framing import (
    BY_CHUNKS,
    BY_LENGTH,
    NO_BODY,
    UNTIL_CLOSE,
    before_next,
    check_size,
    ends_read,
    explain,
    framing_of,
)
from tokenway.wire import limits


def test_a_head_names_its_framing() -> None:
    """A coding, else a length, else the close."""
    assert framing_of({b"transfer-encoding": b"Chunked "}, []) == BY_CHUNKS
    assert framing_of({b"content-length": b"1"}, []) == BY_LENGTH
    assert framing_of({b"x": b"y"}, []) == UNTIL_CLOSE


@pytest.mark.parametrize(
    ("coding", "again"), [(b"gzip", []), (b"gzip, chunked", []), (b"", []), (b"chunked", [b"chunked"])]
)
def test_other_codings_are_refused(coding: bytes, again: list[bytes]) -> None:
    """Only one `chunked`, said once, is a coding that we undo."""
    with pytest.raises(WireError):
        framing_of({b"transfer-encoding": coding}, [(b"transfer-encoding", value) for value in again])


def test_the_size_of_a_head_counts_repeated_fields() -> None:
    """Names and values up to the bound pass, also when they came under one name."""
    half = b"x" * (limits.RESPONSE_HEAD // 2 - 1)
    check_size({b"a": half}, [(b"a", half)])
    with pytest.raises(WireError, match="64 KiB"):
        check_size({b"a": half}, [(b"a", half + b"x")])


@pytest.mark.parametrize(
    ("framing", "data", "body", "ends"),
    [
        (BY_LENGTH, b"head\r\n\r\nab", b"ab", True),
        (BY_LENGTH, b"head\r\n\r\nab\n", b"ab", False),
        (BY_LENGTH, b"a\n\n", b"a\n", False),
        (BY_LENGTH, b"content-length: 0\r\n\r\n", b"", True),
        (BY_LENGTH, b"content-length: 0\r\n\r\n\r\n", b"", False),
        (BY_CHUNKS, b"1\r\na\r\n0\r\n\r\n", b"a", True),
        (BY_CHUNKS, b"1\r\na\r\n0\r\n\r\n\n", b"a", False),
        (BY_CHUNKS, b"1\r\na\r\n0\r\n\r\n\r\n", b"a", False),
        (BY_CHUNKS, b"\r\n\r\n", b"", None),
        (BY_CHUNKS, b"\n", b"", None),
        (NO_BODY, b"HTTP/1.1 204 X\r\n\r\n", b"", True),
        (NO_BODY, b"HTTP/1.1 204 X\r\n\r\n\r", b"", False),
    ],
)
def test_a_last_read_ends_with_the_answer_or_not(framing: int, data: bytes, body: bytes, ends: bool | None) -> None:
    """CR and LF after the end are seen, and a read too short to tell is not trusted."""
    assert ends_read(framing, data, body) is ends


@given(body=st.binary(max_size=20), surplus=st.text("\r\n", min_size=1, max_size=4))
def test_line_ends_after_chunks_are_always_seen(body: bytes, surplus: str) -> None:
    """Whatever the payload, an answer in chunks is told from the same answer and line ends."""
    chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
    answer = chunk + b"0\r\n\r\n"
    assert ends_read(BY_CHUNKS, answer, body) is True
    assert ends_read(BY_CHUNKS, answer + surplus.encode(), body) is False


NEXT = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nSECRET"


@pytest.mark.parametrize(
    ("framing", "data", "body"),
    [
        (BY_LENGTH, b"head\r\n\r\nab", b"ab"),
        (BY_LENGTH, b"ab", b"ab"),
        (BY_LENGTH, b"content-length: 0\r\n\r\n", b""),
        (BY_CHUNKS, b"1\r\na\r\n0\r\n\r\n", b"a"),
        (BY_CHUNKS, b"1\r\na\r\n0\r\nx-sum: 1\r\n\r\n", b"a"),
        (BY_CHUNKS, b"\n\r\n", b""),
        (BY_CHUNKS, b"\r\n", b""),
        (BY_CHUNKS, b"\n", b""),
        (NO_BODY, b"HTTP/1.1 204 X\r\n\r\n", b""),
    ],
)
def test_a_response_behind_an_answer_is_told_from_other_surplus(framing: int, data: bytes, body: bytes) -> None:
    """The answer ends where the next response begins; anything else there is not taken for one."""
    assert before_next(framing, data + NEXT, body) == data
    assert before_next(framing, data + b"HTTP/1.", body) == data
    for other in (b"", b"x", b"HTTP/2", b"http/1.1 200 OK", b"\r\n" + NEXT[1:], b"0\r\n\r\n"):
        assert before_next(framing, data + other, body) is None


def test_a_parser_error_becomes_a_sentence() -> None:
    """Our own words, llhttp's reason, or the switch of protocols; never a byte of the answer."""
    ours = HttpParserError("callback error")
    ours.__context__ = WireError("Too much.")
    assert explain(ours) == "Too much."
    assert explain(HttpParserError("Invalid status.")) == "The upstream's answer is not valid HTTP/1.1: Invalid status."
    assert explain(HttpParserUpgrade(7)) == "The upstream tried to switch protocols."
