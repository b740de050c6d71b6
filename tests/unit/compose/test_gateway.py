"""The control process's inside in this process: real workers, a real store, a fake provider."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import re
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from tests.fake_provider import FakeProvider, Script
from tests.records import line, settled
from tokenway.aio.tasks import Tasks
from tokenway.compose.gateway import NICENESS_MAX, STORE_NICENESS, Gateway, _give_way
from tokenway.compose.handover import hand_over
from tokenway.compose.listeners import workers_listener
from tokenway.compose.paths import JOURNALS
from tokenway.compose.spawn import WORKER, Born, spawn
from tokenway.control.config import Loaded, load
from tokenway.control.ingest import Ingest
from tokenway.metering.ledger import Settled
from tokenway.metering.stamps import Stamps
from tokenway.model.identity import day_of, ids_of_day
from tokenway.model.link import Gauges, Keep, Question, WorkerOptions
from tokenway.model.stored import StoredResponse
from tokenway.model.usage import Usage
from tokenway.store.accounts.records import CLI
from tokenway.store.base import Progress, StoreError
from tokenway.store.sqlite import open_sqlite

KEY = "tk-0123456789abcdef"
PRICE = {"input": 0, "output": 1.0}
"""A token of the answer costs a millionth of a dollar; the fake answer has four."""


class Reply(NamedTuple):
    """An answer of the public listener; `json` is the text of a stream where it is one."""

    status: int
    json: Any


class Running:
    """A gateway with one worker, which is started as the supervisor does, its listener's port and what it told."""

    def __init__(
        self, directory: Path, config: Mapping[str, Any] | None, environment: Mapping[str, str] | None = None
    ) -> None:
        self.file = directory / "tokenway.yaml"
        if config is not None:
            self.write(config)
        self.data = directory / "data"
        self.data.mkdir(exist_ok=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.exchanges: list[Settled] = []
        self.said: list[str] = []
        self._environment = environment or {}
        self._stack = contextlib.ExitStack()
        self._workers, path = self._stack.enter_context(workers_listener(self.data))
        self._options = WorkerOptions(1, str(self.data / JOURNALS), str(path), drain=5.0)
        self.worker: Born | None = None
        self.gateway = self.another()

    def another(self, latest: Loaded | None = None) -> Gateway:
        """A control process's inside, the first one or the one after it."""
        return Gateway(
            load(None if not self.file.exists() else self.file, self._environment),
            data_dir=self.data,
            listener=self._workers.dup(),
            environment=self._environment,
            overrides={},
            on_exchange=self.exchanges.append,
            say=self.said.append,
            latest=latest,
        )

    def start_worker(self) -> None:
        """Starts a worker."""
        self.worker = spawn(WORKER)
        hand_over(self.worker.end, msgspec.json.encode(self._options), (self.listener.fileno(),))

    async def start(self) -> None:
        """Starts both; returns when they serve."""
        self.start_worker()
        await self.gateway.start()
        await self.gateway.workers.wait_serving()

    async def stop(self) -> None:
        """Stops both, the worker first."""
        self.listener.close()
        if self.worker is not None:
            self.worker.process.terminate()
            await asyncio.to_thread(self.worker.process.wait)
            self.worker.end.close()
        await self.gateway.stop()
        self._stack.close()

    async def replace_worker(self) -> None:
        """Kills the worker, and starts another one that serves."""
        (gone,) = self.gateway.workers.alive
        assert self.worker is not None
        self.worker.kill()
        self.start_worker()
        await becomes(lambda: any(each is not gone and each.is_serving for each in self.gateway.workers.alive))

    def write(self, config: Mapping[str, Any]) -> None:
        """Replaces the configuration file; the local engine is another test's matter."""
        providers = {"local": {"enabled": False}} | config.get("providers", {})
        fresh = self.file.with_suffix(".new")
        fresh.write_text(json.dumps({**config, "providers": providers}))
        fresh.replace(self.file)

    async def call(self, path: str, body: Mapping[str, Any] | None = None, key: str = KEY) -> Reply:
        """Calls the public listener from a thread."""
        return await asyncio.to_thread(self._call, path, body, key)

    async def ask(self, model: str = "mock", key: str = KEY, **more: Any) -> Reply:
        """One chat request."""
        return await self.call(
            "/v1/chat/completions", {"model": model, "messages": [{"role": "user", "content": "hi"}], **more}, key
        )

    def _call(self, path: str, body: Mapping[str, Any] | None, key: str) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.listener.getsockname()[1], timeout=30)
        try:
            headers = {"authorization": f"Bearer {key}"}
            connection.request(
                "GET" if body is None else "POST", path, None if body is None else json.dumps(body), headers
            )
            answer = connection.getresponse()
            text = answer.read()
            is_json = "json" in answer.headers["content-type"]
            return Reply(answer.status, json.loads(text) if is_json else text)
        finally:
            connection.close()


