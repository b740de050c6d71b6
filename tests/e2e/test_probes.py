"""Probes over real sockets: who is asked that no caller asks, what it costs and shows, and what stops it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.e2e.callers import dial
from tests.e2e.conftest import Launch
from tests.e2e.gateway import KEY, PRICE, Entry, Gateway, until
from tests.e2e.raw import Raw, chat, post
from tests.fake_provider import FakeProvider, Script
from tokenway.model.probe import OUTPUT_MOST, PROBE, asked_as, body_of, is_id

pytestmark = pytest.mark.asyncio(loop_scope="module")

ANSWER = Script(chunks=20, gap=0.01)
USD = 1_000_000_000
WORST = len(body_of("poor", "max_completion_tokens")) * 1_000 + OUTPUT_MOST * 2_000
"""Nano-dollars that a probe of `poor` can cost at `PRICE`."""


def model(name: str, **routing: Any) -> dict[str, Any]:
    """A model with an endpoint at each provider; callers are sent to the first."""
    offers = [{"provider": provider, "model": f"fake-{name}", "price": PRICE} for provider in ("busy", "idle")]
    return {"endpoints": offers} | ({"routing": routing} if routing else {})


def configuration(busy: FakeProvider, idle: FakeProvider, workers: int = 2) -> dict[str, Any]:
    """A model with money for probes, one with enough for the first only, and one that wants none."""
    providers = {"busy": {"base_url": busy.base_url, "api_key": "sk"}, "idle": {"base_url": idle.base_url}}
    return {
        "auth": {"keys": [{"name": "ci", "key": KEY, "budget": 1.0}]},
        "server": {"workers": workers},
        "providers": providers,
        "models": {
            "rich": model("rich", probe={"every": "10s", "usd_per_day": 1}),
            "poor": model("poor", probe={"every": "10s", "usd_per_day": (WORST + 10_000) / USD}),
            "quiet": model("quiet"),
        },
    }


async def call(gateway: Gateway) -> None:
    """A caller asks `rich`, and wants its first endpoint."""
    async with Raw(gateway.port) as raw:
        await raw.send(post(chat("rich", stream=True, provider={"only": ["busy"]})))
        status, _ = await raw.head()
        assert status == 200
        assert b"".join([chunk async for chunk in raw.chunks()]).endswith(b"data: [DONE]\n\n")


def probes(gateway: Gateway, name: str) -> list[Entry]:
    """The probes of a model in the ledger."""
    return [entry for entry in gateway.ledger() if entry.model == asked_as(name)]


async def calls_until(gateway: Gateway, rich: int) -> int:
    """Asks `rich` again and again until so many probes of it are in the ledger; how many calls that were."""
    count = 0
    while len(probes(gateway, "rich")) < rich:
        await call(gateway)
        count += 1
        await asyncio.sleep(0.5)
    return count


async def shown(gateway: Gateway, name: str) -> dict[str, dict[str, Any]]:
    """What is known of a model's endpoints, by provider."""
    async with dial(gateway) as http:
        answer = await http.get(f"/v1/models/{name}/endpoints")
    return {each["tag"].partition("/")[0]: each for each in answer.json()["data"]["endpoints"]}


async def test_what_no_caller_asks_is_probed_as_long_as_there_is_money(launch: Launch) -> None:
    """It is seen by all, costs what the ledger says and no more than a day may, whatever restarts."""
    async with FakeProvider(ANSWER) as busy, FakeProvider(ANSWER) as idle:
        gateway = await launch(configuration(busy, idle))
        calls = await calls_until(gateway, rich=2)

        # Callers keep the first endpoint known; the second one is asked by the gateway.
        (first, second), (poor,) = probes(gateway, "rich"), probes(gateway, "poor")
        for probe in (first, second, poor):
            assert is_id(probe.id)
            assert (probe.status, probe.settlement, probe.attempts) == (200, "delivered", 1)
            assert probe.completion == ANSWER.chunks
            assert probe.charged == probe.cost == (probe.prompt or 0) * 1_000 + ANSWER.chunks * 2_000
        assert first.endpoint == second.endpoint == "idle/fake-rich"
        assert poor.run == f"probe:{WORST}"
        sent = {json.loads(received.body)["model"] for received in idle.requests}
        assert sent <= {"fake-rich", "fake-poor"}

        async def is_known() -> bool:
            figures = (await shown(gateway, "rich"))["idle"]
            return figures["tokenway"]["probes_last_30m"] == 2 and figures["throughput_last_30m"] is not None

        await until(is_known)
        figures = await shown(gateway, "rich")
        assert figures["idle"]["tokenway"]["requests_last_30m"] == 0
        assert figures["idle"]["latency_last_30m"]["p50"] > 0
        assert figures["idle"]["uptime_last_30m"] == 100.0
        assert figures["busy"]["tokenway"]["probes_last_30m"] == 0
        assert figures["busy"]["tokenway"]["requests_last_30m"] == calls

        # Nobody's key has paid for it; who looks for it finds it by its project, and in the metrics by its model.
        spent = sum(entry.charged for entry in gateway.ledger() if entry.model == "rich")
        async with dial(gateway) as http:
            assert (await http.get("/v1/key")).json()["data"]["usage"] == pytest.approx(spent / USD)
            page = (await http.get(f"{gateway.control_url}/metrics")).text
        assert f'tokenway_cost_usd_total{{endpoint="idle/fake-rich",model="{asked_as("rich")}"' in page
        used = json.loads(await gateway.run("usage", "--by", "project", "--json"))
        (own,) = [row for row in used if row["project"] == PROBE]
        assert own["requests"] == 3

        # A gateway that is killed knows what the day has cost, and when each endpoint was last heard of.
        await gateway.kill()
        await gateway.start()
        await calls_until(gateway, rich=3)
        assert len(probes(gateway, "poor")) == 1
        assert (await shown(gateway, "rich"))["idle"]["tokenway"]["probes_last_30m"] >= 2
        assert {each.endpoint for each in probes(gateway, "rich")} == {"idle/fake-rich"}
        assert busy.errors == idle.errors == []
