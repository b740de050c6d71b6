"""Velocity over the API."""

from __future__ import annotations

import httpx
import pytest

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_each_endpoint_has_its_figures_once(admin: httpx.AsyncClient) -> None:
    """With the models that it serves."""
    settings = {"endpoints": [{"provider": "lab", "model": "fake"}]}
    assert (await admin.put("/models/again", json={"settings": settings, "version": 0})).status_code == 200
    rows = {row["endpoint"]: row for row in (await admin.get("/velocity")).json()["data"]}
    assert rows["lab/fake"]["models"] == ["again", "mock"]
    assert rows["lab/fake"]["figures"] == {"status": 0}
    (only,) = (await admin.get("/velocity", params={"model": "again"})).json()["data"]
    assert (only["endpoint"], only["models"]) == ("lab/fake", ["again"])
