"""Each process of a gateway is killed while it works; the others go on, and nothing is lost that was acknowledged."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import psutil
import pytest

from tests.e2e.conftest import Launch
from tests.e2e.gateway import KEY, Gateway, configuration, until
from tests.e2e.raw import Answer, Raw, chat, get, post
from tests.fake_provider import FakeProvider, Script

pytestmark = pytest.mark.asyncio(loop_scope="module")

STREAMS = 60


async def fetch(gateway: Gateway, request: bytes) -> Answer:
    """One request on a connection of its own."""
    async with Raw(gateway.port) as raw:
        await raw.send(request)
        return await raw.answer()


async def answers(gateway: Gateway, path: bytes = b"/v1/key") -> bool:
    """Whether the control process answers a question."""
    return (await fetch(gateway, get(path))).status == 200


class Streams:
    """Many streams that have begun and wait for their provider."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self._gates: list[asyncio.Semaphore] = []
        self._open: list[Raw] = []

    async def begin(self, gateway: Gateway, provider: FakeProvider, count: int, stack: AsyncExitStack) -> None:
        """Opens so many, each of which has shown the beginning of its answer."""
        for _ in range(count):
            gate = asyncio.Semaphore(1)
            self._gates.append(gate)
            provider.queue(Script(chunks=4, gate=gate))
            raw = await stack.enter_async_context(Raw(gateway.port))
            self._open.append(raw)
            await raw.send(post(chat(stream=True)))
        for raw in self._open:
            status, headers = await raw.head()
            assert status == 200
            self.ids.append(headers["x-request-id"])

    async def end(self) -> int:
        """Lets the provider finish; how many of them end whole, rather than with their connection."""
        for gate in self._gates:
            for _ in range(8):
                gate.release()
        whole = 0
        for raw in self._open:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                body = b"".join([chunk async for chunk in raw.chunks()])
                whole += body.endswith(b"data: [DONE]\n\n")
        return whole


@contextlib.asynccontextmanager
async def streams(gateway: Gateway, provider: FakeProvider, count: int = STREAMS) -> AsyncIterator[Streams]:
    """So many streams that wait."""
    async with AsyncExitStack() as stack:
        made = Streams()
        await made.begin(gateway, provider, count, stack)
        yield made


@contextlib.contextmanager
def without_control(gateway: Gateway) -> Iterator[None]:
    """The control process is killed, and nobody starts it again before the end."""
    assert gateway.process is not None
    gateway.process.send_signal(signal.SIGSTOP)
    for process in gateway.control():
        process.kill()
    yield
    gateway.process.send_signal(signal.SIGCONT)


