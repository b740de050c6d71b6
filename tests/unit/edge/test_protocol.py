"""A client connection: its deadlines, its turns and its end. What goes over the wire is tested end to end."""

from __future__ import annotations

import asyncio
from time import monotonic

import pytest

from tests.contract.upstreams import until
from tests.e2e.raw import AUTH, Raw, chat, get, post
from tests.fake_provider import FakeProvider, Script
from tests.unit.edge.bench import WHOLE, answer, bench, chunk, request, snapshot
from tests.unit.edge.inside import Inside, turns
from tokenway.edge import protocol
from tokenway.edge.protocol import EdgeProtocol
from tokenway.edge.relay import Relay
from tokenway.wire import limits

START = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n" + AUTH


async def begun(inside: Inside, raw: Raw, data: bytes) -> EdgeProtocol:
    """The connection when it has taken in the beginning of a request."""
    connection = await inside.connection()
    await raw.send(data)
    await turns(lambda: connection._in_head or connection._incoming is not None)
    return connection


async def test_a_slow_head_is_answered_with_408(inside: Inside) -> None:
    """Within its time it is waited for; after that the connection is told and ended."""
    async with inside.client() as raw:
        connection = await begun(inside, raw, START)
        connection.check(monotonic() + limits.HEAD_SECONDS - 1)
        assert not connection.transport.is_closing()
        connection.check(monotonic() + limits.HEAD_SECONDS + 1)
        answer = await raw.answer()
        assert (answer.status, answer.error["code"]) == (408, "request_timeout")
        assert answer.headers["x-should-retry"] == "true"
        assert await raw.is_closed()


async def test_a_trickled_head_does_not_buy_time(inside: Inside) -> None:
    """The head's time counts from its first byte, whatever comes after it."""
    async with inside.client() as raw:
        connection = await begun(inside, raw, b"POST /v1/chat")
        since = connection._idle_since
        await raw.send(b"/completions HTTP/1.1\r\n")
        await raw.send(b"x: ")
        await turns(lambda: connection._head_bytes > 0)
        assert connection._idle_since == since


async def test_a_slow_body_is_answered_with_408(inside: Inside, provider: FakeProvider) -> None:
    """A pause in a body is allowed for its time; nothing was sent upstream or written into the journal."""
    async with inside.client() as raw:
        connection = await begun(inside, raw, START + b"content-length: 100\r\n\r\n{")
        connection.check(monotonic() + limits.BODY_SECONDS - 1)
        assert not connection.transport.is_closing()
        connection.check(monotonic() + limits.BODY_SECONDS + 1)
        answer = await raw.answer()
        assert (answer.status, answer.error["code"]) == (408, "request_timeout")
        assert await raw.is_closed()
    assert provider.requests == []
    assert inside.journal.records == []


async def test_an_idle_connection_is_closed_in_time(inside: Inside) -> None:
    """After an answer, and without any request, when the idle time is over and not before."""
    async with inside.client() as raw:
        assert await raw.is_usable()
        connection = await inside.connection()
        connection.check(monotonic() + limits.IDLE_SECONDS - 1)
        assert await raw.is_usable()
        connection.check(monotonic() + limits.IDLE_SECONDS + 1)
        assert await raw.is_closed()


async def test_a_connection_with_an_open_answer_is_not_idle(inside: Inside, provider: FakeProvider) -> None:
    """However long the answer takes."""
    gate = asyncio.Semaphore(1)
    provider.queue(Script(chunks=2, gate=gate))
    async with inside.client() as raw:
        await raw.send(post(chat(stream=True)))
        await raw.head()
        (await inside.connection()).check(monotonic() + 10 * limits.IDLE_SECONDS)
        gate.release()
        assert b"".join([chunk async for chunk in raw.chunks()]).endswith(b"data: [DONE]\n\n")


async def test_what_waits_behind_an_answer_is_not_slow(inside: Inside, provider: FakeProvider) -> None:
    """A pipelined head that was read in half while an answer goes on is finished and answered after it."""
    gate = asyncio.Semaphore(1)
    provider.queue(Script(chunks=2, gate=gate))
    async with inside.client() as raw:
        third = get(b"/health/live")
        await raw.send(post(chat(stream=True)), post(chat()), third[:20])
        await raw.head()
        connection = await inside.connection()
        await turns(lambda: connection._in_head)
        connection.check(monotonic() + 10 * limits.HEAD_SECONDS)
        await raw.send(third[20:])
        gate.release()
        assert b"".join([chunk async for chunk in raw.chunks()])
        assert (await raw.answer()).json["choices"]
        assert (await raw.answer()).json == {"status": "ok"}


async def test_a_refused_client_that_goes_on_sending_is_cut_off(inside: Inside) -> None:
    """What it sends after the refusal is dropped for a while; then the connection is ended from this side."""
    async with inside.client() as raw:
        connection = await inside.connection()
        await raw.send(START, b"content-length: 99999999\r\n\r\n")
        assert (await raw.answer()).status == 413
        connection.check(monotonic() + protocol.LINGER_SECONDS - 1)
        assert not connection.transport.is_closing()
        connection.check(monotonic() + protocol.LINGER_SECONDS + 1)
        assert connection.transport.is_closing()


