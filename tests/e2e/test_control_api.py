"""The control API of a real gateway: what is changed there is so at the workers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import psutil
import pytest
import pytest_asyncio

from tests.e2e.conftest import Launch
from tests.e2e.control import admin_of
from tests.e2e.gateway import KEY, Gateway, configuration, until
from tests.e2e.raw import Raw, chat, post
from tests.fake_provider import FakeProvider, Script

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def admin(gateway: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    """An admin of the file's gateway."""
    async with admin_of(gateway) as client:
        yield client


async def status_of(gateway: Gateway, key: str, model: str = "mock") -> int:
    """What a call of a model comes to."""
    async with httpx.AsyncClient(timeout=30) as client:
        body = {"model": model, "messages": [{"role": "user", "content": "x"}]}
        headers = {"authorization": f"Bearer {key}"}
        return (await client.post(f"{gateway.base_url}/chat/completions", json=body, headers=headers)).status_code


async def test_a_published_model_is_served_and_rolled_back(gateway: Gateway, admin: httpx.AsyncClient) -> None:
    """Within two seconds, while a stream that is under way goes on."""
    endpoint = {"provider": "lab", "model": "fake", "price": {"input": "1", "output": "2"}}
    document = {"models": {"published": {"endpoints": [endpoint]}}}
    answer = await admin.post("/snapshots", json={"document": document, "version": 0})
    assert answer.status_code == 201, answer.text

    async def is_served() -> bool:
        return await status_of(gateway, KEY, "published") == 200

    async def is_gone() -> bool:
        return await status_of(gateway, KEY, "published") == 404

    await until(is_served, 2)
    assert (await admin.post("/snapshots/0/publish", json={"version": 1})).status_code == 201
    await until(is_gone, 2)
    assert await status_of(gateway, KEY) == 200


async def test_a_stream_goes_on_while_it_is_published(
    gateway: Gateway, admin: httpx.AsyncClient, provider: FakeProvider
) -> None:
    """It ends by the configuration that it began with."""
    gate = asyncio.Semaphore(1)
    provider.queue(Script(chunks=3, gate=gate))
    async with Raw(gateway.port) as raw:
        await raw.send(post(chat(stream=True)))
        assert (await raw.head())[0] == 200
        version = (await admin.get("/snapshots")).json()["data"][0]["version"]
        body = {"model": "mock", "version": version}
        assert (await admin.put("/aliases/meanwhile", json=body)).status_code == 200

        async def is_served() -> bool:
            return await status_of(gateway, KEY, "meanwhile") == 200

        await until(is_served, 2)
        for _ in range(3):
            gate.release()
        assert b"[DONE]" in b"".join([chunk async for chunk in raw.chunks()])


async def test_a_key_that_is_made_works_and_one_that_is_revoked_does_not(
    gateway: Gateway, admin: httpx.AsyncClient
) -> None:
    """On all workers."""
    made = (await admin.post("/keys", json={"name": "e2e"})).json()

    async def works() -> bool:
        return await status_of(gateway, made["secret"]) == 200

    async def is_refused() -> bool:
        return await status_of(gateway, made["secret"]) == 401

    await until(works, 5)
    assert (await admin.post(f"/keys/{made['key']['id']}/revoke")).status_code == 200
    await until(is_refused, 5)
    refused = await admin.delete(f"/keys/{made['key']['id']}")
    assert refused.status_code == 409
    assert "archive" in refused.json()["detail"]


async def test_what_was_called_is_in_the_reports(gateway: Gateway, admin: httpx.AsyncClient) -> None:
    """Usage, ledger, proof."""
    assert await status_of(gateway, KEY) == 200
    (total,) = (await admin.get("/usage", params={"model": "mock"})).json()["data"]
    listed = (await admin.get("/ledger", params={"model": "mock", "limit": 200})).json()["data"]
    assert total["calls"] == len(listed) > 0
    proof = (await admin.post("/ledger/verify")).json()
    assert (proof["holds"], proof["faults"]) == (True, [])
    (node,) = (await admin.get("/nodes")).json()["data"]
    assert node["fault"] == ""


async def test_what_was_published_is_in_force_after_a_restart(launch: Launch, provider: FakeProvider) -> None:
    """With its secrets."""
    gateway = await launch(configuration(provider.base_url, models={}))
    document = {
        "providers": {"again": {"base_url": provider.base_url, "api_key": "sk-kept-over-a-restart"}},
        "models": {"kept": {"endpoints": [{"provider": "again", "model": "fake"}]}},
    }
    async with admin_of(gateway) as admin:
        assert (await admin.post("/snapshots", json={"document": document, "version": 0})).status_code == 201
    assert await gateway.stop() == 0
    await gateway.start()
    assert await status_of(gateway, KEY, "kept") == 200
    kept = b"".join(each.read_bytes() for each in gateway.data_dir.rglob("*") if each.is_file())
    assert b"sk-kept-over-a-restart" not in kept
    assert gateway.process is not None
    assert psutil.Process(gateway.process.pid).is_running()