async def becomes(condition: Callable[[], bool]) -> None:
    """Gives way to the loop until it is so."""
    while not condition():  # noqa: ASYNC110 - what threads and other processes do sets no event here
        await asyncio.sleep(0.01)


@pytest.fixture
async def provider() -> AsyncIterator[FakeProvider]:
    """Answers with four tokens."""
    async with FakeProvider(Script(chunks=4)) as fake:
        yield fake


def config(provider: FakeProvider, budget: float | None = None, **more: Any) -> dict[str, Any]:
    """One priced model, `mock`, and one key, with a budget if one is given."""
    key: dict[str, Any] = {"name": "ci", "key": KEY}
    return {
        "auth": {"keys": [key if budget is None else key | {"budget": budget}]},
        "providers": {"lab": {"base_url": provider.base_url, "api_key": "sk-lab"}},
        "models": {"mock": {"endpoints": [{"provider": "lab", "model": "fake", "price": PRICE}]}},
        **more,
    }


Launch = Callable[[Mapping[str, Any]], Any]


@pytest.fixture
async def launch(tmp_path: Path) -> AsyncIterator[Launch]:
    """Starts a gateway, which is stopped after the test."""
    started: list[Running] = []

    async def begin(settings: Mapping[str, Any]) -> Running:
        running = Running(tmp_path, settings)
        started.append(running)
        await running.start()
        return running

    yield begin
    for running in started:
        await running.stop()


async def test_a_call_is_answered_and_accounted_for(launch: Launch, provider: FakeProvider) -> None:
    """The record reaches the ledger, the metrics and whoever watches; the first start made a key that works too."""
    running: Running = await launch(config(provider))
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


async def test_workers_questions_are_answered_from_the_ledger(launch: Launch, provider: FakeProvider) -> None:
    """At once after the answer, without waiting for the next round of the ingest."""
    running: Running = await launch(config(provider, budget=1.0))
    answer = await running.ask()
    key = (await running.call("/v1/key")).json["data"]
    assert (key["label"], key["usage"], key["limit"], key["limit_remaining"]) == ("ci", 0.000004, 1.0, 0.999996)
    wallet = (await running.call("/v1/credits")).json["data"]
    assert wallet == {"total_credits": 0.0, "total_usage": 0.000004, "prepaid": False}
    await becomes(lambda: bool(running.exchanges))
    generation = await running.call(f"/v1/generation?id={running.exchanges[0].id}")
    assert generation.json["data"]["total_cost"] == answer.json["usage"]["cost"] == 0.000004
    assert (await running.call("/v1/generation?id=gen-0")).status == 404


async def test_what_a_worker_sees_is_shown_and_outlives_it(launch: Launch, provider: FakeProvider) -> None:
    """In the figures of the endpoint; whoever comes after it, another worker or another start, knows of it."""
    running: Running = await launch(config(provider))
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


async def test_breakers_are_shown_for_every_endpoint(launch: Launch, provider: FakeProvider) -> None:
    """Closed where nothing else is known; endpoints that are not configured any more are gone."""
    running: Running = await launch(config(provider))

    def shown() -> dict[str, float]:
        page = running.gateway.metrics_text().decode()
        return {
            name: float(value)
            for name, value in re.findall(r'^tokenway_breaker_state\{endpoint="(.*)"\} (.*)$', page, re.MULTILINE)
        }

    assert shown() == {"lab/fake": 0.0}
    (worker,) = running.gateway.workers.alive
    worker.gauges = Gauges(0, 0.0, {}, {"lab/fake": 2, "lab/never-configured": 1})
    assert shown() == {"lab/fake": 2.0}
    settings = config(provider)
    settings["models"]["mock"]["endpoints"][0]["model"] = "other"
    running.write(settings)
    running.gateway.reload()
    await becomes(lambda: shown() == {"lab/other": 0.0})


async def test_kept_responses_reach_the_store_and_come_back(launch: Launch, provider: FakeProvider) -> None:
    """As long as the settings say; with none at all they have ended at once."""
    running: Running = await launch(config(provider))
    made = await running.call("/v1/responses", {"model": "mock", "input": "hi"})
    assert (await running.call(f"/v1/responses/{made.json['id']}")).json["status"] == "completed"
    running.write(config(provider, responses={"retention": 0}))
    running.gateway.reload()
    await becomes(lambda: any("was read again" in said for said in running.said))
    await running.gateway.responses.settled()
    (worker,) = running.gateway.workers.alive
    gone = StoredResponse("resp_1", "default", 1.0, "m", "p/up", "completed", b"{}", b"[]")
    running.gateway.responses.take(worker, Keep(gone, 99))
    assert await running.gateway._answer(Question(1, "response", "k1", "resp_1", "default")) is None


