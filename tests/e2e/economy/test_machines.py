"""Two machines with one PostgreSQL and one Valkey: what one is told both know; what one leaves the other takes up."""

from __future__ import annotations

import asyncio
import json
import signal
from contextlib import AsyncExitStack
from typing import Any

import psycopg
import pytest

from tests.e2e.conftest import Launch
from tests.e2e.control import admin_of
from tests.e2e.economy.machines import pair
from tests.e2e.everywhere import a_connection_to_each, seconds_until, status
from tests.e2e.gateway import KEY, Gateway, until
from tests.e2e.raw import Raw, chat, post
from tests.fake_provider import FakeProvider, Script
from tests.servers.valkey import ValkeyServer
from tokenway.model.money import NANO_PER_USD
from tokenway.store.nodes import GIVEN_UP_SECONDS, LOOK_SECONDS, LOST_SECONDS

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.postgres,
    pytest.mark.valkey,
    pytest.mark.slow,
    pytest.mark.timeout(400),
]

PLACES = 4
BUDGET = 5.0
PUBLISHED_SECONDS = 2.0
REVOKED_SECONDS = 1.0
SLOTS_SECONDS = 20.0
"""How long a dead machine's places may be taken: six seconds, and what a busy machine needs."""
PATIENCE = 150.0
"""Open reservations of lost machines are looked for once a minute."""


async def stop(gateways: list[Gateway]) -> None:
    """Ends them while their servers are there."""
    assert set(await asyncio.gather(*(gateway.stop() for gateway in gateways))) == {0}


async def test_what_one_is_told_all_workers_of_both_go_by(
    launch: Launch,
    provider: FakeProvider,
    postgres_url: str,
    valkey: ValkeyServer,
) -> None:
    """A configuration within two seconds, the end of a key within one."""
    gateways = await pair(launch, provider, postgres_url, valkey)
    endpoint = {"provider": "lab", "model": "fake", "price": {"input": "1", "output": "2"}}
    async with AsyncExitStack() as stack:
        connections = await a_connection_to_each(gateways, stack)
        admin = await stack.enter_async_context(admin_of(gateways[0]))
        document = {"models": {"published": {"endpoints": [endpoint]}}}
        answer = await admin.post("/snapshots", json={"document": document, "version": 0})
        assert answer.status_code == 201, answer.text
        published = await seconds_until(connections, KEY, "published", 200)
        made = (await admin.post("/keys", json={"name": "short-lived"})).json()
        await seconds_until(connections, made["secret"], "mock", 200)
        assert (await admin.post(f"/keys/{made['key']['id']}/revoke")).status_code == 200
        revoked = await seconds_until(connections, made["secret"], "mock", 401)
        assert set(await asyncio.gather(*(status(raw, made["secret"], "mock") for raw in connections))) == {401}
    print(f"published after {published:.2f} s, revoked after {revoked:.2f} s")
    await stop(gateways)
    assert published < PUBLISHED_SECONDS
    assert revoked < REVOKED_SECONDS


class Books:
    """The database that the machines share, and the clock of one of them that is not there any more."""

    def __init__(self, url: str, gateway: Gateway) -> None:
        self.node = (gateway.data_dir / "node").read_text().strip()
        self._url = url

    def age(self, seconds: float) -> None:
        """Lets the machine have been away for so long."""
        self._query("UPDATE nodes SET seen = seen - %s WHERE id = %s RETURNING id", seconds, self.node)

    def open(self) -> int:
        """Its open reservations."""
        return self._number("SELECT count(*) FROM reservations WHERE node = %s AND expired IS NULL", self.node)

    def held(self) -> int:
        """What its workers hold of budgets."""
        return self._number(
            "SELECT COALESCE(sum(granted - consumed), 0)::bigint FROM leases WHERE node = %s AND granted > consumed",
            self.node,
        )

    def settlements(self) -> dict[str, int]:
        """How often an exchange was settled in which way."""
        query = "SELECT k.settlement, count(*) FROM exchanges x JOIN kinds k ON k.id = x.kind GROUP BY 1"
        return {str(row[0]): int(row[1]) for row in self._query(query)}

    def charged(self) -> int:
        """All that was charged."""
        return self._number("SELECT COALESCE(sum(charged), 0)::bigint FROM exchanges")

    def _number(self, query: str, *values: object) -> int:
        return int(self._query(query, *values)[0][0])

    def _query(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self._url, autocommit=True) as connection:
            return connection.execute(query.encode(), values).fetchall()


