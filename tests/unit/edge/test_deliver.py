"""What a caller is written while its answer is on its way, and at its end."""

from __future__ import annotations

import asyncio

import pytest

from tests.contract.upstreams import until
from tests.e2e.raw import chat, post
from tests.fake_provider import FakeProvider, Script
from tests.unit.edge.bench import (
    HEAD,
    STREAMED,
    TAIL,
    bench,
    chunk,
    event,
    request,
)
from tests.unit.edge.inside import Inside
from tokenway.edge.relay import Relay
from tokenway.wire.limits import PING_SECONDS


@pytest.mark.parametrize(
    ("path", "body", "ping"),
    [
        (
            b"/v1/messages",
            b'{"model":"mock","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"hi"}]}',
            1,
        ),
        (b"/v1/responses", b'{"model":"mock","stream":true,"input":"hi"}', 1),
        (b"/v1/chat/completions", chat(stream=True), 0),
    ],
    ids=["converted", "converted-too", "passing"],
)
async def test_a_converted_stream_that_is_silent_says_that_it_goes_on(
    provider: FakeProvider, path: bytes, body: bytes, ping: int
) -> None:
    """Once in a while and no oftener; a stream that passes has its provider's bytes and no others."""
    gate = asyncio.Semaphore(1)
    provider.queue(Script(chunks=2, gate=gate))
    async with Inside(provider) as inside, inside.client() as raw:
        await raw.send(post(body, path=path))
        await raw.head()
        connection = await inside.connection()
        (exchange,) = inside.state.open
        assert isinstance(exchange, Relay)
        winner = exchange.winner
        assert winner is not None
        for later in (PING_SECONDS - 1, PING_SECONDS + 1, PING_SECONDS + 2):
            connection.check(winner.last_activity + later)
        gate.release()
        stream = b"".join([chunk async for chunk in raw.chunks()])
    assert stream.count(b'{"type":"ping"}') + sum(line.startswith(b":") for line in stream.splitlines()) == ping
    assert len(inside.journal.settled) == 1


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
async def test_a_stream_ends_as_its_client_can_see_it(version: bytes) -> None:
    """By the last chunk; or, where it knows no chunks, with the connection. The head goes out once, ahead of it all."""
    async with bench([[HEAD + chunk(event("one")), chunk(event("two")), TAIL]]) as made:
        client = made.connect()
        client.send(request(STREAMED).replace(b" HTTP/1.1\r\n", b" HTTP/%b\r\n" % version))
        await until(lambda: bool(made.books.settled))
        await until(lambda: made.state.open == set())
        head, _, body = client.written.partition(b"\r\n\r\n")
        is_chunked = version == b"1.1"
        assert (b"transfer-encoding: chunked" in head) == is_chunked
        assert body.count(b"HTTP/1.1") == 0
        assert body.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n" if is_chunked else b"data: [DONE]\n\n")
        assert client.is_closed is not is_chunked
