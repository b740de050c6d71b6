"""Limits over one machine with two workers: names, prepaid projects, and what is charged, as callers see it."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import Launch
from tests.e2e.gateway import KEY, PRICE, Gateway, configuration, until
from tests.e2e.raw import Answer, Raw, chat, post
from tests.fake_provider import FakeProvider

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def ask(gateway: Gateway, model: str = "mock") -> Answer:
    """What one call gets."""
    async with Raw(gateway.port) as raw:
        await raw.send(post(chat(model, max_tokens=16)))
        return await raw.answer()


async def test_no_name_is_a_way_round_a_models_limit(launch: Launch, provider: FakeProvider) -> None:
    """The model's budget is gone: an alias, its endpoint and a suffix get 402 as its own name does."""
    endpoints = [{"provider": "lab", "model": "fake", "price": PRICE}]
    models = {"mock": {"endpoints": endpoints, "quota": {"budget": 0.0}}}
    gateway = await launch(configuration(provider.base_url, models=models, aliases={"nick": "mock"}))
    for name in ("mock", "nick", "mock:nitro", "nick:floor", "lab/fake"):
        answer = await ask(gateway, name)
        assert (name, answer.status) == (name, 402)


async def test_a_prepaid_project_of_the_configuration_spends_what_was_paid_in(
    launch: Launch, provider: FakeProvider
) -> None:
    """402 before, 200 after; the markup is in what the caller is told and in the ledger, to the nano-dollar."""
    keys = [{"name": "ci", "key": KEY, "project": "web"}]
    projects = {"web": {"prepaid": True, "markup": 0.1}}
    gateway = await launch(
        configuration(provider.base_url, server={"workers": 2}, auth={"keys": keys}, projects=projects)
    )
    assert (await ask(gateway)).status == 402
    await gateway.run("credits", "add", "web", "1")

    async def is_served() -> bool:
        return (await ask(gateway)).status == 200

    await until(is_served)
    answer = await ask(gateway)
    entry = await gateway.entry(answer.headers["x-request-id"])
    assert entry.cost is not None
    assert entry.charged == (entry.cost * 11 + 5) // 10
    assert round(answer.json["usage"]["cost"] * 10**9) == entry.charged
