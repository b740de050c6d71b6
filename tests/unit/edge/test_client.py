"""A client without a connection takes an answer apart."""

from __future__ import annotations

from typing import Any, cast

import pytest

from tokenway.edge.client import Client, Inner

HEAD = b"HTTP/1.1 200 OK\r\nx-tokenway-attempts: 2\r\nx-tokenway-endpoint: p/up\r\nx-request-id: g\r\n\r\n"
NOBODY = cast("Any", None)


class Heard:
    """What is called."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.ends: list[Inner] = []

    def take(self, inner: Inner, data: bytes) -> None:
        """A piece."""
        self.pieces.append(data)

    def inner(self, *, takes: bool = True) -> Inner:
        """A client that is heard."""
        return Inner(self.ends.append, self.take if takes else None)


def test_a_whole_answer_is_its_status_and_its_body() -> None:
    """Whether the head came with the body or before it, and in one write or several."""
    several: list[list[bytes | bytearray | memoryview]] = [
        [HEAD + b"hello"],
        [HEAD, b"hello"],
        [HEAD + b"he", memoryview(b"ll"), bytearray(b"o")],
    ]
    for writes in several:
        inner = Heard().inner(takes=False)
        for data in writes:
            inner.transport.write(data)
        assert (inner.status, inner.body) == (200, b"hello")


def test_lines_are_one_write() -> None:
    """A large answer comes in parts."""
    inner = Heard().inner(takes=False)
    inner.transport.writelines([HEAD, b"a\r\n\r\nb"])
    assert (inner.status, inner.body) == (200, b"a\r\n\r\nb")


def test_a_stream_is_heard_piece_by_piece() -> None:
    """Nothing of it is kept, and the head alone is no piece."""
    heard = Heard()
    inner = heard.inner()
    inner.write(HEAD)
    inner.write(b"one")
    inner.write(memoryview(b"two"))
    assert heard.pieces == [b"one", b"two"]
    assert inner.body == b""


def test_an_error_is_kept_and_not_heard() -> None:
    """It is no piece of an answer."""
    heard = Heard()
    inner = heard.inner()
    inner.write(b"HTTP/1.1 503 Service Unavailable\r\n\r\n{}")
    assert (inner.status, inner.body, heard.pieces) == (503, b"{}", [])


def test_its_end_is_told_once() -> None:
    """With itself; whoever is told is not held any more."""
    heard = Heard()
    inner = heard.inner()
    client: Client = inner
    client.relay_finished(NOBODY)
    client.relay_finished(NOBODY)
    assert heard.ends == [inner]


def test_an_answer_that_breaks_off_says_so() -> None:
    """It is not taken for a whole one."""
    inner = Heard().inner()
    inner.write(HEAD + b"half")
    assert not inner.was_aborted
    inner.transport.abort()
    assert inner.was_aborted


def test_lines_of_the_head_are_found_by_how_they_begin() -> None:
    """In their order, each with its end."""
    inner = Heard().inner()
    assert inner.head_lines((b"x-",)) == b""
    inner.write(HEAD)
    assert inner.head_lines((b"x-tokenway-",)) == b"x-tokenway-attempts: 2\r\nx-tokenway-endpoint: p/up\r\n"
    assert inner.head_lines((b"x-tokenway-endpoint", b"x-request-id")) == (
        b"x-tokenway-endpoint: p/up\r\nx-request-id: g\r\n"
    )


@pytest.mark.parametrize(("name", "number"), [(b"x-tokenway-attempts", 2), (b"x-tokenway-endpoint", 0), (b"x-no", 0)])
def test_a_number_of_the_head(name: bytes, number: int) -> None:
    """None, where there is none, is 0."""
    inner = Heard().inner()
    inner.write(HEAD)
    assert inner.number(name) == number
