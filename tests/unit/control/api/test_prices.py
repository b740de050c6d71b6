"""Prices over the API: what is in force, and where it comes from."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from tests.unit.control.api.server import FILE, Api, serving
from tokenway.control.api.prices import shown_price
from tokenway.model.catalog import Hours, Picture, Price, Service, Tier
from tokenway.model.money import NanoUsd, Rate

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    """One with a provider that the price book knows."""
    models = FILE["models"] | {
        "listed": {"endpoints": [{"provider": "openai", "model": "gpt-4o"}]},
        "unknown": {"endpoints": [{"provider": "lab", "model": "nobody-knows"}]},
    }
    file = FILE | {"providers": FILE["providers"] | {"openai": {"api_key": "sk-openai-0123456789"}}, "models": models}
    async with serving(tmp_path_factory.mktemp("api"), file=file) as running:
        yield running


async def test_each_price_has_its_source(admin: httpx.AsyncClient) -> None:
    """The configuration's, the price book's, the engine's, or none."""
    found = {}
    for model in ("mock", "listed", "unknown", "local"):
        (found[model],) = (await admin.get("/prices", params={"model": model})).json()["data"]
    assert {name: row["source"] for name, row in found.items()} == {
        "mock": "configuration",
        "listed": "price_book",
        "unknown": "none",
        "local": "engine",
    }
    assert found["mock"]["price"] == {"input": "1.5", "output": "2"}
    assert float(found["listed"]["price"]["input"]) > 0
    assert found["unknown"]["price"] is None


async def test_list_prices_come_after_the_models(admin: httpx.AsyncClient) -> None:
    """Of what an enabled provider can be asked for by its own name; every row once over all pages."""
    seen: list[str] = []
    cursor = None
    while True:
        params = {"limit": 200} | ({"cursor": cursor} if cursor else {})
        page = (await admin.get("/prices", params=params)).json()
        seen += [row["model"] for row in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen))
    assert "openai/gpt-4o" in seen
    assert seen.index("mock") < seen.index("openai/gpt-4o")


async def test_every_part_of_a_price_is_shown() -> None:
    """Money as decimal strings, counts as numbers, what is not said not at all."""
    price = Price(
        input=Rate(37_500_000),
        output=Rate(2 * 10**9),
        request=NanoUsd(1),
        images=(Picture(size="1x1", image=NanoUsd(5 * 10**8)),),
        tiers=(Tier(above=200_000, input=Rate(10**9)),),
        hours=(Hours(begin=0, end=60, output=Rate(1)),),
        batch=Service(input=Rate(5), tiers=(Tier(above=1, output=Rate(7)),)),
    )
    assert shown_price(price) == {
        "input": "0.0375",
        "output": "2",
        "request": "0.000000001",
        "images": [{"size": "1x1", "image": "0.5"}],
        "tiers": [{"input": "1", "above": 200_000}],
        "hours": [{"output": "0.000000001", "begin": 0, "end": 60}],
        "batch": {"input": "0.000000005", "tiers": [{"output": "0.000000007", "above": 1}]},
    }
    assert shown_price(None) is None
