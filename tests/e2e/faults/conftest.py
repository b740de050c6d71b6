"""One gateway in front of two providers: the first meets the faults of the catalogue, the second stands by."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, Final

import pytest
import pytest_asyncio

from tests.e2e.faults.catalogue import PROMPT, ROWS, SPARE, Row
from tests.e2e.gateway import PRICE, Gateway, configuration, serving, until
from tests.fake_provider import FakeProvider, Script

TIMEOUTS: Final = {"connect": "1s", "first_token": "1.5s", "between_tokens": "1s", "total": "6s"}
"""Short, so that every deadline passes here; the two tries of a row that is late fit into the whole."""
CALLERS: Final = ("chat", "messages")
FORMS: Final = ("whole", "stream")


def names(row: Row) -> list[str]:
    """The names of a row's models: each kind of call has an endpoint of its own, so that none learns from another."""
    kinds = [f"{caller}.{form}.{kind}" for caller in CALLERS for form in FORMS for kind in ("alone", "backed")]
    return [f"{row.slug}.{kind}" for kind in kinds]


def treatments() -> dict[str, Script]:
    """What the first provider does, by model."""
    return {name: replace(row.script, prompt=PROMPT) for row in ROWS for name in names(row)}


def wall(first: FakeProvider, second: FakeProvider, **more: Any) -> dict[str, Any]:
    """A configuration in which every row has a provider, and every kind of call of it a model, of its own."""
    providers = {row.slug: {"base_url": first.base_url, "api_key": f"sk-{row.slug}"} for row in ROWS}
    models: dict[str, Any] = {}
    for row in ROWS:
        spare = f"spare-{row.fallback}"
        models[spare] = {"endpoints": [_endpoint("spare", row.fallback, capabilities={"prefill": True})]}
        for name in names(row):
            models[name] = {"endpoints": [_endpoint(row.slug, name)]}
            if name.endswith("backed"):
                models[name]["fallbacks"] = [spare]
    return (
        configuration(
            first.base_url,
            providers=providers | {"spare": {"base_url": second.base_url, "api_key": "sk-spare"}},
            models=models,
            timeouts=TIMEOUTS,
            retries={"max": 1},
        )
        | more
    )


def _endpoint(provider: str, model: str, **more: Any) -> dict[str, Any]:
    return {"provider": provider, "model": model, "price": PRICE} | more


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def provider() -> AsyncIterator[FakeProvider]:
    """The provider of the faults; it behaves where no row says otherwise."""
    async with FakeProvider(Script(prompt=PROMPT), cases=treatments()) as fake:
        yield fake
        assert fake.errors == []


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def spare() -> AsyncIterator[FakeProvider]:
    """The provider that stands by; its answers say that they are its."""
    refuses = Script(status=400, error="the last message must not be the assistant's")
    async with FakeProvider(SPARE, cases={"no-prefill": refuses}) as fake:
        yield fake
        assert fake.errors == []


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def gateway(
    provider: FakeProvider, spare: FakeProvider, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Gateway]:
    """The gateway, of which nothing is left behind: no exchange open, no worker lost, no attempt that goes on."""
    async with serving(tmp_path_factory.mktemp("wall"), wall(provider, spare)) as running:
        (before,) = running.workers()
        yield running
        (after,) = running.workers()
        assert after.pid == before.pid
        await until(lambda: not running.reservations())
        await until(lambda: all(request.over.is_set() for request in provider.requests))
