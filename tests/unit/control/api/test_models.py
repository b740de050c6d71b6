"""Models over the API."""

from __future__ import annotations

import httpx
import pytest

from tests.unit.control.api.server import Api

pytestmark = pytest.mark.asyncio(loop_scope="module")

SETTINGS = {"endpoints": [{"provider": "lab", "model": "big", "weight": 2}], "fallbacks": ["mock"]}


async def test_a_model_is_made_changed_and_taken_away(api: Api, admin: httpx.AsyncClient) -> None:
    """Its name may hold a slash, written as it is or not."""
    answer = await admin.put("/models/org/new", json={"settings": SETTINGS, "version": 0})
    assert answer.status_code == 200, answer.text
    shown = (await admin.get("/models/org%2Fnew")).json()
    assert (shown["source"], shown["endpoints"], shown["fallbacks"]) == ("published", ["lab/big"], ["mock"])
    patch = {"settings": {"fallbacks": None, "routing": {"sort": "price"}}, "version": shown["version"]}
    assert (await admin.patch("/models/org/new", json=patch)).status_code == 200
    assert api.snapshot.models["org/new"].fallbacks == ()
    assert (await admin.delete("/models/org/new")).status_code == 200
    assert (await admin.get("/models/org/new")).status_code == 404


async def test_a_model_of_the_file_can_be_taken_away(api: Api, admin: httpx.AsyncClient) -> None:
    """Unless others lead to it; the file stays as it is."""
    refused = await admin.delete("/models/mock")
    assert refused.status_code == 409
    assert len(refused.json()["errors"]) == 2
    assert (await admin.delete("/models/org/other")).status_code == 200
    assert "org/other" not in api.snapshot.models
    assert "org/other" in api.path.read_text()


async def test_others_see_what_can_be_called(api: Api) -> None:
    """And not how it is configured."""
    async with api.client(await api.member("v@example.com", "default", "viewer")) as viewer:
        shown = (await viewer.get("/models/mock")).json()
        assert (shown["endpoints"], shown["settings"]) == (["lab/fake"], None)
        names = [row["name"] for row in (await viewer.get("/models")).json()["data"]]
        assert names == sorted(names)
        assert {"local", "local-embed", "mock"} <= set(names)
