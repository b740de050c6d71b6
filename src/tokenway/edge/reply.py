"""Answers as bytes: heads, and the parts of bodies that are the gateway's own."""

from __future__ import annotations

import http
from collections.abc import Callable
from typing import Final

from tokenway.model.errors import Problem
from tokenway.model.money import format_usd

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK: Final = b"0\r\n\r\n"
CLOSE: Final = b"connection: close\r\n"


def _line(status: int) -> bytes:
    try:
        phrase = http.HTTPStatus(status).phrase
    except ValueError:
        phrase = "Unknown"
    return f"HTTP/1.1 {status} {phrase}\r\n".encode()


STATUS_LINES: Final[dict[int, bytes]] = {status: _line(status) for status in range(200, 600)}


def header_value(text: str) -> bytes:
    """Text as it may stand in a header: what is not printable ASCII is replaced."""
    if text.isascii() and text.isprintable():
        return text.encode()
    return "".join(char if char.isascii() and char.isprintable() else "?" for char in text).encode()


def identity(exchange: str, *, keep_alive: bool) -> bytes:
    """The header lines that every answer has: its id, and whether the connection ends with it."""
    line = exchange.encode()
    return b"x-request-id: %b\r\nx-generation-id: %b\r\n%b" % (line, line, b"" if keep_alive else CLOSE)


def attempted(exchange: str, attempts: int, overhead: float, label: bytes, *, keep_alive: bool) -> bytes:
    """The same for an answer for which an endpoint was asked; `overhead` in seconds, `label` the endpoint's line."""
    line = exchange.encode()
    return (
        b"x-request-id: %b\r\nx-generation-id: %b\r\n%bx-tokenway-attempts: %d\r\nx-tokenway-overhead-ms: %.3f\r\n%b"
        % (line, line, b"" if keep_alive else CLOSE, attempts, overhead * 1000.0, label)
    )


def stream_head(lines: bytes, content_type: bytes, *, chunked: bool) -> bytes:
    """The head of a stream. Without chunked coding (HTTP/1.0) the body ends with the connection."""
    return b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncache-control: no-cache\r\n%b%b\r\n" % (
        content_type,
        b"transfer-encoding: chunked\r\n" if chunked else b"",
        lines,
    )


def chunk_writer(write: Callable[[bytes], None]) -> Callable[[bytes], None]:
    """Writes data as one chunk of a chunked body."""

    def write_chunk(data: bytes) -> None:
        write(b"%x\r\n%b\r\n" % (len(data), data))

    return write_chunk


def answer_head(lines: bytes, cost: int | None, tps: float | None, content_type: bytes, length: int) -> bytes:
    """The head of a whole answer, with what it cost (nano-dollars) and how fast it was (tokens a second)."""
    measured = b""
    if cost is not None:
        measured = b"x-tokenway-cost: %b\r\n" % format_usd(cost).encode()
    if tps is not None:
        measured += b"x-tokenway-tps: %.1f\r\n" % tps
    return b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n%b%b\r\n" % (
        content_type,
        length,
        measured,
        lines,
    )


def problem_answer(problem: Problem, status: int, lines: bytes, content: bytes) -> bytes:
    """A whole error answer; `content` is its body and `status` its status, in the caller's dialect."""
    advice = b""
    if problem.retry_after is not None:
        advice = b"retry-after: %d\r\nretry-after-ms: %d\r\n" % (
            -int(-problem.retry_after // 1),
            round(problem.retry_after * 1000),
        )
    if problem.should_retry is not None:
        advice += b"x-should-retry: %b\r\n" % (b"true" if problem.should_retry else b"false")
    return b"%bcontent-type: application/json\r\ncontent-length: %d\r\n%b%b\r\n%b" % (
        STATUS_LINES.get(status) or STATUS_LINES[502],
        len(content),
        advice,
        lines,
        content,
    )
