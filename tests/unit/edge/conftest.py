"""The inside of a worker, on both event loops: production runs uvloop, and plain asyncio has to work as well."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
import uvloop

from tests.fake_provider import FakeProvider
from tests.unit.edge.inside import Inside


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Each test of this folder that awaits runs on both loops."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
async def provider() -> AsyncIterator[FakeProvider]:
    """A provider that behaves unless a test says otherwise."""
    async with FakeProvider() as fake:
        yield fake
        assert fake.errors == []


@pytest.fixture
async def inside(provider: FakeProvider) -> AsyncIterator[Inside]:
    """A worker's inside in front of it, which is left without an open exchange and without an unseen failure."""
    async with Inside(provider) as made:
        yield made