@contextlib.contextmanager
def database_locked(gateway: Gateway) -> Iterator[None]:
    """Nobody else can write to the database."""
    connection = sqlite3.connect(gateway.data_dir / "tokenway.db", isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    yield
    connection.execute("ROLLBACK")
    connection.close()


async def books_agree(gateway: Gateway, provider: FakeProvider, acknowledged: list[str]) -> None:
    """The ledger has each exchange once, delivered, and all of them cost what the provider billed; nothing is open."""
    entries = await gateway.entries(len(acknowledged))
    await until(lambda: not gateway.reservations())
    assert sorted(entry.id for entry in entries) == sorted(acknowledged)
    assert {entry.settlement for entry in entries} == {"delivered"}
    bills = [request.bill for request in provider.requests[-len(acknowledged) :]]
    assert sum(entry.charged for entry in entries) == sum(1000 * bill.prompt + 2000 * bill.completion for bill in bills)


async def test_workers_serve_on_without_a_control_process(launch: Launch, provider: FakeProvider) -> None:
    """Streams end whole, new calls are served, questions are refused at once; afterwards the books are complete."""
    gateway = await launch(configuration(provider.base_url))
    (worker,) = gateway.workers()
    async with streams(gateway, provider) as open_ones:
        with without_control(gateway):
            async with asyncio.timeout(5):
                refused = await fetch(gateway, get(b"/v1/key"))
            assert refused.status == 503
            assert "control process" in refused.error["message"]
            ids = [(await fetch(gateway, post(chat()))).headers["x-request-id"] for _ in range(5)]
            assert (await fetch(gateway, get(b"/v1/models"))).status == 200
            assert await open_ones.end() == STREAMS
        await until(lambda: answers(gateway))
        await books_agree(gateway, provider, [*open_ones.ids, *ids])
    assert [each.pid for each in gateway.workers()] == [worker.pid]
    assert "the control process ended with status -9" in gateway.complaints


async def test_a_control_process_is_killed_again_and_again(launch: Launch, provider: FakeProvider) -> None:
    """In the middle of calls of two workers, before it has taken in what came before, and once with a worker."""
    gateway = await launch(configuration(provider.base_url, server={"workers": 2}))
    ids: list[str] = []
    expired = 0
    for number in range(5):
        async with streams(gateway, provider, 10) as open_ones:
            for process in gateway.control():
                process.kill()
            if number == 4:
                for worker in gateway.workers():
                    worker.kill()
                expired += 10
                continue
            ids += [(await fetch(gateway, post(chat()))).headers["x-request-id"] for _ in range(3)]
            assert await open_ones.end() == 10
            ids += open_ones.ids
        await until(lambda: len(gateway.control()) == 1)
    await until(lambda: answers(gateway))
    await until(lambda: len([each for each in gateway.reservations() if each.is_expired]) == expired)
    entries = await gateway.entries(len(ids) + expired)
    assert sorted(entry.id for entry in entries if entry.settlement == "delivered") == sorted(ids)
    assert len(gateway.reservations()) == expired


async def test_a_killed_worker_leaves_the_other_alone(launch: Launch, provider: FakeProvider) -> None:
    """Streams of the one end whole; the other's expire, and its successor serves."""
    gateway = await launch(configuration(provider.base_url, server={"workers": 2}))
    victim, other = gateway.workers()
    async with streams(gateway, provider, 20) as open_ones:
        victim.kill()
        await until(lambda: len(gateway.workers()) == 2 and victim.pid not in [each.pid for each in gateway.workers()])
        whole = await open_ones.end()
    await gateway.entries(20)
    settlements = [entry.settlement for entry in gateway.ledger()]
    assert settlements.count("delivered") == whole
    assert settlements.count("expired") == 20 - whole
    assert other.is_running()
    assert (await fetch(gateway, post(chat()))).status == 200


async def test_nothing_outlives_a_killed_supervisor(launch: Launch, provider: FakeProvider) -> None:
    """Open streams end whole, then all are gone; port and data directory are free at once for the next one."""
    gateway = await launch(configuration(provider.base_url))
    assert gateway.process is not None
    tree = psutil.Process(gateway.process.pid).children(recursive=True)
    assert len(tree) == 2
    async with streams(gateway, provider) as open_ones:
        gateway.process.kill()
        await gateway.ended()
        (control,) = [each for each in tree if "tokenway.compose.control" in each.cmdline()]
        await until(lambda: not control.is_running())
        with socket.socket() as port:
            port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            await until(lambda: port.connect_ex(("127.0.0.1", gateway.port)) != 0)
        await gateway.start(gateway.port)
        assert (await fetch(gateway, post(chat()))).status == 200
        assert await open_ones.end() == STREAMS
    await until(lambda: not any(each.is_running() for each in tree))
    await gateway.entries(STREAMS + 1)
    assert {entry.settlement for entry in gateway.ledger()} == {"delivered"}
    assert await gateway.stop() == 0
    assert not (gateway.data_dir / "control.sock").exists()


async def test_a_worker_waits_for_its_first_snapshot(launch: Launch, provider: FakeProvider) -> None:
    """One that is started while there is no control process with a database serves as soon as there is one."""
    gateway = await launch(configuration(provider.base_url))
    (worker,) = gateway.workers()
    with database_locked(gateway):
        for process in (*gateway.control(), worker):
            process.kill()
        await until(lambda: worker.pid not in [each.pid for each in gateway.workers()] != [])
        async with Raw(gateway.port) as raw:
            await raw.send(post(chat()))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1.0):
                    await raw.reader.readexactly(1)
    assert await answers(gateway)
    assert (await fetch(gateway, post(chat()))).status == 200


async def test_calls_are_served_while_the_database_is_away(launch: Launch, provider: FakeProvider) -> None:
    """Though the control process, too, is killed meanwhile; what happened is in the ledger afterwards."""
    gateway = await launch(configuration(provider.base_url))
    with database_locked(gateway):
        ids = [(await fetch(gateway, post(chat()))).headers["x-request-id"] for _ in range(3)]
        for process in gateway.control():
            process.kill()
        await until(lambda: len(gateway.control()) == 1)
        ids += [(await fetch(gateway, post(chat(stream=True)))).headers["x-request-id"] for _ in range(3)]
        assert gateway.ledger() == []
    await until(lambda: answers(gateway))
    await books_agree(gateway, provider, ids)


