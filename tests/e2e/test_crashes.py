"""SIGKILL under load: what a client was told is in the books, once; what it was not told is seen as expired."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.conftest import Launch
from tests.e2e.gateway import Gateway, configuration, until
from tests.e2e.raw import Raw, chat, post
from tests.fake_provider import FakeProvider, Script
from tokenway.aio.tasks import Tasks

pytestmark = pytest.mark.asyncio(loop_scope="module")

CLIENTS = 24


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def provider() -> AsyncIterator[FakeProvider]:
    """A provider that takes its time, so that a crash always meets open exchanges."""
    async with FakeProvider(Script(chunks=5, gap=0.01, delay=0.02)) as fake:
        yield fake
        assert fake.errors == []


class Load:
    """Clients that call without a pause and note which exchanges they have seen the end of."""

    def __init__(self, gateway: Gateway) -> None:
        self.acknowledged: list[str] = []
        self.broken = 0
        """Answers that ended before their end."""
        self._gateway = gateway
        self._failures: list[BaseException] = []
        self._tasks = Tasks(lambda _name, error: self._failures.append(error))

    def start(self) -> None:
        """Lets them begin."""
        for number in range(CLIENTS):
            self._tasks.spawn(f"client {number}", self._call_forever(stream=number % 2 == 0))

    async def stop(self) -> None:
        """Stops them; what they were in the middle of is abandoned."""
        await self._tasks.close()
        assert self._failures == []

    async def progress(self, count: int) -> None:
        """Waits until so many more exchanges have been seen to their end."""
        target = len(self.acknowledged) + count
        await until(lambda: len(self.acknowledged) >= target)

    async def _call_forever(self, *, stream: bool) -> None:
        while True:
            try:
                await self._connection(stream=stream)
            except (ConnectionError, asyncio.IncompleteReadError):
                self.broken += 1
                await asyncio.sleep(0.01)  # the port may be shut for a moment

    async def _connection(self, *, stream: bool) -> None:
        async with Raw(self._gateway.port) as raw:
            for _ in range(50):
                await raw.send(post(chat(stream=stream)))
                answer = await raw.answer()
                if answer.status == 200 and (not stream or answer.body.endswith(b"data: [DONE]\n\n")):
                    self.acknowledged.append(answer.headers["x-request-id"])


async def books_agree(gateway: Gateway, provider: FakeProvider, load: Load) -> None:
    """The ledger has each acknowledged exchange once, delivered, at the provider's price, and nothing is open."""
    await until(lambda: all(each.is_expired for each in gateway.reservations()))
    entries = gateway.ledger()
    by_id = {entry.id: entry for entry in entries}
    assert len(by_id) == len(entries)
    lost = [each for each in load.acknowledged if each not in by_id]
    assert lost == []
    bill = max(request.bill.prompt for request in provider.requests) * 1000 + 5 * 2000
    assert {by_id[each].settlement for each in load.acknowledged} == {"delivered"}
    assert {by_id[each].charged for each in load.acknowledged} == {bill}
    expired = {each.id for each in gateway.reservations()}
    assert expired.isdisjoint(load.acknowledged)
    assert {(by_id[each].settlement, by_id[each].charged) for each in expired} <= {("expired", 0)}
    assert len(expired) <= CLIENTS * 3


async def test_a_killed_worker_loses_nothing(launch: Launch, provider: FakeProvider) -> None:
    """Three times over: its successor serves on the same port, open exchanges expire, the others are in the books."""
    gateway = await launch(configuration(provider.base_url))
    load = Load(gateway)
    load.start()
    for _ in range(3):
        await load.progress(100)
        (worker,) = gateway.workers()
        worker.kill()
        await until(lambda dead=worker.pid: any(each.pid != dead for each in gateway.workers()))  # type: ignore[misc]
    await load.progress(100)
    await load.stop()
    await until(lambda: set(load.acknowledged) <= {entry.id for entry in gateway.ledger()})
    await books_agree(gateway, provider, load)
    assert gateway.reservations(), "nothing was open when the workers were killed: the test has shown nothing"


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_killed_gateway_loses_nothing(launch: Launch, provider: FakeProvider, workers: int) -> None:
    """The whole tree is killed and started again on the same port at once; the journals are taken in."""
    gateway = await launch(configuration(provider.base_url, server={"workers": workers}))
    port = gateway.port
    load = Load(gateway)
    load.start()
    for _ in range(3):
        await load.progress(100)
        await gateway.kill()
        await gateway.start(port)
        assert gateway.port == port
    await load.progress(100)
    await load.stop()
    await until(lambda: set(load.acknowledged) <= {entry.id for entry in gateway.ledger()})
    await books_agree(gateway, provider, load)
    assert gateway.reservations(), "nothing was open when the tree was killed: the test has shown nothing"


async def test_a_killed_worker_shows_its_clients_no_whole_answer(launch: Launch, provider: FakeProvider) -> None:
    """A stream that was cut by a crash has no end mark, so that no client takes half an answer for a whole one."""
    gateway = await launch(configuration(provider.base_url))
    provider.queue(Script(chunks=3, stall=2))
    async with Raw(gateway.port) as raw:
        await raw.send(post(chat(stream=True)))
        _, headers = await raw.head()
        (worker,) = gateway.workers()
        worker.kill()
        rest = b""
        with contextlib.suppress(ConnectionResetError):
            rest = await raw.reader.read()
        assert b"[DONE]" not in rest
        assert not rest.endswith(b"0\r\n\r\n")
    await until(lambda: any(each.id == headers["x-request-id"] and each.is_expired for each in gateway.reservations()))
