"""What workers see of endpoints is shown as one figure, outlives them, and is what routing goes by."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e.callers import dial
from tests.e2e.conftest import Launch
from tests.e2e.gateway import KEY, PRICE, Gateway, configuration, until
from tests.e2e.raw import Raw, chat, post
from tests.fake_provider import FakeProvider, Script

pytestmark = pytest.mark.asyncio(loop_scope="module")

COUNT_DIGITS = 10
"""An exchange's id ends with so many digits of its worker's count; what stands before is the worker's own."""
SLOW, QUICK = "slow/fake", "quick/fake"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def slow() -> AsyncIterator[FakeProvider]:
    """A provider that thinks for long."""
    async with FakeProvider(Script(chunks=5, gap=0.01, delay=0.4)) as fake:
        yield fake
        assert fake.errors == []


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def quick() -> AsyncIterator[FakeProvider]:
    """A provider that does not."""
    async with FakeProvider(Script(chunks=5, gap=0.01)) as fake:
        yield fake
        assert fake.errors == []


class Call:
    """A call on a connection of its own, so that any worker may take it: who answered, and which worker relayed."""

    def __init__(self, headers: dict[str, str]) -> None:
        self.endpoint = headers["x-tokenway-endpoint"]
        self.worker = headers["x-request-id"][:-COUNT_DIGITS]


async def call(gateway: Gateway, **more: Any) -> Call:
    """One stream, read to its end."""
    async with Raw(gateway.port) as raw:
        await raw.send(post(chat(stream=True, **more)))
        status, headers = await raw.head()
        assert status == 200
        assert b"".join([chunk async for chunk in raw.chunks()]).endswith(b"data: [DONE]\n\n")
    return Call(headers)


async def endpoints(gateway: Gateway) -> dict[str, dict[str, Any]]:
    """The listed endpoints of `mock`, by id."""
    async with dial(gateway) as http:
        answer = await http.get("/v1/models/mock/endpoints")
    return {each["tag"]: each for each in answer.json()["data"]["endpoints"]}


async def shows(gateway: Gateway, counts: dict[str, int]) -> None:
    """Waits until so many requests are shown, and neither more nor fewer, and looks at what else there is."""

    async def is_so() -> bool:
        found = await endpoints(gateway)
        return {each: found[each]["tokenway"]["requests_last_30m"] for each in counts} == counts

    await until(is_so)
    found = await endpoints(gateway)
    for each in counts:
        latency, speed = found[each]["latency_last_30m"], found[each]["throughput_last_30m"]
        assert latency["p50"] <= latency["p99"]
        assert speed["p50"] >= speed["p99"] > 0
        assert (found[each]["uptime_last_30m"], found[each]["tokenway"]["breaker"]) == (100.0, "closed")
    assert found[SLOW]["latency_last_30m"]["p50"] > 300 > found[QUICK]["latency_last_30m"]["p50"]


async def test_what_any_worker_has_seen_all_of_them_know(
    launch: Launch, slow: FakeProvider, quick: FakeProvider
) -> None:
    """It is shown as one, by the API and by the command line, and outlives workers and gateway, however they end."""
    offers = [{"provider": name, "model": "fake", "price": PRICE} for name in ("slow", "quick")]
    providers = {
        name: {"base_url": fake.base_url, "api_key": "sk"} for name, fake in (("slow", slow), ("quick", quick))
    }
    gateway = await launch(
        configuration("", providers=providers, models={"mock": {"endpoints": offers}}, server={"workers": 2})
    )
    counts = {SLOW: 0, QUICK: 0}
    workers: set[str] = set()

    async def learn() -> bool:
        for provider in ("slow", "quick"):
            made = await call(gateway, provider={"only": [provider]})
            counts[made.endpoint] += 1
            workers.add(made.worker)
        return len(workers) == 2 and counts[SLOW] >= 5

    await until(learn)
    await shows(gateway, counts)

    table = (await gateway.run("endpoints", "mock", "--base-url", gateway.base_url, "--key", KEY)).splitlines()
    rows = {cells[0]: cells for cells in (line.split("\t") for line in table[1:])}
    assert all(rows[each][-1] == "ok" for each in counts)
    assert all(re.fullmatch(r"[\d.]+/[\d.]+", rows[each][3]) for each in counts)
    told = await gateway.run("endpoints", "mock", "--json", "--base-url", gateway.base_url, "--key", KEY)
    assert {each["tag"] for each in json.loads(told)["endpoints"]} == {SLOW, QUICK}

    # A worker is killed: nothing is lost, and its successor chooses by what the others know.
    victim = gateway.workers()[0]
    victim.kill()
    await until(lambda: len([each for each in gateway.workers() if each.pid != victim.pid]) == 2)

    async def successor_answers() -> bool:
        made = await call(gateway)
        counts[made.endpoint] += 1
        assert made.endpoint == QUICK
        return made.worker not in workers

    await until(successor_answers)
    await shows(gateway, counts)

    # The gateway ends, once as it should and once not: the next one knows it at once.
    for end in (gateway.stop, gateway.kill):
        await until(lambda: len(gateway.ledger()) >= sum(counts.values()))
        await end()
        await gateway.start()
        await shows(gateway, counts)
        made = await call(gateway)
        counts[made.endpoint] += 1
        assert made.endpoint == QUICK


async def test_an_endpoint_that_fails_is_seen_to_fail(launch: Launch) -> None:
    """Its breaker opens, which the list, the command line and the metrics show, and its uptime falls."""
    async with FakeProvider(Script(status=500)) as fake:
        gateway = await launch(configuration(fake.base_url, retries={"max": 0}))

        async def is_open() -> bool:
            async with Raw(gateway.port) as raw:
                await raw.send(post(chat()))
                await raw.answer()
            breaker: str = (await endpoints(gateway))["lab/fake"]["tokenway"]["breaker"]
            return breaker == "open"

        await until(is_open)
        found = (await endpoints(gateway))["lab/fake"]
        assert (found["uptime_last_30m"], found["latency_last_30m"]) == (0.0, None)
        table = await gateway.run("endpoints", "mock", "--base-url", gateway.base_url, "--key", KEY)
        assert table.splitlines()[1].split("\t")[-1] in {"open", "probing"}
        async with dial(gateway) as http:
            page = (await http.get(f"{gateway.control_url}/metrics")).text
        assert re.search(r'^tokenway_breaker_state\{endpoint="lab/fake"\} [12]\.0$', page, re.MULTILINE)
