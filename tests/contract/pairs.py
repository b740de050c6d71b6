"""An SDK that calls a fake provider without a gateway between."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.fake_provider import FakeProvider
from tests.sdks.certificate import Certificate
from tests.sdks.clients import NEEDS_TLS, connect
from tests.sdks.expected import CALLERS
from tests.sdks.seen import Client
from tokenway.model.catalog import Dialect


@dataclass
class Pair:
    """The two, and the dialect they speak."""

    dialect: Dialect
    client: Client
    provider: FakeProvider


@asynccontextmanager
async def paired(sdk: str, folder: Path) -> AsyncIterator[Pair]:
    """An SDK and a provider of its own, whose code may not fail; with TLS where the SDK wants it."""
    certificate = Certificate(folder)
    async with FakeProvider(tls=certificate.context() if sdk in NEEDS_TLS else None) as provider:
        client = connect(sdk, provider.origin, "sk-fake", certificate.authority)
        yield Pair(Dialect(CALLERS[sdk]), client, provider)
        await client.close()
        assert provider.errors == []
