"""The control process's inside in this process: real workers, a real store, a fake provider."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.fake_provider import FakeProvider
from tests.records import line, settled
from tests.unit.compose.running import Launch, Running, becomes, config
from tokenway.control.config import load
from tokenway.metering.stamps import Stamps
from tokenway.model.identity import day_of, ids_of_day
from tokenway.model.usage import Usage
from tokenway.store.base import Progress
from tokenway.store.sqlite import open_sqlite


async def test_a_call_is_answered_and_accounted_for(launch: Launch, provider: FakeProvider) -> None:
    """The record reaches the ledger, the metrics and whoever watches; the first start made a key that works too."""
    running = await launch(config(provider))
    first = running.gateway.first_start
    assert first is not None
    assert (await running.ask()).status == 200
    assert (await running.ask(key=first.key.secret.reveal())).status == 200
    await becomes(lambda: len(running.exchanges) == 2)
    assert [(record.key, record.charged) for record in running.exchanges] == [
        ("config:ci", 4_000),
        (first.key.row.id, 4_000),
    ]
    lines = running.gateway.metrics_text().decode().splitlines()
    (line,) = (line for line in lines if line.startswith("tokenway_requests_total{"))
    assert line.endswith(" 2.0")
    assert {'model="mock"', 'endpoint="lab/fake"', 'status="200"', 'outcome="delivered"'} <= set(
        line.partition("{")[2].partition("}")[0].split(",")
    )


async def test_what_a_worker_sees_is_shown_and_outlives_it(launch: Launch, provider: FakeProvider) -> None:
    """In the figures of the endpoint; whoever comes after it, another worker or another start, knows of it."""
    running = await launch(config(provider))
    gateway = running.gateway
    assert (await running.ask("mock", stream=True)).status == 200
    await becomes(lambda: len(gateway.velocity.known()) == 1)
    (endpoint,) = (await running.call("/v1/models/mock/endpoints")).json["data"]["endpoints"]
    assert endpoint["latency_last_30m"]["p50"] > 0
    assert (endpoint["uptime_last_5m"], endpoint["status"]) == (100.0, 0)
    assert (endpoint["tokenway"]["requests_last_30m"], endpoint["tokenway"]["breaker"]) == (1, "closed")
    assert endpoint["tokenway"]["predicted"]["ttft_ms"] > 0


async def test_a_start_learns_from_the_ledger(tmp_path: Path, provider: FakeProvider) -> None:
    """What was measured in the last half hour is there at once, before anything is called, and older times are not."""
    now = time.time()
    stamps = Stamps(received=1.0, first_delta=1.25, last_delta=2.25, end=2.3)
    usage = Usage(input_uncached=100, output_text=51)
    lines = (line(endpoint="lab/fake", usage=usage),)
    records = [
        settled(
            id=f"{ids_of_day(day_of(now - ago))}{'a' * 16}{n:010x}",
            at=now - ago,
            endpoint="lab/fake",
            lines=lines,
            stamps=stamps,
            overhead=0.05,
        )
        for n, ago in enumerate((3600, 60, 10))
    ]
    store = open_sqlite(tmp_path / "data" / "tokenway.db")
    store.ledger.commit(Progress("j", "w", "o", 1), records)
    store.close()
    running = Running(tmp_path, config(provider))
    await running.start()
    try:
        assert [round(each.at - now) for each in running.gateway.velocity.known()] == [-60, -10]
        (endpoint,) = (await running.call("/v1/models/mock/endpoints")).json["data"]["endpoints"]
        assert endpoint["latency_last_30m"]["p50"] == pytest.approx(200, rel=0.05)
        assert endpoint["throughput_last_30m"]["p50"] == pytest.approx(50, rel=0.05)
        assert endpoint["tokenway"]["requests_last_30m"] == 2
    finally:
        await running.stop()


async def test_another_control_process_takes_up_the_work(launch: Launch, provider: FakeProvider) -> None:
    """With the worker that is there, by the configuration in force; what is left of its budget is all that it has."""
    running = await launch(config(provider, budget=0.000010))
    (before,) = running.gateway.workers.alive
    assert (await running.ask(max_tokens=4)).status == 200
    version = running.gateway._version
    await running.gateway.stop(in_haste=True)
    assert (await running.call("/v1/key")).status == 503
    running.write(config(provider, budget=0.000010, aliases={"other": "mock"}))
    latest = load(running.file, {})
    running.write(config(provider))
    running.gateway = running.another(latest)
    await running.gateway.start(is_first=False)
    await running.gateway.workers.wait_serving()
    (after,) = running.gateway.workers.alive
    assert after.holder == before.holder
    while (await running.call("/v1/key")).status == 503:
        pass  # it has not been told yet
    assert running.gateway._version > version
    statuses = [(await running.ask("other", max_tokens=4)).status for _ in range(2)]
    assert statuses == [200, 402]


async def test_a_reload_takes_effect_in_the_workers(launch: Launch, provider: FakeProvider) -> None:
    """A new alias works, a mistake changes nothing and is said."""
    running = await launch(config(provider))
    assert (await running.ask("other")).status == 404
    running.write(config(provider, aliases={"other": "mock"}))
    running.gateway.reload()
    while (await running.ask("other")).status == 404:
        pass
    running.file.write_text("aliases: {other: nobody}")
    running.gateway.reload()
    await becomes(lambda: "the configuration was not changed: correct the errors above" in running.said)
    assert (await running.ask("other")).status == 200


async def test_a_file_that_is_made_later_is_found(
    tmp_path: Path, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gateway that was started without one reads the user's own as soon as it is there."""
    monkeypatch.setattr("tokenway.compose.engine.wanted_models", lambda _settings: None)
    (tmp_path / "tokenway").mkdir()
    running = Running(tmp_path / "tokenway", None, {"XDG_CONFIG_HOME": str(tmp_path)})
    await running.start()
    try:
        assert (await running.ask()).status == 401
        running.write(config(provider))
        while (await running.ask()).status != 200:
            pass  # a call takes long enough
    finally:
        await running.stop()


async def test_a_model_without_a_provider_is_listed_and_says_so(launch: Launch, provider: FakeProvider) -> None:
    """503, because nothing is wrong with the request."""
    settings = config(provider)
    settings["providers"]["lab"]["enabled"] = False
    running = await launch(settings)
    listed = await running.call("/v1/models")
    assert [model["id"] for model in listed.json["data"]] == ["mock"]
    assert listed.json["data"][0]["endpoints"] == []
    refused = await running.ask()
    assert (refused.status, refused.json["error"]["code"]) == (503, "no_endpoints")


async def test_a_caller_may_say_what_is_slow(launch: Launch, provider: FakeProvider) -> None:
    """`provider.min_tps` goes before the model's own floor, and is not sent on."""
    running = await launch(config(provider))
    for floor in (0.001, 1e12):
        # A pause between its events, because a speed needs two moments.
        assert (await running.ask("lab/fake?gap=0.01", stream=True, provider={"min_tps": floor})).status == 200
    await becomes(lambda: len(running.exchanges) == 2)
    assert [record.slow for record in running.exchanges] == [False, True]
    assert "provider" not in provider.requests[-1].json
