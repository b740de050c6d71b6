"""Many at once and many in a row: nothing leaks, nothing is stuck, nothing is missing from the books."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator, Iterator
from itertools import count

import psutil
import pytest
import pytest_asyncio

from tests.e2e.gateway import Entry, Gateway, configuration, serving, until
from tests.e2e.raw import Raw, chat, post
from tests.fake_provider import FakeProvider, Script, UsageMode

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow, pytest.mark.timeout(600)]

MIB = 1024 * 1024
STREAMS = 2000
DESCRIPTORS = 3 * STREAMS
"""In this process: a client's and a provider's end of each stream, and room."""


@pytest.fixture(scope="module", autouse=True)
def open_files() -> Iterator[None]:
    """As many open files as the system grants; the gateway inherits the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < DESCRIPTORS:
        pytest.skip(f"{DESCRIPTORS} open files are needed, the system allows {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, DESCRIPTORS), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def gateway(
    provider: FakeProvider, open_files: None, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Gateway]:
    """A gateway that was started with the raised limit."""
    async with serving(tmp_path_factory.mktemp("gateway"), configuration(provider.base_url)) as running:
        yield running


def worker_of(gateway: Gateway) -> psutil.Process:
    """The one worker."""
    (worker,) = gateway.workers()
    return worker


async def settled(gateway: Gateway, known: set[str], number: int) -> list[Entry]:
    """The exchanges that are new in the ledger, when there are `number` of them and none is open."""

    def fresh() -> list[Entry]:
        return [entry for entry in gateway.ledger() if entry.id not in known]

    await until(lambda: len(fresh()) >= number and not gateway.reservations(), seconds=300)
    return fresh()


def ids(gateway: Gateway) -> set[str]:
    """What the ledger has."""
    return {entry.id for entry in gateway.ledger()}


async def test_two_thousand_slow_streams_at_once(gateway: Gateway, provider: FakeProvider) -> None:
    """All are open at the same time, all end whole, each is in the books once, and the bill is the provider's.

    An open stream costs the worker little memory, and twice the streams do not cost twice.
    """
    known, before, worker = ids(gateway), len(provider.requests), worker_of(gateway)
    gates = {number: asyncio.Semaphore(1) for number in range(STREAMS)}
    rss = worker.memory_info().rss
    texts: dict[int, str] = {}
    entered = asyncio.Semaphore(100)

    async def stream(number: int) -> None:
        async with Raw(gateway.port) as raw:
            async with entered:  # a listener's queue is not endless
                provider.queue(Script(chunks=3, gate=gates[number]))
                await raw.send(post(chat(stream=True)))
                assert (await raw.head())[0] == 200
            texts[number] = b"".join([chunk async for chunk in raw.chunks()]).decode()

    async def release() -> None:
        await until(lambda: sum(request.sent == 1 for request in provider.requests[before:]) == STREAMS, seconds=300)
        assert len(worker.net_connections()) >= 2 * STREAMS
        assert worker.memory_info().rss - rss < STREAMS * 40 * 1024
        for gate in gates.values():
            gate.release()
            gate.release()

    await asyncio.gather(release(), *(stream(number) for number in range(STREAMS)))
    assert sum(text.endswith("data: [DONE]\n\n") and "w2 " in text for text in texts.values()) == STREAMS
    entries = await settled(gateway, known, STREAMS)
    bill = [request.bill for request in provider.requests[before:]]
    assert len(entries) == STREAMS
    assert {entry.settlement for entry in entries} == {"delivered"}
    assert sum(entry.charged for entry in entries) == sum(each.prompt * 1000 + each.completion * 2000 for each in bill)


async def test_ten_thousand_requests_on_one_connection(gateway: Gateway, provider: FakeProvider) -> None:
    """One after the other, streams and not: memory reaches a plateau, connections are reused, all are in the books."""
    known, before, links, worker = ids(gateway), len(provider.requests), len(provider.links), worker_of(gateway)
    rss: list[int] = []
    async with Raw(gateway.port) as raw:
        for number in range(10_000):
            stream = number % 4 == 0
            await raw.send(post(chat(stream=stream)))
            answer = await raw.answer()
            assert answer.status == 200
            assert not stream or answer.body.endswith(b"data: [DONE]\n\n")
            if number % 1000 == 999:
                rss.append(worker.memory_info().rss)
    assert rss[-1] - rss[2] < 4 * MIB, rss
    assert len(provider.links) - links < 100
    entries = await settled(gateway, known, 10_000)
    assert len(entries) == 10_000
    bill = sum(each.bill.prompt * 1000 + each.bill.completion * 2000 for each in provider.requests[before:])
    assert sum(entry.charged for entry in entries) == bill


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("abruptly", [False, True], ids=["FIN", "RST"])
async def test_clients_that_leave_at_every_hundredth_byte(
    gateway: Gateway, provider: FakeProvider, stream: bool, abruptly: bool
) -> None:
    """Wherever in the answer a client leaves: the provider is left too, and the books have the exchange once."""
    known, before, worker = ids(gateway), len(provider.requests), worker_of(gateway)
    script = Script(chunks=40, drip=100, usage=UsageMode.ALWAYS)
    calls = 0
    for offset in count(1, 100):
        provider.queue(script)
        calls += 1
        async with Raw(gateway.port) as raw:
            await raw.send(post(chat(stream=stream), b"connection: close"))
            try:
                await raw.reader.readexactly(offset)
            except asyncio.IncompleteReadError:
                break
            if abruptly:
                raw.reset()
    assert calls > 10
    await until(lambda: all(request.over.is_set() for request in provider.requests[before:]))
    entries = await settled(gateway, known, calls)
    assert len(entries) == len(provider.requests) - before == calls
    assert {(entry.status, entry.settlement) for entry in entries} <= {
        (200, "delivered"),
        (499, "upstream_billed"),
    }
    await until(lambda: all(link.idle for link in provider.links if not link.gone.is_set()))
    assert len(worker.net_connections()) < 300
    assert worker.is_running()


async def test_the_worker_forgets_those_who_have_left(gateway: Gateway, provider: FakeProvider) -> None:
    """After thousands of connections that came and went, in good and in bad ways, memory and descriptors are back."""
    worker = worker_of(gateway)

    async def wave() -> None:
        async def visit(number: int) -> None:
            async with Raw(gateway.port) as raw:
                if number % 4 == 0:
                    await raw.send(b"nonsense\r\n\r\n")
                    await raw.answer()
                elif number % 4 == 1:
                    await raw.send(post(chat("lab/fake?chunks=30&gap=0.01", stream=True)))
                    await raw.head()
                elif number % 4 == 2:
                    await raw.send(post(chat())[:-10])
                else:
                    await raw.send(post(chat("nothing")))
                    await raw.answer()

        for _ in range(10):
            await asyncio.gather(*(visit(number) for number in range(100)))
        await until(lambda: worker.num_fds() < 400)

    await wave()
    rss = worker.memory_info().rss
    for _ in range(3):
        await wave()
    assert worker.memory_info().rss - rss < 6 * MIB
