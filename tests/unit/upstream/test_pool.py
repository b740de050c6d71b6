"""The pool over real sockets: order, limits, ageing, cancellation, and that nothing is left open."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import ssl
from collections.abc import AsyncIterator

import psutil
import pytest

from tests.contract.upstreams import REQUEST, Heard, until
from tests.fake_provider import FakeProvider, Script
from tokenway.aio.tasks import Tasks
from tokenway.model.errors import ConfigError
from tokenway.model.faults import Fault
from tokenway.upstream.mock import MockNetwork
from tokenway.upstream.pool import Pool, Pools
from tokenway.upstream.transport import DialFailure, parse_base_url
from tokenway.wire import limits

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


@pytest.fixture
async def provider() -> AsyncIterator[FakeProvider]:
    """A provider on loopback whose own code may not fail."""
    async with FakeProvider(Script(body=b"{}")) as running:
        yield running
    assert running.errors == []


@pytest.fixture
async def pool(provider: FakeProvider, tasks: Tasks) -> AsyncIterator[Pool]:
    """A pool of connections to it."""
    made = Pool(parse_base_url(provider.base_url)[0], asyncio.get_running_loop(), tasks)
    yield made
    await made.close()
    assert made.open_connections == 0


async def fetch(pool: Pool, request: bytes | list[bytes | memoryview] = REQUEST) -> Heard:
    """One call, to its end."""
    heard = Heard()
    heard.call = pool.open(request, heard)
    await heard.over()
    return heard


async def occupy(pool: Pool, count: int) -> list[Heard]:
    """So many calls at once, each on a connection of its own, to their end."""
    all_heard = [Heard() for _ in range(count)]
    for heard in all_heard:
        pool.open(REQUEST, heard)
    for heard in all_heard:
        await heard.over()
    return all_heard


async def test_an_idle_connection_is_written_to_before_open_returns(pool: Pool, tasks: Tasks) -> None:
    """With an idle connection a call costs no task: the reader hears `opened` at once."""
    await fetch(pool)
    heard = Heard()
    call = pool.open(REQUEST, heard)
    assert heard.calls == ["opened"]
    assert call.reused
    assert len(tasks) == 0
    await heard.over()


async def test_calls_in_sequence_share_one_connection(pool: Pool, provider: FakeProvider) -> None:
    """A hundred calls one after the other need one connection."""
    for _ in range(100):
        await fetch(pool)
    assert len(provider.links) == 1
    assert provider.links[0].served == 100


async def test_the_last_released_connection_is_taken_first(pool: Pool, provider: FakeProvider) -> None:
    """Idle connections are a stack, so that the ones that are not needed age out."""
    await occupy(pool, 3)
    assert pool.idle == 3
    await fetch(pool)
    newest = provider.requests[-1].link
    for _ in range(5):
        await fetch(pool)
    assert {request.link for request in provider.requests[-5:]} == {newest}


async def test_no_more_than_the_limit_stay_idle(provider: FakeProvider, tasks: Tasks) -> None:
    """What is released beyond `max_idle` is closed."""
    origin, _ = parse_base_url(provider.base_url)
    pool = Pool(origin, asyncio.get_running_loop(), tasks, max_idle=2)
    await occupy(pool, 5)
    assert pool.idle == 2
    await until(lambda: pool.open_connections == 2)
    await pool.close()


async def test_the_sweep_closes_what_was_idle_for_too_long(pool: Pool, provider: FakeProvider) -> None:
    """Connections idle for `idle_seconds` are closed, younger ones stay."""
    await occupy(pool, 3)
    now = asyncio.get_running_loop().time()
    pool.sweep(now + 59)
    assert pool.idle == 3
    pool.sweep(now + 61)
    assert pool.idle == 0
    await until(lambda: provider.open_links == 0)


async def test_a_stray_byte_closes_an_idle_connection(pool: Pool, provider: FakeProvider) -> None:
    """One byte on an idle connection, and the next call gets a new one."""
    await fetch(pool)
    assert await provider.send_stray(b"\n") == 1
    await until(lambda: pool.open_connections == 0)
    assert pool.idle == 0
    assert (await fetch(pool)).body == b"{}"
    assert len(provider.links) == 2


async def test_an_answer_before_the_question_reaches_nobody(pool: Pool, provider: FakeProvider) -> None:
    """A whole answer that lies in the kernel when the call is opened is not taken for the call's own."""
    await fetch(pool)
    [link] = provider.links
    assert link.transport is not None
    link.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison")
    heard = await fetch(pool)  # in the same turn of the loop: nobody has read the stray answer yet
    assert heard.body == b"{}"
    assert len(provider.links) == 2
    assert pool.idle == 0  # it has been read by now, and nothing is used twice


