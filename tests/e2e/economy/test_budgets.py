"""Budgets and rates over real gateways: two machines with two workers each, one PostgreSQL, one Valkey."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter

import pytest

from tests.e2e.conftest import Launch
from tests.e2e.economy.machines import pair
from tests.e2e.gateway import Gateway, until
from tests.e2e.raw import Raw, chat, post
from tests.fake_provider import FakeProvider
from tests.servers.postgres import PostgresServer
from tests.servers.valkey import ValkeyServer
from tokenway.model.money import NANO_PER_USD

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.postgres, pytest.mark.valkey, pytest.mark.slow]

CALLS = 500
MINUTE = 60
SLOW = "fake?delay=0.2"
AGAIN_SECONDS = 1.0
"""When a caller that was refused calls again: not so soon that a busy machine does nothing but refuse."""


async def stop(gateways: list[Gateway]) -> None:
    """Ends them while their servers are there."""
    assert await asyncio.gather(*(gateway.stop() for gateway in gateways)) == [0, 0]


async def status(gateway: Gateway, number: int) -> int:
    """What one call gets."""
    async with Raw(gateway.port) as raw:
        await raw.send(post(chat("mock", stream=number % 2 == 0, max_tokens=32)))
        return (await raw.answer()).status


@pytest.mark.timeout(300)
async def test_one_budget_of_two_machines(
    launch: Launch, provider: FakeProvider, postgres: PostgresServer, postgres_url: str, valkey: ValkeyServer
) -> None:
    """500 callers at once until nothing more fits: never over, and of the budget no 5 % lie idle when it is used up.

    A call can cost at most some 0.8 % of it and costs a tenth of that: as long as others are under way a caller is
    refused for what they may still cost, and calls again.
    """
    budget = 0.02
    gateways = await pair(launch, provider, postgres_url, valkey, upstream=SLOW, budget=budget)
    seen: Counter[int] = Counter()
    refused_since_success = 0

    async def caller(number: int) -> None:
        nonlocal refused_since_success
        while refused_since_success < 2 * CALLS:
            found = await status(gateways[number % 2], number)
            seen[found] += 1
            refused_since_success = 0 if found == 200 else refused_since_success + 1
            if found != 200:
                await asyncio.sleep(AGAIN_SECONDS)

    await asyncio.gather(*map(caller, range(CALLS)))
    assert set(seen) == {200, 402}
    name = postgres_url.rpartition("/")[2]

    def sums() -> tuple[int, int]:
        with contextlib.closing(postgres.connect(name)) as connection:
            row = connection.execute(
                "SELECT count(*), COALESCE(sum(charged), 0)::bigint FROM exchanges x JOIN kinds k ON k.id = x.kind "
                "WHERE k.settlement = 'delivered'"
            ).fetchone()
        assert row is not None
        return int(row[0]), int(row[1])

    await until(lambda: sums()[0] == seen[200])
    assert 0.95 * budget * NANO_PER_USD <= sums()[1] <= budget * NANO_PER_USD
    await stop(gateways)


@pytest.mark.timeout(300)
async def test_one_rate_of_two_machines(
    launch: Launch, provider: FakeProvider, postgres_url: str, valkey: ValkeyServer
) -> None:
    """In a whole minute between -5 % and the limit, nearly all of the load at one of the machines."""
    limit = 400
    gateways = await pair(launch, provider, postgres_url, valkey, upstream=SLOW, limits={"rpm": limit})
    await asyncio.sleep(MINUTE - time.time() % MINUTE)
    began = time.time()
    seen: Counter[int] = Counter()
    number = 0
    tasks = []
    while time.time() < began + MINUTE - 2:
        number += 1
        tasks.append(asyncio.create_task(status(gateways[number % 10 == 0], number)))  # noqa: TID251 - a test's own
        await asyncio.sleep(0.08)
    seen.update(await asyncio.gather(*tasks))
    assert set(seen) <= {200, 429}
    assert 0.95 * limit <= seen[200] <= limit
    await stop(gateways)
