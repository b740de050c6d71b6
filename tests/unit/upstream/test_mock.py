"""The scripted connections behave as sockets do."""

from __future__ import annotations

import asyncio

from tests.contract.upstreams import REQUEST, Heard, until
from tokenway.aio.tasks import Tasks
from tokenway.model.faults import Fault
from tokenway.upstream.mock import Ending, MockNetwork
from tokenway.upstream.transport import DialFailure, Origin

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n"


async def test_pieces_arrive_one_by_one_and_requests_are_kept(tasks: Tasks) -> None:
    """Each piece of the script is one read, and what was written can be looked at."""
    network = MockNetwork([[HEAD, b"ab", b"cd"]])
    pool = network.pool(asyncio.get_running_loop(), tasks)
    heard = Heard()
    pool.open([REQUEST, b""], heard)
    await heard.over()
    assert heard.pieces == [b"ab", b"cd"]
    assert network.requests == [REQUEST]
    assert network.dials == [(Origin("http", "mock", 80), 5.0, None)]
    await pool.close()


async def test_a_paused_transport_delivers_nothing(tasks: Tasks) -> None:
    """Pieces wait while reading is paused, and come in order after it."""
    network = MockNetwork([[HEAD, b"ab"]])
    pool = network.pool(asyncio.get_running_loop(), tasks)
    heard = Heard()
    call = pool.open(REQUEST, heard)
    call.pause()
    await heard.until("opened")
    [transport] = network.transports
    transport.feed([b"cd"])
    for _ in range(10):
        await asyncio.sleep(0)
    assert heard.calls == ["opened"]
    call.resume()
    await heard.over()
    assert heard.body == b"abcd"
    await pool.close()


async def test_each_ending_is_what_a_socket_would_tell(tasks: Tasks) -> None:
    """A close and a reset end the answer under way; a refused dial never begins one."""
    network = MockNetwork([[HEAD, Ending.CLOSE]], [[HEAD, Ending.RESET]], DialFailure(Fault.CONNECT, "Refused."))
    pool = network.pool(asyncio.get_running_loop(), tasks)
    faults: list[Fault | None] = []
    for _ in range(3):
        heard = Heard()
        pool.open(REQUEST, heard)
        await heard.over()
        faults.append(heard.fault)
    assert faults == [Fault.RESET, Fault.RESET, Fault.CONNECT]
    assert all(transport.is_closing() for transport in network.transports)


async def test_beyond_the_script_there_is_silence(tasks: Tasks) -> None:
    """A request that the script does not answer waits until its owner gives up."""
    network = MockNetwork()
    pool = network.pool(asyncio.get_running_loop(), tasks)
    heard = Heard()
    call = pool.open(REQUEST, heard)
    await heard.until("opened")
    call.cancel()
    await until(lambda: pool.open_connections == 0)
    assert heard.calls == ["opened"]


async def test_a_byte_fed_to_an_idle_connection_closes_it(tasks: Tasks) -> None:
    """`feed` also plays the upstream that speaks unasked."""
    network = MockNetwork([[HEAD + b"abcd"]])
    pool = network.pool(asyncio.get_running_loop(), tasks)
    heard = Heard()
    pool.open(REQUEST, heard)
    await heard.over()
    assert pool.idle == 1
    network.transports[0].feed([b"x"])
    await until(lambda: pool.open_connections == 0)
    assert pool.idle == 0
