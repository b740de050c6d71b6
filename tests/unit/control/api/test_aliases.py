"""Aliases over the API."""

from __future__ import annotations

import httpx
import pytest

from tests.unit.control.api.server import Api

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_an_alias_is_made_changed_and_taken_away(api: Api, admin: httpx.AsyncClient) -> None:
    """One that leads nowhere is refused."""
    assert (await admin.put("/aliases/a/b", json={"model": "mock", "version": 0})).status_code == 200
    assert api.snapshot.aliases["a/b"] == "mock"
    shown = (await admin.get("/aliases/a/b")).json()
    assert shown == {"name": "a/b", "model": "mock", "source": "published", "version": 1}
    nowhere = await admin.put("/aliases/a/b", json={"model": "nowhere", "version": 1})
    assert (nowhere.status_code, nowhere.json()["field"]) == (422, "model.aliases.a/b")
    assert (await admin.put("/aliases/a/b", json={"model": "org/other", "version": 1})).status_code == 200
    assert (await admin.delete("/aliases/a/b")).status_code == 200
    assert (await admin.delete("/aliases/a/b")).status_code == 404
    assert (await admin.delete("/aliases/usual")).status_code == 200
    assert (await admin.get("/aliases")).json()["data"] == []
    assert "usual" in api.path.read_text()