async def test_reading_stops_while_requests_wait(inside: Inside, provider: FakeProvider) -> None:
    """A second request pauses the socket until the first is answered."""
    provider.queue(Script(delay=0.05))
    async with inside.client() as raw:
        await raw.send(post(chat()) * 2)
        connection = await inside.connection()
        await turns(lambda: len(connection.pipeline) == 1)
        assert connection.flow.read_paused
        for _ in range(2):
            assert (await raw.answer()).status == 200
        assert not connection.flow.read_paused


async def test_a_bug_of_ours_is_a_500_and_the_end(
    inside: Inside, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An exception while a request is taken in is logged, told and leaves nothing open."""

    def broken(_relay: Relay) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(Relay, "check_head", broken)
    async with inside.client() as raw:
        await raw.send(post(chat()))
        answer = await raw.answer()
        assert (answer.status, answer.error["code"]) == (500, "internal_error")
        assert await raw.is_closed()
    assert "a bug" in caplog.text


async def test_a_drain_closes_idle_connections_and_lets_others_finish(inside: Inside, provider: FakeProvider) -> None:
    """The answer that is under way is the connection's last, whether relayed or not."""
    gate = asyncio.Semaphore(1)
    provider.queue(Script(chunks=2, gate=gate))
    async with inside.client() as idle, inside.client() as busy:
        assert await idle.is_usable()
        await busy.send(post(chat(stream=True)))
        await busy.head()
        for connection in inside.connections():
            connection.shutdown()
        assert await idle.is_closed()
        gate.release()
        assert b"".join([chunk async for chunk in busy.chunks()]).endswith(b"data: [DONE]\n\n")
        assert await busy.is_closed()


async def test_a_client_that_leaves_takes_its_waiting_requests_along(inside: Inside, provider: FakeProvider) -> None:
    """The exchange that was begun is settled, the ones behind it were never begun.

    While requests wait, nothing is read, so it is writing that shows that the client has left.
    """
    gate = asyncio.Semaphore(1)
    provider.queue(Script(chunks=100, gate=gate))
    async with inside.client() as raw:
        await raw.send(post(chat(stream=True)) * 3)
        await raw.head()
        raw.reset()
    for _ in range(100):
        gate.release()
    await turns(lambda: not inside.connections())
    await turns(lambda: len(inside.journal.settled) == 1)
    assert len(inside.journal.reserved) == 1
    assert len(provider.requests) == 1


async def test_a_slow_reader_pauses_its_upstream(inside: Inside, provider: FakeProvider) -> None:
    """The transport's marks reach the relay's call, both ways."""
    gate = asyncio.Semaphore(1)
    provider.queue(Script(chunks=2, gate=gate))
    async with inside.client() as raw:
        await raw.send(post(chat(stream=True)))
        await raw.head()
        connection = await inside.connection()
        connection.pause_writing()
        assert connection.is_write_paused
        gate.release()
        await turns(lambda: provider.requests[0].complete)
        assert inside.journal.settled == []
        connection.resume_writing()
        assert b"".join([chunk async for chunk in raw.chunks()]).endswith(b"data: [DONE]\n\n")
    assert len(inside.journal.settled) == 1


async def test_what_its_head_condemns_is_refused_before_its_body_comes() -> None:
    """The answer is out while the body is still on its way, the rest is dropped, and nothing is written or asked."""
    async with bench(what=snapshot(max_body=1000)) as made:
        client = made.connect()
        client.send(request(b"{", content_length="1001"))
        assert client.statuses == [413]
        assert client.is_half_closed
        assert b"connection: close\r\n" in client.written
        client.send(b"x" * 1000, request())
        assert client.statuses == [413]
        assert (made.network.requests, made.books.records) == ([], [])


async def test_a_chunked_body_is_bounded_while_it_comes() -> None:
    """It names no length: the byte beyond the bound ends it."""
    async with bench(what=snapshot(max_body=1000)) as made:
        client = made.connect()
        client.send(request(b"", transfer_encoding="chunked"), chunk(b" " * 1000))
        assert client.statuses == []
        client.send(chunk(b" "))
        assert client.statuses == [413]


async def test_pipelined_requests_are_answered_in_order_and_one_at_a_time() -> None:
    """A relay, a refusal, a page and a relay in one read: the second call is opened when the others are answered."""
    other = WHOLE.replace(b'"hi"', b'"ho"')
    page = b"GET /health/live HTTP/1.1\r\nhost: gateway\r\n\r\n"
    async with bench([[answer(WHOLE)[:50]], [answer(other)]]) as made:
        client = made.connect()
        client.send(request() + request(b'{"model":"nobody","messages":[]}') + page + request())
        await until(lambda: len(made.network.requests) == 1)
        assert client.is_paused
        assert client.statuses == []
        [upstream] = made.network.transports
        upstream.feed([answer(WHOLE)[50:]])
        upstream._answers.append([answer(other)])
        await until(lambda: len(client.statuses) == 4)
        await until(lambda: len(made.books.settled) == 2)
        assert client.statuses == [200, 404, 200, 200]
        assert client.written.index(b'"hi"') < client.written.index(b'"status":"ok"') < client.written.index(b'"ho"')
        assert not client.is_paused
