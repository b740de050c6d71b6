"""The machines over the API; see `test_snapshots.py` for several."""

from __future__ import annotations

import httpx
import pytest

from tests.unit.control.api.server import Api

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_this_machine_is_there(api: Api, admin: httpx.AsyncClient) -> None:
    """With what is in force on it now."""
    (node,) = (await admin.get("/nodes")).json()["data"]
    assert (node["id"], node["name"], node["is_this"], node["workers"]) == (api.store.nodes.node, "test", True, 1)
    assert (node["configuration"], node["fault"]) == (0, "")
    await admin.post("/snapshots", json={"document": {}, "version": 0})
    (node,) = (await admin.get("/nodes")).json()["data"]
    assert node["configuration"] == 1