async def test_what_a_worker_left_unfinished_has_failed(launch: Launch, provider: FakeProvider) -> None:
    """As soon as it has ended for good."""
    running: Running = await launch(config(provider))
    (worker,) = running.gateway.workers.alive
    going = StoredResponse("resp_1", "default", 1.0, "m", "p/up", "in_progress", b"{}", b"[]")
    running.gateway.responses.take(worker, Keep(going, 99))
    await running.replace_worker()
    found = await running.gateway._answer(Question(1, "response", "k1", "resp_1", "default"))
    assert found is not None
    assert msgspec.msgpack.decode(found, type=StoredResponse).status == "failed"


async def test_another_control_process_takes_up_the_work(launch: Launch, provider: FakeProvider) -> None:
    """With the worker that is there, by the configuration in force; what is left of its budget is all that it has."""
    running: Running = await launch(config(provider, budget=0.000010))
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


async def test_a_database_that_is_away_is_waited_for(
    launch: Launch, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a control process that takes up the work; it says so once, and the worker serves on meanwhile."""
    running: Running = await launch(config(provider))
    await running.gateway.stop(in_haste=True)
    tries = []

    def away(*_: object) -> None:
        tries.append(1)
        raise StoreError("the database cannot be reached")

    monkeypatch.setattr("tokenway.compose.gateway.AGAIN_SECONDS", 0.01)
    with monkeypatch.context() as patched:
        patched.setattr("tokenway.compose.gateway.open_store", away)
        running.gateway = running.another()
        tasks = Tasks(lambda _name, _error: None)
        starting = tasks.start("start", running.gateway.start(is_first=False))
        await becomes(lambda: len(tries) > 3)
        assert (await running.ask()).status == 200
    await starting
    assert running.said.count("the database cannot be reached; it is tried again, and the workers go on meanwhile") == 1
    await becomes(lambda: len(running.exchanges) == 1)


async def test_a_snapshot_that_could_not_be_made_is_made_later(
    launch: Launch, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A changed configuration reaches the workers though the database was locked when it came."""
    running: Running = await launch(config(provider))
    monkeypatch.setattr("tokenway.compose.gateway.AGAIN_SECONDS", 0.01)
    drain = Ingest.drain
    failures = iter(range(3))

    def failing(self: Ingest) -> int:
        if next(failures, None) is not None:
            raise sqlite3.OperationalError("database is locked")
        return drain(self)

    monkeypatch.setattr(Ingest, "drain", failing)
    running.write(config(provider, aliases={"other": "mock"}))
    running.gateway.reload()
    while (await running.ask("other")).status == 404:
        pass
    assert next(failures, None) is None


async def test_a_question_that_fails_is_answered_at_once(
    launch: Launch, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a 503, and not with silence or with nothing found."""
    running: Running = await launch(config(provider))

    def failing(*_: object) -> None:
        raise sqlite3.OperationalError("database is locked")

    monkeypatch.setattr("tokenway.store.usage.SqlUsage.generation", failing)
    async with asyncio.timeout(5):
        assert (await running.call("/v1/generation?id=gen-1")).status == 503


async def test_a_key_that_another_process_made_is_let_in(launch: Launch, provider: FakeProvider) -> None:
    """The command line writes to the store, and the workers hear of it."""
    running: Running = await launch(config(provider))
    store = open_sqlite(running.data / "tokenway.db")
    made = store.accounts.keys.create("laptop", by=CLI).secret.reveal()
    while (await running.ask(key=made)).status == 401:
        pass  # a call takes long enough
    store.accounts.keys.revoke("laptop", by=CLI)
    store.close()
    while (await running.ask(key=made)).status == 200:
        pass
    assert (await running.ask(key=made)).status == 401


async def test_a_reload_takes_effect_in_the_workers(launch: Launch, provider: FakeProvider) -> None:
    """A new alias works, a mistake changes nothing and is said."""
    running: Running = await launch(config(provider))
    assert (await running.ask("other")).status == 404
    running.write(config(provider, aliases={"other": "mock"}))
    running.gateway.reload()
    while (await running.ask("other")).status == 404:
        pass
    running.file.write_text("aliases: {other: nobody}")
    running.gateway.reload()
    await becomes(lambda: "the configuration was not changed: correct the errors above" in running.said)
    assert (await running.ask("other")).status == 200


async def test_a_budget_that_is_gone_is_shown_no_more(launch: Launch, provider: FakeProvider) -> None:
    """The gauge of what a worker may spend for a key ends with the key's budget."""

    def is_shown() -> bool:
        return b"tokenway_lease_remaining{" in running.gateway.metrics_text()

    running: Running = await launch(config(provider, budget=1.0))
    await becomes(is_shown)
    running.write(config(provider))
    running.gateway.reload()
    await becomes(lambda: not is_shown())


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


async def test_a_killed_worker_takes_no_budget_with_it(launch: Launch, provider: FakeProvider) -> None:
    """Ten tokens' worth of budget pay for two answers of four, however often the worker dies in between."""
    running: Running = await launch(config(provider, budget=0.000010))
    statuses = []
    for _ in range(3):
        statuses.append((await running.ask(max_tokens=4)).status)
        await running.replace_worker()
    assert statuses == [200, 200, 402]
    assert sum(record.charged for record in running.exchanges) == 8_000


async def test_a_failing_round_does_not_end_the_bookkeeping(
    launch: Launch, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A disk that is full for a while is told once, and everything is in the ledger afterwards."""
    running: Running = await launch(config(provider))
    monkeypatch.setattr("tokenway.compose.gateway.AGAIN_SECONDS", 0.01)
    round_of_ingest = Ingest.run_once
    failures = iter(range(3))

    def run_once(self: Ingest) -> int:
        if next(failures, None) is not None:
            raise sqlite3.OperationalError("database or disk is full")
        return round_of_ingest(self)

    monkeypatch.setattr(Ingest, "run_once", run_once)
    assert (await running.ask()).status == 200
    await becomes(lambda: len(running.exchanges) == 1)
    told = [record for record in caplog.records if "is tried again" in record.message]
    assert next(failures, None) is None
    (said,) = [record.message for record in told]
    assert said.startswith("reading the journals failed and is tried again: ")


async def test_a_model_without_a_provider_is_listed_and_says_so(launch: Launch, provider: FakeProvider) -> None:
    """503, because nothing is wrong with the request."""
    settings = config(provider)
    settings["providers"]["lab"]["enabled"] = False
    running: Running = await launch(settings)
    listed = await running.call("/v1/models")
    assert [model["id"] for model in listed.json["data"]] == ["mock"]
    assert listed.json["data"][0]["endpoints"] == []
    refused = await running.ask()
    assert (refused.status, refused.json["error"]["code"]) == (503, "no_endpoints")


async def test_a_caller_may_say_what_is_slow(launch: Launch, provider: FakeProvider) -> None:
    """`provider.min_tps` goes before the model's own floor, and is not sent on."""
    running: Running = await launch(config(provider))
    for floor in (0.001, 1e12):
        # A pause between its events, because a speed needs two moments.
        assert (await running.ask("lab/fake?gap=0.01", stream=True, provider={"min_tps": floor})).status == 200
    await becomes(lambda: len(running.exchanges) == 2)
    assert [record.slow for record in running.exchanges] == [False, True]
    assert "provider" not in provider.requests[-1].json


async def test_a_newer_database_ends_the_start(tmp_path: Path, provider: FakeProvider) -> None:
    """Nothing of it is changed, and nothing keeps running."""
    running = Running(tmp_path, config(provider))
    open_sqlite(running.data / "tokenway.db").close()
    with sqlite3.connect(running.data / "tokenway.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    with pytest.raises(StoreError, match="newer"):
        await running.gateway.start()
    await running.stop()


async def test_a_database_that_fails_at_the_first_start_is_one_sentence(
    tmp_path: Path, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the driver raises."""

    def failing(*_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr("tokenway.store.keys.SqlKeys.bootstrap", failing)
    running = Running(tmp_path, config(provider))
    with pytest.raises(StoreError, match=r"^the database cannot be used: disk I/O error$"):
        await running.gateway.start()
    await running.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="threads have a niceness of their own on Linux only")
@pytest.mark.parametrize("steps", [0, 10, 18])
def test_the_stores_thread_gives_way_from_wherever_the_process_is(steps: int) -> None:
    """A process that was started nice must not have to ask for more than it has: only root could."""
    program = (
        "import os, sys, threading; from concurrent.futures import ThreadPoolExecutor; "
        "from tokenway.compose.gateway import _give_way; os.nice(int(sys.argv[1])); "
        "pool = ThreadPoolExecutor(1, initializer=_give_way); "
        "mine = pool.submit(lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id())).result(); "
        "print(mine, os.getpriority(os.PRIO_PROCESS, 0))"
    )
    told = subprocess.run([sys.executable, "-c", program, str(steps)], capture_output=True, text=True, check=True)
    thread, process = map(int, told.stdout.split())
    assert thread == min(NICENESS_MAX, process + STORE_NICENESS)


def test_a_thread_that_may_not_lower_itself_serves_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a sandbox that allows no such call."""

    def refused(*_: int) -> None:
        raise PermissionError

    monkeypatch.setattr("os.setpriority", refused)
    with ThreadPoolExecutor(1, initializer=_give_way) as pool:
        assert pool.submit(lambda: 7).result() == 7