async def test_a_response_is_kept_though_control_was_away(launch: Launch, provider: FakeProvider) -> None:
    """It reaches the next control process, whose predecessor died before, or just after, it was given it."""
    gateway = await launch(configuration(provider.base_url))
    create = post(b'{"model":"mock","input":"hi"}', path=b"/v1/responses")
    identities = []
    with without_control(gateway):
        identities += [(await fetch(gateway, create)).json["id"] for _ in range(3)]
    for _ in range(3):
        identities.append((await fetch(gateway, create)).json["id"])
        for process in gateway.control():
            process.kill()
        await until(lambda: answers(gateway))
    for identity in identities:
        found = await fetch(gateway, get(f"/v1/responses/{identity}".encode()))
        assert (found.status, found.json["status"]) == (200, "completed")


async def test_a_configuration_that_was_broken_meanwhile(launch: Launch, provider: FakeProvider) -> None:
    """A control process that is started again says so, works by the one of the start, and takes in the next."""
    config = configuration(provider.base_url)
    gateway = await launch(config)
    gateway.write("models: [")
    await until(lambda: "correct the errors" in gateway.complaints)
    for process in gateway.control():
        process.kill()
    await until(lambda: "the one that the gateway was started with is in force" in gateway.complaints)
    await until(lambda: answers(gateway))
    assert (await fetch(gateway, post(chat()))).status == 200
    gateway.write(config | {"aliases": {"other": "mock"}})

    async def knows_the_alias() -> bool:
        return (await fetch(gateway, post(chat("other")))).status == 200

    await until(knows_the_alias)


async def test_a_changed_configuration_outlives_the_control_process(launch: Launch, provider: FakeProvider) -> None:
    """The next one begins with it, and not for a moment with that of the start."""
    config = configuration(provider.base_url)
    gateway = await launch(config)
    gateway.write(config | {"auth": {"keys": [{"name": "new", "key": KEY + "-new"}]}})
    new = get(b"/v1/key").replace(KEY.encode(), f"{KEY}-new".encode())

    async def is_changed() -> bool:
        return (await fetch(gateway, new)).status == 200

    await until(is_changed)
    for process in gateway.control():
        process.kill()
    statuses = set()

    async def is_back() -> bool:
        statuses.add((await fetch(gateway, get(b"/v1/models"))).status)
        return await is_changed()

    await until(is_back)
    assert statuses == {401}


async def test_ctrl_c_drains_as_sigterm_does(launch: Launch, provider: FakeProvider) -> None:
    """The children have no part in it."""
    gateway = await launch(configuration(provider.base_url))
    assert gateway.process is not None
    async with streams(gateway, provider, 5) as open_ones:
        os.kill(gateway.process.pid, signal.SIGINT)
        await asyncio.sleep(0.2)
        assert await open_ones.end() == 5
    assert await gateway.ended() == 0
    assert {entry.settlement for entry in gateway.ledger()} == {"delivered"}


async def test_a_control_process_that_dies_while_workers_drain(launch: Launch, provider: FakeProvider) -> None:
    """It is started once more, and what the workers finished is in the ledger at the end."""
    gateway = await launch(configuration(provider.base_url))
    assert gateway.process is not None
    async with streams(gateway, provider, 5) as open_ones:
        gateway.process.send_signal(signal.SIGTERM)
        (control,) = gateway.control()
        control.kill()
        await until(lambda: [each.pid for each in gateway.control()] not in ([], [control.pid]))
        assert await open_ones.end() == 5
        assert await gateway.ended() == 0
    assert [entry.settlement for entry in gateway.ledger()] == ["delivered"] * 5
    assert gateway.reservations() == []


async def test_no_secret_is_on_a_command_line(launch: Launch, provider: FakeProvider) -> None:
    """Nor anything else of the configuration: everybody on a machine can read those."""
    gateway = await launch(configuration(provider.base_url))
    assert gateway.process is not None
    children = psutil.Process(gateway.process.pid).children(recursive=True)
    lines = [each.cmdline()[1:] for each in children]
    modules = [["-m", "tokenway.compose.birth", f"tokenway.compose.{name}"] for name in ("control", "worker")]
    assert sorted(line[:3] for line in lines) == modules
    assert all(line[3].isdecimal() and len(line) == 4 for line in lines)


async def test_a_deep_data_directory_is_no_hindrance(
    provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A socket's address is short; a path need not be."""
    home = tmp_path_factory.mktemp("d" * 100) / ("e" * 100)
    home.mkdir()
    gateway = await Gateway(home, configuration(provider.base_url)).start()
    assert await answers(gateway)
    assert (await fetch(gateway, post(chat()))).status == 200
    assert await gateway.stop() == 0
