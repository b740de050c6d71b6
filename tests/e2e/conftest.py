"""A gateway and a fake provider for each file of tests, and as many more gateways as a test wants."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import httpx2
import openai
import psutil
import pytest
import pytest_asyncio

from tests.e2e import sdk_matrix
from tests.e2e.callers import dial
from tests.e2e.gateway import KEY, WAIT_SECONDS, Gateway, configuration, serving, until
from tests.fake_provider import FakeProvider

Launch = Callable[..., Awaitable[Gateway]]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def provider() -> AsyncIterator[FakeProvider]:
    """A provider that behaves unless a test says otherwise."""
    async with FakeProvider() as fake:
        yield fake
        assert fake.errors == []


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def gateway(provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    """A gateway in front of it, which ends well and has no exception to tell of."""
    async with serving(tmp_path_factory.mktemp("gateway"), configuration(provider.base_url)) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def five(provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    """A gateway with a provider of every dialect, and a model for every case of each. It asks once."""
    async with serving(
        tmp_path_factory.mktemp("gateway"), sdk_matrix.configuration(provider, retries={"max": 0})
    ) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def http(five: Gateway) -> AsyncIterator[httpx2.AsyncClient]:
    """An HTTP client of that gateway."""
    async with dial(five) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def raw(gateway: Gateway) -> AsyncIterator[httpx2.AsyncClient]:
    """An HTTP client of the file's gateway."""
    async with dial(gateway) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def client(gateway: Gateway) -> AsyncIterator[openai.AsyncOpenAI]:
    """OpenAI's client of it, without retries of its own, so that each call is one call."""
    async with openai.AsyncOpenAI(base_url=gateway.base_url, api_key=KEY, max_retries=0, timeout=WAIT_SECONDS) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def unharmed(gateway: Gateway) -> AsyncIterator[None]:
    """Whatever is sent here, no worker ends and no exchange stays open."""
    (before,) = gateway.workers()
    yield
    (after,) = gateway.workers()
    assert after.pid == before.pid
    assert after.status() != psutil.STATUS_ZOMBIE
    await until(lambda: not gateway.reservations())


@pytest.fixture(scope="module")
def dead_port() -> Iterator[int]:
    """A port at which connections are refused: it is bound, so nobody else gets it, and nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@pytest.fixture(scope="module")
def mute_port() -> Iterator[int]:
    """A port that never completes a connection: its queue of connections to accept is full."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        bound.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(bound.getsockname())
        yield bound.getsockname()[1]
        for each in waiting:
            each.close()


@pytest_asyncio.fixture(loop_scope="module")
async def launch(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Launch]:
    """Starts a gateway with a configuration and an environment of the test's own."""
    started: list[Gateway] = []

    async def start(config: dict[str, Any], **environment: str) -> Gateway:
        running = Gateway(tmp_path_factory.mktemp("gateway"), config, environment)
        started.append(running)
        return await running.start()

    yield start
    await asyncio.gather(*(running.stop() for running in started))
    for running in started:
        assert "Traceback" not in running.complaints, running.complaints
