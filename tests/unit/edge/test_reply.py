"""Heads and errors as bytes that a client can read, whatever was put into them."""

from __future__ import annotations

import pytest

from tokenway.edge import reply
from tokenway.metering.ledger import Settled, Settlement
from tokenway.metering.stamps import Stamps
from tokenway.model.errors import ErrorType, Problem

RECORD = Settled("g", 0.0, "k", "p", "m", "e", "chat", "openai_chat", False, Settlement.DELIVERED, 0, 200, (), Stamps())


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("gpt-4o mini", b"gpt-4o mini"),
        ("a\r\nset-cookie: x", b"a??set-cookie: x"),
        ("é/\x00\x7f\t", b"?/???"),
        ("", b""),
    ],
)
def test_a_header_value_cannot_end_its_line(text: str, value: bytes) -> None:
    """What is not printable ASCII is replaced, sign by sign."""
    assert reply.header_value(text) == value


def test_an_answer_names_its_exchange_and_whether_the_connection_ends() -> None:
    """Both headers carry the id; `connection: close` only where it is meant."""
    kept = b"x-request-id: gen-1\r\nx-generation-id: gen-1\r\n"
    assert reply.identity("gen-1", keep_alive=True) == kept
    assert reply.identity("gen-1", keep_alive=False) == kept + b"connection: close\r\n"


def test_the_overhead_is_told_in_milliseconds() -> None:
    """Three places, so that microseconds show; the other lines are those of any answer, and the endpoint's."""
    lines = reply.attempted("gen-1", 2, 0.0004567, b"x: y\r\n", keep_alive=False)
    own = b"x-tokenway-attempts: 2\r\nx-tokenway-overhead-ms: 0.457\r\nx: y\r\n"
    assert lines == reply.identity("gen-1", keep_alive=False) + own


def test_a_stream_is_chunked_unless_the_client_cannot_read_that() -> None:
    """One blank line at the end, and no length."""
    assert reply.stream_head(b"x: y\r\n", b"text/event-stream; charset=utf-8", chunked=True) == (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n"
        b"transfer-encoding: chunked\r\nx: y\r\n\r\n"
    )
    assert b"transfer-encoding" not in reply.stream_head(b"", b"text/event-stream", chunked=False)


def test_a_whole_answer_tells_cost_and_speed_where_they_are_known() -> None:
    """A cost of zero is told, an unknown one is not."""
    known = reply.answer_head(b"x: y\r\n", 12_500, 41.26, b"application/json", 7)
    assert known == (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 7\r\n"
        b"x-tokenway-cost: 0.0000125\r\nx-tokenway-tps: 41.3\r\nx: y\r\n\r\n"
    )
    assert b"x-tokenway-cost: 0\r\n" in reply.answer_head(b"", 0, None, b"", 0)
    assert b"x-tokenway" not in reply.answer_head(b"", None, None, b"", 0)


@pytest.mark.parametrize(
    ("seconds", "whole", "milliseconds"), [(0.0, 0, 0), (0.2, 1, 200), (1.0, 1, 1000), (1.0004, 2, 1000)]
)
def test_a_pause_is_never_told_shorter_in_seconds(seconds: float, whole: int, milliseconds: int) -> None:
    """`retry-after` has whole seconds and is rounded up; the milliseconds are exact."""
    answer = reply.problem_answer(Problem(503, ErrorType.SERVER, "No.", retry_after=seconds), 503, b"", b"{}")
    assert b"retry-after: %d\r\nretry-after-ms: %d\r\n" % (whole, milliseconds) in answer


@pytest.mark.parametrize(("should_retry", "line"), [(True, b"true"), (False, b"false"), (None, None)])
def test_advice_is_given_where_there_is_any(should_retry: bool | None, line: bytes | None) -> None:
    """`x-should-retry` has two values and can be absent."""
    answer = reply.problem_answer(Problem(503, ErrorType.SERVER, "No.", should_retry=should_retry), 503, b"", b"{}")
    assert (b"x-should-retry" in answer) is (line is not None)
    assert line is None or b"x-should-retry: %b\r\n" % line in answer


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (404, b"HTTP/1.1 404 Not Found\r\n"),
        (529, b"HTTP/1.1 529 Unknown\r\n"),
        (999, b"HTTP/1.1 502 Bad Gateway\r\n"),
        (0, b"HTTP/1.1 502 Bad Gateway\r\n"),
    ],
)
def test_every_status_of_an_upstream_has_a_line(status: int, line: bytes) -> None:
    """Unknown ones keep their number; what is no status at all is a bad gateway."""
    assert reply.problem_answer(Problem(status, ErrorType.SERVER, "No."), status, b"", b"{}").startswith(line)


def test_an_error_answer_has_the_length_of_its_body() -> None:
    """The lines stand last in its head."""
    problem = Problem(400, ErrorType.INVALID_REQUEST, "No.", param="n")
    head, _, body = reply.problem_answer(problem, 400, b"x: y\r\n", b'{"error":1}').partition(b"\r\n\r\n")
    assert head.endswith(b"content-length: 11\r\nx: y")
    assert body == b'{"error":1}'


def test_a_chunk_has_its_length_in_front() -> None:
    """In hexadecimal."""
    written: list[bytes] = []
    reply.chunk_writer(written.append)(b"x" * 26)
    assert written == [b"1a\r\n" + b"x" * 26 + b"\r\n"]
