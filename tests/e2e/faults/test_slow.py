"""The rows of the catalogue that wait for a deadline. All are asked at once, and each test looks at its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx2
import openai
import pytest
import pytest_asyncio

from tests.e2e.faults.catalogue import SLOW, Row
from tests.e2e.faults.looks import check
from tests.e2e.gateway import Gateway
from tokenway.aio.tasks import Tasks

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def checks(
    gateway: Gateway, client: openai.AsyncOpenAI, raw: httpx2.AsyncClient
) -> AsyncIterator[dict[str, asyncio.Task[None]]]:
    """What goes on for each row; a failure is its own test's."""
    tasks = Tasks(lambda _name, _error: None)
    yield {row.name: tasks.start(row.name, check(gateway, client, raw, row)) for row in SLOW}
    await tasks.close()


@pytest.mark.parametrize("row", SLOW, ids=[row.name for row in SLOW])
async def test_a_slow_fault(checks: dict[str, asyncio.Task[None]], row: Row) -> None:
    """Whatever is waited for ends in time: with an answer where one is possible, else with an error that is one."""
    await checks[row.name]
