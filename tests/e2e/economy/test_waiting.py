"""`limits.queue`: callers wait for a place or the next minute, for so long, so many, and as long as they are there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Final

import pytest
import pytest_asyncio

from tests.e2e.conftest import Launch
from tests.e2e.control import clock
from tests.e2e.gateway import KEY, Gateway, configuration, serving, until
from tests.e2e.raw import Answer, Raw, chat
from tests.fake_provider import FakeProvider, Script
from tokenway.edge.waiting import KEY_MAX

pytestmark = pytest.mark.asyncio(loop_scope="module")

QUEUE: Final = 3.0
MINUTE: Final = 60.0
SOON: Final = 1.0
"""Seconds within which a call is answered that has not waited."""


def request(key: str, *lines: str) -> bytes:
    """A call of a key; `lines` are more of its headers."""
    body = chat(max_tokens=16)
    head = ("POST /v1/chat/completions HTTP/1.1", "host: x", f"authorization: Bearer {key}", *lines)
    return "\r\n".join([*head, f"content-length: {len(body)}", "", ""]).encode() + body


async def call(gateway: Gateway, key: str = KEY, *lines: str) -> tuple[Answer, float]:
    """What one call gets, and after how many seconds."""
    began = monotonic()
    async with Raw(gateway.port) as raw:
        await raw.send(request(key, *lines))
        return await raw.answer(), monotonic() - began


def keys(**limits: int) -> dict[str, object]:
    """The section of a configuration that has one key with these limits, and another one like it."""
    return {"keys": [{"name": name, "key": key, "limits": limits} for name, key in (("ci", KEY), ("more", "sk-more"))]}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def gateway(provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    """Keys with one place each, for which calls wait three seconds."""
    config = configuration(provider.base_url, auth=keys(concurrency=1), limits={"queue": f"{QUEUE}s"})
    async with serving(tmp_path_factory.mktemp("waiting"), config) as running:
        yield running
        assert running.reservations() == []


@asynccontextmanager
async def held(gateway: Gateway, provider: FakeProvider) -> AsyncIterator[None]:
    """The key's place is taken; free again at the end."""
    gate = asyncio.Semaphore(0)
    provider.queue(Script(chunks=1, gate=gate))
    async with Raw(gateway.port) as raw:
        before = len(provider.requests)
        await raw.send(request(KEY).replace(b'"stream": false', b'"stream": true '))
        await until(lambda: len(provider.requests) > before)
        yield
        gate.release()
        assert (await raw.answer()).status == 200


async def test_a_place_is_waited_for(gateway: Gateway, provider: FakeProvider) -> None:
    """It is served when the place is free, and not before."""
    began = monotonic()
    async with Raw(gateway.port) as raw:
        async with held(gateway, provider):
            await raw.send(request(KEY))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.7):
                    await raw.reader.read(1)
        assert (await raw.answer()).status == 200
    assert monotonic() - began < QUEUE


async def test_nobody_waits_longer_than_that(gateway: Gateway, provider: FakeProvider) -> None:
    """Nor longer than the call's own deadline; who is refused is told that he may come back."""
    async with held(gateway, provider):
        (late, seconds), (short, shorter) = await asyncio.gather(
            call(gateway), call(gateway, KEY, "x-tokenway-timeout: 0.5")
        )
        assert late.status == 429
        assert QUEUE - 0.2 <= seconds < QUEUE + SOON
        assert (late.error["code"], late.headers["x-should-retry"]) == ("rate_limit_exceeded", "true")
        assert int(late.headers["retry-after"]) >= 1
        assert short.status == 504
        assert 0.5 <= shorter < 0.5 + SOON
    assert (await call(gateway))[0].status == 200


async def test_who_leaves_frees_his_place_in_the_line(gateway: Gateway, provider: FakeProvider) -> None:
    """However he leaves; who stands behind him is served as if he had never been there, and nothing is sent for him."""
    async with Raw(gateway.port) as behind:
        async with held(gateway, provider):
            before = len(provider.requests)
            for leave in ("close", "reset"):
                async with Raw(gateway.port) as raw:
                    await raw.send(request(KEY))
                    await asyncio.sleep(0.2)
                    if leave == "reset":
                        raw.reset()
            await behind.send(request(KEY))
        assert (await behind.answer()).status == 200
    assert len(provider.requests) == before + 1


async def test_so_many_wait_and_no_more(gateway: Gateway, provider: FakeProvider) -> None:
    """Of one key; the next one is told at once, and has a place when another one leaves. Other keys are served."""
    waiting: list[Raw] = []
    async with held(gateway, provider):
        began = monotonic()
        for _ in range(KEY_MAX):
            raw = await Raw(gateway.port).__aenter__()
            await raw.send(request(KEY))
            waiting.append(raw)
        refused, seconds = await call(gateway)
        assert (refused.status, refused.headers["x-should-retry"]) == (429, "true")
        assert "wait" in refused.error["message"]
        assert seconds < SOON
        assert (await call(gateway, "sk-more"))[0].status == 200
        assert monotonic() - began < QUEUE, "those who wait have been refused by now"
        waiting.pop().reset()

        async def has_a_place() -> bool:
            found, took = await call(gateway)
            assert found.status == 429
            return took > SOON

        await until(has_a_place, 3 * QUEUE)  # a call that has one waits as long as that itself
    for raw in waiting:
        await raw.__aexit__()
    assert (await call(gateway))[0].status == 200


@pytest.fixture
def late_in_a_minute(tmp_path: Path) -> dict[str, str]:
    """The environment of a gateway on whose clock a minute has 14 seconds left now."""
    return clock(tmp_path, MINUTE - 14.0 - time.time() % MINUTE)


@pytest.mark.slow
async def test_the_next_minute_is_waited_for(
    launch: Launch, provider: FakeProvider, late_in_a_minute: dict[str, str]
) -> None:
    """Where it comes within that time, and else it is told at once when it comes."""
    config = configuration(provider.base_url, auth=keys(rpm=2), limits={"queue": "4s"})
    gateway = await launch(config, **late_in_a_minute)
    assert [(await call(gateway))[0].status for _ in range(2)] == [200, 200]
    refused, seconds = await call(gateway)
    left = int(refused.headers["retry-after-ms"]) / 1000
    assert (refused.status, refused.error["code"]) == (429, "rate_limit_exceeded")
    assert seconds < SOON
    assert 4 < left <= 14
    await asyncio.sleep(left - 2.5)
    found = await asyncio.gather(*(call(gateway) for _ in range(3)))
    served = [seconds for answer, seconds in found if answer.status == 200]
    assert len(served) == 2
    assert all(2.0 < seconds < 4.0 for seconds in served)
    ((last, seconds),) = [each for each in found if each[0].status == 429]
    assert seconds < 4.0 + SOON
    assert 50 < int(last.headers["retry-after"]) <= MINUTE