async def streams(
    gateway: Gateway, provider: FakeProvider, stack: AsyncExitStack
) -> list[tuple[Raw, asyncio.Semaphore]]:
    """As many as there are places, each with the beginning of its answer, and what lets it go on."""
    found = []
    for _ in range(PLACES):
        gate = asyncio.Semaphore(1)
        provider.queue(Script(chunks=3, gate=gate))
        raw = await stack.enter_async_context(Raw(gateway.port))
        await raw.send(post(chat("mock", stream=True, max_tokens=100)))
        assert (await raw.head())[0] == 200
        found.append((raw, gate))
    return found


async def call(gateway: Gateway) -> int:
    """What one call comes to."""
    async with Raw(gateway.port) as raw:
        return await status(raw, KEY, "mock")


async def test_a_machine_that_is_declared_gone_is_free_at_once_and_may_come_back(
    launch: Launch, provider: FakeProvider, postgres_url: str, valkey: ValkeyServer
) -> None:
    """What it held is the others' within two minutes; its journals, which nobody had read, are taken in afterwards."""
    first, second = await pair(launch, provider, postgres_url, valkey, budget=BUDGET)
    books = Books(postgres_url, second)
    already = len(provider.requests)
    async with AsyncExitStack() as stack:
        begun = await streams(second, provider, stack)
        await until(lambda: books.open() == PLACES and books.held() > 0)
        (control,) = second.control()
        control.send_signal(signal.SIGSTOP)
        for raw, gate in begun:
            for _ in range(3):
                gate.release()
            assert b"[DONE]" in b"".join([chunk async for chunk in raw.chunks()])
        await second.kill()
    books.age(LOOK_SECONDS)
    await first.run("nodes", "retire", books.node)
    await until(lambda: books.open() == books.held() == 0, PATIENCE)
    assert books.settlements()["expired"] == PLACES

    async def listed() -> set[str]:
        return {each["id"] for each in json.loads(await first.run("nodes", "list", "--json"))}

    async def is_forgotten() -> bool:
        return books.node not in await listed()

    await until(is_forgotten, PATIENCE)
    before = books.charged()
    await second.start()
    await until(lambda: "expired" not in books.settlements())
    bills = [request.bill for request in provider.requests[already : already + PLACES]]
    assert books.charged() - before == sum(bill.prompt * 1_000 + bill.completion * 2_000 for bill in bills)
    assert books.node in await listed()
    assert await call(second) == 200
    assert json.loads(await first.run("ledger", "verify", "--json"))["faults"] == []
    await stop([first, second])


async def test_a_machine_is_lost_comes_back_and_is_lost_for_good(
    launch: Launch, provider: FakeProvider, postgres_url: str, valkey: ValkeyServer
) -> None:
    """The other one has its places at once, closes what it left open, and lets alone what it may have spent.

    It is killed whole when streams have ended of which only its journals know.
    """
    first, second = await pair(launch, provider, postgres_url, valkey, budget=BUDGET, limits={"concurrency": PLACES})
    books = Books(postgres_url, second)
    already = len(provider.requests)
    async with AsyncExitStack() as stack:
        begun = await streams(second, provider, stack)
        await until(lambda: books.open() == PLACES)
        assert await call(first) == 429
        (control,) = second.control()
        control.send_signal(signal.SIGSTOP)
        for raw, gate in begun:
            for _ in range(3):
                gate.release()
            assert b"[DONE]" in b"".join([chunk async for chunk in raw.chunks()])
        await second.kill()

    async def has_a_place() -> bool:
        return await call(first) == 200

    await until(has_a_place, SLOTS_SECONDS)
    held = books.held()
    assert 0 < held <= 0.05 * BUDGET * NANO_PER_USD

    books.age(LOST_SECONDS)
    await until(lambda: books.open() == 0, PATIENCE)
    assert books.settlements()["expired"] == PLACES
    assert books.held() == held, "its journals may say that this was spent"
    before = books.charged()

    await second.start()
    await until(lambda: books.held() == 0)
    assert "expired" not in books.settlements()
    bills = [request.bill for request in provider.requests[already : already + PLACES]]
    assert books.charged() - before == sum(bill.prompt * 1_000 + bill.completion * 2_000 for bill in bills)
    assert json.loads(await first.run("ledger", "verify", "--json"))["faults"] == []

    async with AsyncExitStack() as stack:
        await streams(second, provider, stack)
        await until(lambda: books.open() == PLACES and books.held() > 0)
        await second.kill()
    books.age(GIVEN_UP_SECONDS)
    await until(lambda: books.open() == books.held() == 0, PATIENCE)
    assert json.loads(await first.run("ledger", "verify", "--json"))["faults"] == []
    assert await call(first) == 200
    await stop([first])
