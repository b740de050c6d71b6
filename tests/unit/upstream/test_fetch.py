"""One whole answer, or a sentence that says why there is none."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.contract.upstreams import REQUEST, until
from tokenway.aio.tasks import Tasks
from tokenway.model.faults import Fault
from tokenway.upstream.fetch import Fetched, FetchError, fetch
from tokenway.upstream.mock import Ending, MockNetwork
from tokenway.upstream.transport import DialFailure

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\ncontent-length: 4\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


async def fetched(tasks: Tasks, network: MockNetwork, limit: int = 4, timeout: float = 30.0) -> Fetched:
    """What is fetched of a scripted upstream; a failure may leave no connection in use."""
    pool = network.pool(asyncio.get_running_loop(), tasks)
    try:
        return await fetch(pool, REQUEST, limit=limit, timeout=timeout)
    except FetchError:
        await until(lambda: pool.open_connections == pool.idle)
        raise
    finally:
        await pool.close()


@pytest.mark.parametrize("pieces", [[HEAD + b"abcd"], [HEAD, b"ab", b"cd"], [HEAD[:20], HEAD[20:] + b"a", b"bcd"]])
async def test_an_answer_is_the_same_however_it_is_cut(tasks: Tasks, pieces: list[bytes]) -> None:
    """In one read or many."""
    assert await fetched(tasks, MockNetwork([pieces])) == Fetched(200, "image/png", b"abcd")


@pytest.mark.parametrize(
    ("value", "content_type"),
    [(b"Image/PNG; q=1", "image/png"), (b" text/plain ;charset=x", "text/plain"), (b"", ""), (b"\xff", "\xff")],
)
async def test_the_media_type_is_told_plainly(tasks: Tasks, value: bytes, content_type: str) -> None:
    """In lower case and without parameters."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: 0\r\n\r\n" % value
    assert (await fetched(tasks, MockNetwork([[head]]))).content_type == content_type


async def test_an_answer_without_a_type_has_none(tasks: Tasks) -> None:
    """An empty text."""
    network = MockNetwork([[b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx"]])
    assert await fetched(tasks, network) == Fetched(200, "", b"x")


async def test_a_redirect_is_an_answer_and_is_not_followed(tasks: Tasks) -> None:
    """Where it points is nobody's affair: one request is made."""
    network = MockNetwork([[b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1/\r\ncontent-length: 0\r\n\r\n"]])
    assert (await fetched(tasks, network)).status == 302
    assert network.requests == [REQUEST]


async def test_an_answer_of_just_the_bound_is_taken(tasks: Tasks) -> None:
    """`limit` bytes, and not one more."""
    assert (await fetched(tasks, MockNetwork([[HEAD + b"abcd"]]), limit=4)).body == b"abcd"
    with pytest.raises(FetchError, match="larger than 3 bytes"):
        await fetched(tasks, MockNetwork([[HEAD + b"abcd"]]), limit=3)


async def test_an_answer_without_an_end_is_given_up_at_the_bound(tasks: Tasks) -> None:
    """Its connection is closed while it still sends."""
    network = MockNetwork([[CHUNKED, *[b"2\r\nxx\r\n"] * 100]])
    with pytest.raises(FetchError, match="larger than 4 bytes"):
        await fetched(tasks, network)
    assert network.transports[0].is_closing()


async def test_silence_ends_in_time(tasks: Tasks) -> None:
    """With the seconds that were waited, and no connection left."""
    with pytest.raises(FetchError, match=r"No answer within 0\.01 s\."):
        await fetched(tasks, MockNetwork([[HEAD + b"ab"]]), timeout=0.01)


@pytest.mark.parametrize(
    ("dialed", "words"),
    [
        (DialFailure(Fault.CONNECT, "http://mock is not a public address."), "not a public address"),
        ([[b"SSH-2.0-OpenSSH_9.0\r\n"]], "is not HTTP/1.1"),
        ([[HEAD + b"ab", Ending.CLOSE]], "connection"),
        ([[HEAD + b"ab", Ending.RESET]], "connection"),
    ],
    ids=["no connection", "no HTTP", "cut", "reset"],
)
async def test_a_failure_is_a_sentence(tasks: Tasks, dialed: Any, words: str) -> None:
    """Whatever happens to the connection."""
    with pytest.raises(FetchError) as caught:
        await fetched(tasks, MockNetwork(dialed))
    assert words in str(caught.value)
    assert str(caught.value).endswith(".")


async def test_a_caller_that_gives_up_leaves_nothing_behind(tasks: Tasks) -> None:
    """A fetch that is cancelled closes its connection."""
    network = MockNetwork([[HEAD]])
    pool = network.pool(asyncio.get_running_loop(), tasks)
    awaiting = tasks.start("fetch", fetch(pool, REQUEST, limit=4, timeout=30.0))
    await until(lambda: bool(network.requests))
    awaiting.cancel()
    await until(lambda: pool.open_connections == 0)
    assert awaiting.cancelled()
