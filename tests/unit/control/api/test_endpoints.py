"""Endpoints over the API."""

from __future__ import annotations

import httpx
import pytest

from tests.unit.control.api.server import Api

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_offers_of_all_models_and_of_one(api: Api, admin: httpx.AsyncClient) -> None:
    """With what they can, take and are like."""
    settings = {
        "endpoints": [
            {"provider": "lab", "model": "a", "grade": {"weights": "fp8"}, "limits": {"rpm": 5}, "weight": 3},
            {"provider": "lab", "model": "b", "capabilities": {"vision": True}},
        ]
    }
    assert (await admin.put("/models/two", json={"settings": settings, "version": 0})).status_code == 200
    rows = (await admin.get("/endpoints", params={"model": "two"})).json()["data"]
    assert [row["id"] for row in rows] == ["lab/a", "lab/b"]
    assert (rows[0]["grade"]["weights"], rows[0]["limits"]["rpm"], rows[0]["weight"]) == ("fp8", 5, 3.0)
    assert rows[1]["capabilities"]["vision"] is True
    assert rows[0]["figures"] == {"status": 0}
    everything = (await admin.get("/endpoints")).json()["data"]
    assert len(everything) == sum(len(model.endpoints) for model in api.snapshot.models.values())
    first = (await admin.get("/endpoints", params={"model": "two", "limit": 1})).json()
    params = {"model": "two", "limit": 1, "cursor": first["next_cursor"]}
    assert (await admin.get("/endpoints", params=params)).json()["data"] == [rows[1]]
    assert (await admin.get("/endpoints", params={"model": "none"})).json()["data"] == []
