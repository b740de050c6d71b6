"""A provider, and gateways that call it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.fake_provider import FakeProvider, Script
from tests.unit.compose.running import Launch, Running


@pytest.fixture
async def provider() -> AsyncIterator[FakeProvider]:
    """Answers with four tokens."""
    async with FakeProvider(Script(chunks=4)) as fake:
        yield fake


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
