"""A gateway with one worker, for the tests of what the control process is made of."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import socket
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from tests.fake_provider import FakeProvider
from tokenway.compose.gateway import Gateway
from tokenway.compose.handover import hand_over
from tokenway.compose.listeners import workers_listener
from tokenway.compose.paths import JOURNALS
from tokenway.compose.spawn import WORKER, Born, spawn
from tokenway.control.config import Loaded, load
from tokenway.metering.ledger import Settled
from tokenway.model.worker import WorkerOptions

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


def config(provider: FakeProvider, budget: float | None = None, **more: Any) -> dict[str, Any]:
    """One priced model, `mock`, and one key, with a budget if one is given."""
    key: dict[str, Any] = {"name": "ci", "key": KEY}
    return {
        "auth": {"keys": [key if budget is None else key | {"budget": budget}]},
        "providers": {"lab": {"base_url": provider.base_url, "api_key": "sk-lab"}},
        "models": {"mock": {"endpoints": [{"provider": "lab", "model": "fake", "price": PRICE}]}},
        **more,
    }


Launch = Callable[[Mapping[str, Any]], Awaitable[Running]]
"""Starts a gateway, which is stopped after the test."""
