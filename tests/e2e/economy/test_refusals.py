"""Rates, runs and outages as callers of two workers meet them: who is refused, how he is told, and what he owes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import Any, Final

import pytest

from tests.e2e.conftest import Launch
from tests.e2e.gateway import KEY, PRICE, Gateway, configuration, until
from tests.e2e.raw import Answer, Raw, chat, post
from tests.fake_provider import FakeProvider

pytestmark = pytest.mark.asyncio(loop_scope="module")

MINUTE: Final = 60.0
SLOW: Final = {"endpoints": [{"provider": "lab", "model": "fake?chunks=50&gap=0.1", "price": PRICE}]}


async def ask(gateway: Gateway, *lines: bytes, **more: Any) -> Answer:
    """What one call gets; a connection of its own may come to either worker."""
    async with Raw(gateway.port) as raw:
        await raw.send(post(chat("mock", max_tokens=16, **more), *lines))
        return await raw.answer()


def limited(provider: FakeProvider, project: dict[str, Any] | None = None, **key: Any) -> dict[str, Any]:
    """Two workers and one key with these limits; `project` is what its project says."""
    keys = [{"name": "ci", "key": KEY, "project": "web"} | key]
    projects = {"web": project or {}}
    return configuration(provider.base_url, server={"workers": 2}, auth={"keys": keys}, projects=projects)


async def early_in_a_minute(seconds: float = 20.0) -> None:
    """Waits for the next minute where this one has not so much left."""
    left = MINUTE - time.time() % MINUTE
    if left < seconds:
        await asyncio.sleep(left + 0.1)


@pytest.mark.slow
async def test_a_rate_is_that_of_all_workers_and_says_what_remains(launch: Launch, provider: FakeProvider) -> None:
    """Exactly as many are let in as the minute has; the others are told when to come back, in the headers too."""
    gateway = await launch(limited(provider, limits={"rpm": 30}))
    await early_in_a_minute()
    first = await ask(gateway)
    assert (first.status, first.headers["x-ratelimit-limit-requests"]) == (200, "30")
    assert 0 <= int(first.headers["x-ratelimit-remaining-requests"]) < 30
    others = await asyncio.gather(*(ask(gateway) for _ in range(50)))
    assert sum(answer.status == 200 for answer in others) == 29
    refused = next(answer for answer in others if answer.status == 429)
    assert refused.error["code"] == "rate_limit_exceeded"
    assert 0 < float(refused.headers["retry-after"]) <= MINUTE
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"


async def test_places_are_those_of_all_workers(launch: Launch, provider: FakeProvider) -> None:
    """Two streams are under way, whichever worker has them: a third caller is refused until one has ended."""
    gateway = await launch(limited(provider, limits={"concurrency": 2}) | {"models": {"mock": SLOW}})
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(2):
            raw = await stack.enter_async_context(Raw(gateway.port))
            await raw.send(post(chat("mock", stream=True)))
            assert (await raw.head())[0] == 200
        assert {(await ask(gateway, stream=True)).status for _ in range(4)} == {429}

    async def is_served() -> bool:
        async with Raw(gateway.port) as raw:
            await raw.send(post(chat("mock", stream=True)))
            return (await raw.head())[0] == 200

    await until(is_served)


@pytest.mark.parametrize(
    ("limit", "status", "reached"),
    [({"calls": 2}, 429, "calls"), ({"loops": 2}, 429, "loops"), ({"usd": 0.0002}, 402, "usd")],
)
async def test_a_run_is_stopped_and_told_why(
    launch: Launch, provider: FakeProvider, limit: dict[str, float], status: int, reached: str
) -> None:
    """An agent that goes on is refused again; another run of the same key, and calls of none, are not."""
    gateway = await launch(limited(provider, {"run": limit}))
    run = b"x-tokenway-run: agent-1"
    statuses = [(await ask(gateway, run)).status for _ in range(20)]
    assert statuses[0] == 200
    assert statuses[-1] == status
    last = await ask(gateway, run)
    assert last.error["code"] == "run_limit_exceeded"
    assert (last.error["metadata"]["reached"], last.headers["x-should-retry"]) == (reached, "false")
    assert (await ask(gateway, b"x-tokenway-run: agent-2")).status == 200
    assert (await ask(gateway)).status == 200


@pytest.mark.parametrize(("unpriced", "status"), [("serve", 200), ("refuse", 503)])
async def test_what_has_no_price_is_served_or_refused(
    launch: Launch, provider: FakeProvider, unpriced: str, status: int
) -> None:
    """A budget that holds no call does not keep one from there; `refuse` sends nothing there, under any name."""
    unknown = {"provider": "lab", "model": "unknown"}
    models = {
        "bare": {"endpoints": [unknown]},
        "mock": {"endpoints": [unknown, {"provider": "lab", "model": "fake", "price": PRICE}]},
    }
    gateway = await launch(limited(provider, budget=0.00000001) | {"models": models, "limits": {"unpriced": unpriced}})
    for name in ("bare", "lab/unknown", "lab/anything"):
        async with Raw(gateway.port) as raw:
            await raw.send(post(chat(name, max_tokens=16)))
            answer = await raw.answer()
        assert answer.status == status, name
        if status == 503:
            assert set(answer.error["metadata"]["availability"]["excluded_by"].values()) == {"unknown_price"}
    assert (await ask(gateway)).status == 402, "what has a price is bounded as ever"


@pytest.mark.parametrize(("policy", "first"), [("serve", 200), ("refuse", 503)])
async def test_an_outage_goes_by_the_projects_policy(
    launch: Launch, provider: FakeProvider, policy: str, first: int
) -> None:
    """With a control process that hangs: leases are served to their end and no further, or nothing is at all."""
    gateway = await launch(limited(provider, {"on_outage": policy}, budget=0.05))
    assert {(await ask(gateway)).status for _ in range(8)} == {200}, "each worker has a lease now"
    (control,) = gateway.control()
    control.suspend()
    try:
        statuses = [(await ask(gateway)).status]
        while statuses[-1] == 200:
            statuses.append((await ask(gateway)).status)
        assert statuses[-1] == 503
        if policy == "serve":
            assert statuses[0] == first
    finally:
        control.resume()

    async def is_served() -> bool:
        return (await ask(gateway)).status == 200

    await until(is_served)


async def test_who_leaves_early_pays_nothing_and_holds_his_budget(launch: Launch, provider: FakeProvider) -> None:
    """Usage is never invented; what the provider may bill is kept back, and said."""
    gateway = await launch(limited(provider, budget=1.0) | {"models": {"mock": SLOW}})
    async with Raw(gateway.port) as raw:
        await raw.send(post(chat("mock", stream=True)))
        _, headers = await raw.head()
        await raw.chunk()
    entry = await gateway.entry(headers["x-request-id"])
    assert (entry.settlement, entry.charged, entry.cost) == ("upstream_billed", 0, None)
    (row,) = json.loads(await gateway.run("usage", "--by", "key", "--json"))
    assert float(row["withheld_usd"]) > 0
    verified = json.loads(await gateway.run("ledger", "verify", "--json"))
    assert verified["faults"] == []