@pytest.mark.parametrize("surplus", [False, True], ids=["later", "behind an answer"])
async def test_after_a_response_nobody_asked_for_no_connection_is_used_twice(
    pool: Pool, provider: FakeProvider, surplus: bool
) -> None:
    """The next one would come when the connection has its next request, and pass for the answer; it ends in time."""
    await occupy(pool, 3)
    if surplus:
        provider.queue(Script(body=b"{}", surplus=OK))
        assert (await fetch(pool)).body == b"{}"
    else:
        transport = provider.links[0].transport
        assert transport is not None
        transport.write(OK)
    await until(lambda: pool.open_connections == 0)
    before = len(provider.links)
    for _ in range(3):
        assert (await fetch(pool)).body == b"{}"
    assert (pool.idle, len(provider.links)) == (0, before + 3)
    pool._trusted_from = 0.0
    for _ in range(3):
        await fetch(pool)
    assert (pool.idle, len(provider.links)) == (1, before + 4)


@pytest.mark.parametrize("stray", [b"x", b"\r\n", b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n"])
async def test_a_byte_or_a_farewell_is_no_reason_for_distrust(pool: Pool, provider: FakeProvider, stray: bytes) -> None:
    """Servers say why they close a connection that was idle for long."""
    await fetch(pool)
    await provider.send_stray(stray)
    await until(lambda: pool.open_connections == 0)
    await fetch(pool)
    assert pool.idle == 1


async def test_an_end_that_nobody_has_read_yet_is_seen_before_the_request_is_written(
    pool: Pool, provider: FakeProvider
) -> None:
    """A close that lies in the kernel costs no second try: the request goes to a new connection at once."""
    await fetch(pool)
    [link] = provider.links
    assert link.transport is not None
    with socket.socket(fileno=os.dup(link.transport.get_extra_info("socket").fileno())) as end:
        end.shutdown(socket.SHUT_WR)
    heard = Heard()
    call = pool.open(REQUEST, heard)
    assert not call.reused
    await heard.over()
    assert heard.body == b"{}"


async def test_connections_closed_by_the_provider_leave_the_pool(pool: Pool, provider: FakeProvider) -> None:
    """The provider's keep-alive time passes: the pool forgets its connections, in whatever order they close."""
    await occupy(pool, 4)
    assert await provider.close_idle() == 4
    await until(lambda: pool.idle == 0 and pool.open_connections == 0)
    assert (await fetch(pool)).body == b"{}"


@pytest.mark.parametrize("kind", ["bytes", "parts", "large parts"])
async def test_a_request_arrives_as_it_was_given(pool: Pool, provider: FakeProvider, kind: str) -> None:
    """Bytes, a list of parts and a list too large to be joined reach the provider in order and whole."""
    body = b'{"x": "' + b"y" * (8 * limits.MIB if kind == "large parts" else 10) + b'"}'
    head = b"POST /v1/x HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % len(body)
    for _ in range(2):
        heard = await fetch(pool, head + body if kind == "bytes" else [head, body])
        assert heard.body == b"{}"
    assert [request.body == body for request in provider.requests] == [True, True]
    assert len(provider.links) == 1


async def test_an_answer_that_comes_before_the_request_is_sent_ends_the_connection(tasks: Tasks) -> None:
    """An early refusal is heard, and a connection with half a request in it is not used again."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\n\r\nno")
        await gone.wait()
        writer.close()
        await writer.wait_closed()

    gone = asyncio.Event()
    server = await asyncio.start_server(refuse, "127.0.0.1", 0, limit=1024)
    pool = Pool(
        parse_base_url(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")[0], asyncio.get_running_loop(), tasks
    )
    size = 32 * limits.MIB
    heard = await fetch(pool, [b"POST / HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % size, b"x" * size])
    assert (heard.status, heard.body, heard.calls[-1]) == (413, b"no", "end")
    assert pool.idle == 0
    gone.set()
    await pool.close()
    server.close()
    await server.wait_closed()


async def test_a_paused_call_stops_the_provider(pool: Pool, provider: FakeProvider) -> None:
    """While a call is paused, a long answer stays with the provider; resumed, it arrives whole."""
    size = 16 * limits.MIB
    provider.queue(Script(body=b"x" * size))
    heard = Heard()
    call = pool.open(REQUEST, heard)
    call.pause()
    request = await provider.received(1)
    transport = request.link.transport
    assert transport is not None
    await until(lambda: transport.get_write_buffer_size() > 0)
    left = transport.get_write_buffer_size()
    for _ in range(100):
        await asyncio.sleep(0)
    assert transport.get_write_buffer_size() == left
    assert heard.pieces == []
    call.resume()
    await heard.over()
    assert len(heard.body) == size
    assert pool.idle == 1


async def test_a_connection_whose_call_ended_paused_reads_again(pool: Pool, provider: FakeProvider) -> None:
    """A call that is paused in its last read leaves a connection that works for the next call."""

    class Pausing(Heard):
        def upstream_body(self, data: bytes) -> None:
            super().upstream_body(data)
            assert self.call is not None
            self.call.pause()

    heard = Pausing()
    heard.call = pool.open(REQUEST, heard)
    await heard.over()
    assert (await fetch(pool)).body == b"{}"
    assert len(provider.links) == 1


@pytest.mark.parametrize(
    ("script", "until_heard"),
    [
        (Script(body=b"{}"), ""),
        (Script(delay=60), "opened"),
        (Script(stall=0, prompt=1), "head"),
        (Script(stall=2, prompt=1), "body"),
    ],
    ids=["dialing", "waiting", "head", "body"],
)
async def test_cancel_closes_the_connection_in_every_state(
    pool: Pool, provider: FakeProvider, script: Script, until_heard: str
) -> None:
    """Wherever a call stands, cancel ends it: silence for the reader, and the provider sees the client leave."""
    body = b'{"stream": true, "messages": []}'
    request = b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    provider.queue(script)
    heard = Heard()
    call = pool.open(request, heard)
    if until_heard:
        await heard.until(until_heard)
        await provider.received(1)
    calls = list(heard.calls)
    call.cancel()
    call.cancel()
    await until(lambda: pool.open_connections == 0 and provider.open_links == 0)
    assert heard.calls == calls
    assert pool.idle == 0


async def test_a_thousand_cancelled_calls_leave_no_socket(pool: Pool, provider: FakeProvider) -> None:
    """Calls cancelled while they dial, wait or read leave no file open and no task behind."""
    process = psutil.Process()
    await fetch(pool)
    gc.collect()
    before = process.num_fds()
    provider.default = Script(delay=60)
    for number in range(1_000):
        heard = Heard()
        call = pool.open(REQUEST, heard)
        for _ in range(number % 7):
            await asyncio.sleep(0)
        if number % 50 == 0:
            await heard.until("opened")
        call.cancel()
    await until(lambda: pool.open_connections == 0 and provider.open_links == 0)
    gc.collect()
    # The first call's own connection was used by the first of the thousand: one pair of sockets less.
    assert process.num_fds() <= before


async def test_a_failed_dial_is_the_readers_to_know(tasks: Tasks) -> None:
    """What the dial says arrives at the reader, after `open` has returned."""
    network = MockNetwork(DialFailure(Fault.TLS, "No."))
    pool = network.pool(asyncio.get_running_loop(), tasks)
    heard = Heard()
    pool.open(REQUEST, heard)
    assert heard.calls == []
    await heard.over()
    assert (heard.calls, heard.fault, heard.detail) == (["failed"], Fault.TLS, "No.")


async def test_a_bug_in_a_dial_is_reported_and_ends_the_call() -> None:
    """An exception that nobody foresaw reaches the owner of the tasks, and the reader is not left waiting."""

    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    errors: list[BaseException] = []
    tasks = Tasks(lambda _name, error: errors.append(error))
    origin, _ = parse_base_url("http://h")
    pool = Pool(origin, asyncio.get_running_loop(), tasks, dialer=broken)
    heard = await fetch(pool)
    assert heard.fault is Fault.CONNECT
    await until(lambda: errors != [])
    assert [str(error) for error in errors] == ["a bug"]


async def test_close_ends_dials_that_have_not_begun(tasks: Tasks) -> None:
    """A pool that closes in the turn of the loop in which a call was opened tells the reader, once."""
    pool = MockNetwork().pool(asyncio.get_running_loop(), tasks)
    heard = Heard()
    pool.open(REQUEST, heard)
    await pool.close()
    assert heard.calls == ["failed"]
    assert heard.fault is Fault.CONNECT


async def test_one_pool_serves_all_base_urls_of_an_origin(provider: FakeProvider, tasks: Tasks) -> None:
    """`Pools.get` gives one pool for each origin, and each URL's own prefix."""
    pools = Pools(asyncio.get_running_loop(), tasks)
    root = provider.base_url.removesuffix("/v1")
    pool, prefix = pools.get(provider.base_url)
    assert prefix == "/v1"
    assert pools.get(f"{root}/v2/") == (pool, "/v2")
    assert pools.get(root) == (pool, "")
    assert pools.get("http://127.0.0.1:1")[0] is not pool
    await fetch(pool)
    pools.sweep(asyncio.get_running_loop().time() + 61)
    assert pool.idle == 0
    await pools.close()
    assert pool.open_connections == 0


async def test_a_new_connect_timeout_reaches_every_pool(tasks: Tasks) -> None:
    """A reload may change the time-out: pools made before and after it dial with the new one."""
    pools = Pools(asyncio.get_running_loop(), tasks, connect_timeout=5.0)
    before, _ = pools.get("http://127.0.0.1:1")
    pools.connect_timeout = 0.5
    after, _ = pools.get("http://127.0.0.1:2")
    assert (before.connect_timeout, after.connect_timeout, pools.connect_timeout) == (0.5, 0.5, 0.5)


async def test_pools_refuse_what_is_no_base_url(tasks: Tasks) -> None:
    """A URL without an origin is a ConfigError, again and again."""
    pools = Pools(asyncio.get_running_loop(), tasks)
    for _ in range(2):
        with pytest.raises(ConfigError):
            pools.get("localhost:9000")


async def test_trust_is_loaded_once_and_only_for_tls(provider: FakeProvider, tasks: Tasks) -> None:
    """Reading the trust store takes tens of milliseconds: plain origins never do it, all others share one."""
    made: list[ssl.SSLContext] = []

    def context() -> ssl.SSLContext:
        made.append(ssl.create_default_context())
        return made[-1]

    pools = Pools(asyncio.get_running_loop(), tasks, ssl_context_factory=context, connect_timeout=0.05)
    await fetch(pools.get(provider.base_url)[0])
    assert made == []
    secure = provider.base_url.replace("http:", "https:")
    await fetch(pools.get(secure)[0])
    await fetch(pools.get(secure.replace("127.0.0.1", "localhost"))[0])
    assert len(made) == 1
    await pools.close()
