"""Providers over the API: each change publishes the configuration with it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from tests.unit.control.api.server import FILE, Api, serving
from tokenway.model.secret import Secret

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    """One where the environment enables a provider too."""
    async with serving(tmp_path_factory.mktemp("api"), environment={"GROQ_API_KEY": "gsk-from-environment"}) as running:
        yield running


async def version(admin: httpx.AsyncClient) -> int:
    """The configuration in force."""
    return int((await admin.get("/providers/lab")).json()["version"])


async def test_where_each_comes_from(admin: httpx.AsyncClient) -> None:
    """The file, the environment, the engine; published ones below."""
    rows = (await admin.get("/providers")).json()["data"]
    assert {row["name"]: row["source"] for row in rows} == {"groq": "environment", "lab": "file", "local": "engine"}
    assert "gsk-from-environment" not in str(rows)


async def test_one_is_made_changed_and_taken_away(api: Api, admin: httpx.AsyncClient) -> None:
    """A merge patch: null goes back to the default; the key is kept and never shown."""
    settings = {"base_url": "http://127.0.0.1:7/v1", "api_key": "sk-new-provider-key", "fetch_urls": True}
    answer = await admin.put("/providers/mine", json={"settings": settings, "version": await version(admin)})
    assert answer.status_code == 200, answer.text
    assert answer.headers["etag"] == f'"{await version(admin)}"'
    shown = (await admin.get("/providers/mine")).json()
    assert (shown["source"], shown["in_use"], shown["dialect"]) == ("published", True, "openai_chat")
    assert shown["settings"]["api_key"].startswith(Secret.MASK)
    patch = {"settings": {"fetch_urls": None, "headers": {"x-a": "b"}}, "version": await version(admin)}
    assert (await admin.patch("/providers/mine", json=patch)).status_code == 200
    provider = api.snapshot.providers["mine"]
    assert (provider.fetch_urls, provider.headers, provider.api_keys) == (
        False,
        (("x-a", "b"),),
        (Secret("sk-new-provider-key"),),
    )
    assert (await admin.delete("/providers/mine", headers={"if-match": '"1"'})).status_code == 409
    assert (await admin.delete("/providers/mine")).status_code == 200
    assert (await admin.get("/providers/mine")).status_code == 404
    assert (await admin.delete("/providers/mine")).status_code == 404
    assert (await admin.patch("/providers/mine", json=patch)).status_code == 404


async def test_one_of_the_environment_stays_away_when_it_is_taken_away(api: Api, admin: httpx.AsyncClient) -> None:
    """It is switched off, for its variable is still there."""
    assert (await admin.delete("/providers/groq")).status_code == 200
    assert "groq" not in api.snapshot.providers
    shown = (await admin.get("/providers/groq")).json()
    assert (shown["in_use"], shown["settings"]) == (False, {"enabled": "false"})


async def test_a_dry_run_and_a_stale_version(admin: httpx.AsyncClient) -> None:
    """Nothing comes of either."""
    now = await version(admin)
    body = {"settings": {"base_url": "http://127.0.0.1:7/v1"}, "version": now, "dry_run": True}
    answer = await admin.put("/providers/dry", json=body)
    assert (answer.status_code, answer.json()["dry_run"]) == (200, True)
    assert (await admin.get("/providers/dry")).status_code == 404
    assert (await admin.put("/providers/dry", json=body | {"version": now + 1})).status_code == 409
    conflicting = await admin.put("/providers/dry", json=body, headers={"if-match": f'"{now + 1}"'})
    assert (conflicting.status_code, conflicting.json()["field"]) == (409, "If-Match")


@pytest.mark.parametrize(
    ("name", "settings", "field"),
    [
        ("bad", {"base_url": "ftp://x"}, "settings.providers.bad.base_url"),
        ("bad", {"no_such": 1}, "settings.providers.bad.no_such"),
        ("bad", {}, "settings.providers.bad"),
        ("local", {"base_url": "http://x"}, "settings.providers.local"),
    ],
)
async def test_what_cannot_be_used(
    admin: httpx.AsyncClient, name: str, settings: dict[str, object], field: str
) -> None:
    """The rules of the file, with the place."""
    body = {"settings": settings, "version": await version(admin)}
    answer = await admin.put(f"/providers/{name}", json=body)
    assert (answer.status_code, answer.json()["field"]) == (422, field), answer.text
    assert FILE["providers"]
