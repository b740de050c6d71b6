"""SIGKILL to every part in turn, in the middle of many streams: afterwards the books are what the provider bills.

Each call says its number in its prompt, which reaches the provider; its answer's head says its exchange. So each of the
provider's requests is found in the ledger and compared to the nano-dollar. What a worker's death left open is seen as
expired; a caller that was cut off before its head came cannot name its exchange, and is one of those.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import psutil
import psycopg
import pytest
import pytest_asyncio

from tests.e2e.gateway import Gateway, configuration, until
from tests.e2e.raw import Raw, chat, post
from tests.fake_provider import FakeProvider, Script
from tests.servers.postgres import PostgresServer
from tests.servers.valkey import ValkeyServer
from tokenway.aio.tasks import Tasks

STREAMS: Final = 200
ROUNDS: Final = int(os.environ.get("TOKENWAY_KILL_ROUNDS", "20"))
KILLS: Final = (
    {"worker"},
    {"control"},
    {"database"},
    {"shared"},
    {"worker", "control"},
    {"control", "database"},
    {"worker", "database", "shared"},
)
"""What dies at once, round by round."""
PAUSE: Final = 0.5
"""Seconds for which a killed server stays away."""
_NUMBER: Final = re.compile(rb"call-(\d+)-")
_ENTRIES: Final = "SELECT exchange, settlement, cost, charged, input_uncached FROM entries"
_OPEN: Final = "SELECT count(*) FROM reservations WHERE expired IS NULL"

pytestmark = [pytest.mark.slow, pytest.mark.postgres, pytest.mark.valkey, pytest.mark.timeout(900)]


class Entry(NamedTuple):
    """One attempt in the ledger; money in nano-dollars, None where no provider told usage."""

    exchange: str
    settlement: str
    cost: int | None
    charged: int
    prompt: int | None


class Load:
    """Callers that stream without a pause, and what each call came to."""

    def __init__(self, gateway: Gateway) -> None:
        self.exchanges: dict[int, str] = {}
        """Of the calls whose head came, by number."""
        self.whole: set[int] = set()
        """The calls whose answer came to its end."""
        self.statuses: Counter[int] = Counter()
        self._gateway = gateway
        self._calls = 0
        self._failures: list[BaseException] = []
        self._tasks = Tasks(lambda _name, error: self._failures.append(error))

    def start(self) -> None:
        """Lets them begin."""
        for number in range(STREAMS):
            self._tasks.spawn(f"caller {number}", self._call_forever())

    async def stop(self) -> None:
        """Lets them hang up, wherever they are."""
        await self._tasks.close()
        assert self._failures == []

    async def progress(self, count: int) -> None:
        """Waits until so many more answers came to their end."""
        target = len(self.whole) + count
        await until(lambda: len(self.whole) >= target)

    async def _call_forever(self) -> None:
        while True:
            try:
                async with Raw(self._gateway.port) as raw:
                    while True:
                        await self._call(raw)
            except (ConnectionError, asyncio.IncompleteReadError):
                await asyncio.sleep(0.02)  # its worker is gone, and the port may be shut for a moment

    async def _call(self, raw: Raw) -> None:
        self._calls += 1
        number = self._calls
        await raw.send(post(chat(stream=True, messages=[{"role": "user", "content": f"call-{number}-"}])))
        status, headers = await raw.head()
        self.statuses[status] += 1
        self.exchanges[number] = headers["x-request-id"]
        if status != 200:
            await raw.reader.readexactly(int(headers["content-length"]))
            await asyncio.sleep(0.05)
            return
        body = b"".join([chunk async for chunk in raw.chunks()])
        if body.endswith(b"data: [DONE]\n\n"):
            self.whole.add(number)


@pytest_asyncio.fixture
async def provider() -> AsyncIterator[FakeProvider]:
    """Streams of a second, so that every kill meets most of them open."""
    async with FakeProvider(Script(chunks=20, gap=0.05)) as fake:
        yield fake
        assert fake.errors == []


def query(url: str, statement: str) -> list[tuple[Any, ...]]:
    """Rows of the gateway's database."""
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(statement.encode()).fetchall()


