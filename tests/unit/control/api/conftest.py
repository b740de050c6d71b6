"""One API for each file of tests, and an admin who speaks to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from tests.unit.control.api.server import Api, serving


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    """The control API over a store of its own; it has nothing to complain of at its end."""
    async with serving(tmp_path_factory.mktemp("api")) as running:
        yield running
        assert [line for line in running.said if "was read again" not in line] == []


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def admin(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the token of the first start."""
    async with api.client() as client:
        yield client
