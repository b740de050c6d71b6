"""Both event loops: production runs uvloop, and plain asyncio has to work as well."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest
import uvloop

from tokenway.aio.tasks import Tasks


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Each test of this folder that awaits runs on both loops."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@dataclass
class Watched:
    """Tasks whose failures a test sees."""

    errors: list[BaseException] = field(default_factory=list)
    tasks: Tasks = field(init=False)

    def __post_init__(self) -> None:
        self.tasks = Tasks(lambda _name, error: self.errors.append(error))


@pytest.fixture
async def tasks() -> AsyncIterator[Tasks]:
    """Tasks of which none may fail or be left running."""
    watched = Watched()
    yield watched.tasks
    assert watched.errors == []
    assert len(watched.tasks) == 0
