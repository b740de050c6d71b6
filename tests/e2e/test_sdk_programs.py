"""Clients that are built upon the vendors' protocols, through the gateway, to every dialect of an upstream."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.contract.test_fake_provider_programs import EXPECTED
from tests.e2e import sdk_matrix
from tests.e2e.gateway import KEY, Gateway, serving
from tests.e2e.sdk_matrix import model
from tests.fake_provider import FakeProvider
from tests.sdks.programs import PROGRAMS, run

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def gateway(provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    """A gateway in front of a provider for each dialect that it speaks."""
    async with serving(tmp_path_factory.mktemp("gateway"), sdk_matrix.configuration(provider)) as running:
        yield running


@pytest.mark.parametrize("package", PROGRAMS)
async def test_a_program_sees_every_upstream_alike(gateway: Gateway, package: str) -> None:
    """Text, counts and calls are the same, whoever answers behind the gateway."""
    spoken = sorted(sdk_matrix.spoken())
    tasks = [
        (dialect, model(upstream, "text"), model(upstream, "tools"))
        for dialect in PROGRAMS[package]
        if dialect in spoken
        for upstream in spoken
    ]
    saw = await run(package, gateway.base_url.removesuffix("/v1"), KEY, tasks)
    assert saw == [EXPECTED] * len(tasks)
