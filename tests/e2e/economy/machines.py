"""Two machines that share their servers."""

from __future__ import annotations

from typing import Any

from tests.e2e.conftest import Launch
from tests.e2e.gateway import KEY, PRICE, Gateway, configuration
from tests.fake_provider import FakeProvider
from tests.servers.valkey import ValkeyServer

SEAL = "one-secret-for-all-machines-that-is-long-enough"


async def pair(
    launch: Launch, provider: FakeProvider, url: str, valkey: ValkeyServer, *, upstream: str = "fake", **key: Any
) -> list[Gateway]:
    """Two machines, two workers each, with one configuration, whose only key has these limits."""
    shared = {
        "store": url,
        "shared": valkey.url(),
        "server": {"workers": 2},
        "auth": {"keys": [{"name": "ci", "key": KEY} | key]},
        "models": {"mock": {"endpoints": [{"provider": "lab", "model": upstream, "price": PRICE}]}},
    }
    config = configuration(provider.base_url, **shared)
    first = await launch(config, TOKENWAY_SECRET_KEY=SEAL)  # makes the tables
    return [first, await launch(config, TOKENWAY_SECRET_KEY=SEAL)]
