"""Limits of the configuration over real sockets: who waits for one goes in turn, and at once."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.e2e.conftest import Launch
from tests.e2e.gateway import PRICE, configuration
from tests.e2e.raw import Raw, chat, post
from tests.fake_provider import FakeProvider

pytestmark = pytest.mark.asyncio(loop_scope="module")

CALLS = 20
LIMIT = 2
SECONDS = 0.3
"""How long each answer takes."""


async def test_a_crowd_at_a_limit_is_served_in_its_order_without_a_pause(
    launch: Launch, provider: FakeProvider
) -> None:
    """Twenty callers of a model that takes two at once: as long as that takes, and no longer."""
    slow = {"provider": "lab", "model": f"fake?delay={SECONDS}", "price": PRICE, "limits": {"concurrency": LIMIT}}
    gateway = await launch(configuration(provider.base_url, server={"workers": 1}, models={"m": {"endpoints": [slow]}}))
    before = len(provider.requests)
    ended: list[int] = []

    async def call(number: int) -> None:
        await asyncio.sleep(0.02 * number)
        async with Raw(gateway.port) as raw:
            await raw.send(post(chat("m", stream=number % 2 == 0, user=f"caller-{number}")))
            answer = await raw.answer()
        assert answer.status == 200
        ended.append(number)

    start = time.monotonic()
    await asyncio.gather(*map(call, range(CALLS)))
    took = time.monotonic() - start
    asked = [int(each.json["user"].removeprefix("caller-")) for each in provider.requests[before:]]
    assert asked == list(range(CALLS))
    assert all(abs(place - number) <= LIMIT for place, number in enumerate(ended))
    assert CALLS / LIMIT * SECONDS <= took < 1.6 * CALLS / LIMIT * SECONDS