async def part(gateway: Gateway, module: str) -> psutil.Process:
    """One of the gateway's processes, by the module that it runs; waits for one that is being started anew."""
    assert gateway.process is not None
    supervisor = psutil.Process(gateway.process.pid)
    found: list[psutil.Process] = []

    def is_there() -> bool:
        for child in supervisor.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):  # it ends while it is looked at
                found.extend([child] if module in child.cmdline() else [])
        return bool(found)

    await until(is_there)
    return found[0]


async def kill_server(server: PostgresServer | ValkeyServer) -> None:
    """Kills it, and starts it again after a while."""
    await asyncio.to_thread(server.kill)
    await asyncio.sleep(PAUSE)
    await asyncio.to_thread(server.start)


async def test_the_books_agree_with_the_bill_whatever_was_killed(
    tmp_path: Path, provider: FakeProvider, mortal: PostgresServer, mortal_valkey: ValkeyServer
) -> None:
    """Worker, control, the database and the shared store, alone and together; then the ledger has all that happened."""
    url = mortal.url(mortal.create())
    limits = {"limits": {"rpm": 10_000_000, "tpm": 1_000_000_000, "concurrency": 100_000}, "budget": 1_000.0}
    config = configuration(provider.base_url, server={"workers": 2}, store=url, shared=mortal_valkey.url())
    config["auth"]["keys"][0] |= limits
    gateway = await Gateway(tmp_path, config).start()
    load = Load(gateway)
    load.start()
    await load.progress(STREAMS)
    for number in range(ROUNDS):
        victims = KILLS[number % len(KILLS)]
        if "worker" in victims:
            gateway.workers()[number % 2].kill()
        if "control" in victims:
            (await part(gateway, "tokenway.compose.control")).kill()
        servers = [server for name, server in (("database", mortal), ("shared", mortal_valkey)) if name in victims]
        await asyncio.gather(*map(kill_server, servers))
        await load.progress(STREAMS)
    await load.stop()
    await until(lambda: all(request.over.is_set() for request in provider.requests))
    await until(lambda: query(url, _OPEN) == [(0,)])
    assert await gateway.stop() == 0
    assert "Traceback" not in gateway.complaints, gateway.complaints
    report = json.loads(await gateway.run("ledger", "verify", "--json"))
    assert report["faults"] == []
    _compare(provider, load, [Entry(*row) for row in query(url, _ENTRIES)])


def _compare(provider: FakeProvider, load: Load, entries: list[Entry]) -> None:
    """Every request of the provider is in the ledger at its price, or is flagged as one whose price nobody told."""
    by_exchange = {entry.exchange: entry for entry in entries}
    assert len(by_exchange) == len(entries), "an exchange has more than one attempt, and nothing here retries"
    settled: set[str] = set()
    unnamed = 0
    for request in provider.requests:
        found = _NUMBER.search(request.body)
        assert found is not None
        number = int(found.group(1))
        exchange = load.exchanges.get(number)
        if exchange is None:
            unnamed += 1
            continue
        entry = by_exchange[exchange]
        settled.add(exchange)
        if entry.cost is None:
            assert number not in load.whole, "a caller has a whole answer that the ledger has no price of"
            assert entry.settlement in {"expired", "upstream_billed", "absorbed"}
        else:
            assert entry.cost == request.bill.prompt * 1_000 + request.bill.completion * 2_000
        if number in load.whole:
            assert (entry.settlement, entry.charged) == ("delivered", entry.cost)
    # Whose head never came: cut off by a worker's death, or hung up at the end; none has a price.
    others = [entry for entry in entries if entry.exchange not in settled]
    assert {entry.cost for entry in others} <= {None, 0}
    assert unnamed <= len(others)
    assert {load.exchanges[number] for number in load.whole} <= settled
    assert any(entry.settlement == "expired" for entry in entries), "no stream was open when a worker was killed"
