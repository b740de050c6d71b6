"""The machines over the API; see `test_snapshots.py` for several."""

from __future__ import annotations

import time

import httpx
import pytest

from tests.unit.control.api.server import Api
from tokenway.store.nodes import Node
from tokenway.store.schema import nodes

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_this_machine_is_there(api: Api, admin: httpx.AsyncClient) -> None:
    """With what is in force on it now."""
    (node,) = (await admin.get("/nodes")).json()["data"]
    assert (node["id"], node["name"], node["is_this"], node["workers"]) == (api.store.nodes.node, "test", True, 1)
    assert (node["configuration"], node["fault"]) == (0, "")
    await admin.post("/snapshots", json={"document": {}, "version": 0})
    (node,) = (await admin.get("/nodes")).json()["data"]
    assert node["configuration"] == 1


async def test_a_machine_can_be_declared_gone(api: Api, admin: httpx.AsyncClient) -> None:
    """One that was not heard of; one that was, as this one, is refused, and one that nobody knows is not there."""
    lost = Node("0000000b", "lost", 1.0, time.time() - 60, 2, "1")
    row = {name: getattr(lost, name) for name in Node.__struct_fields__}

    def insert() -> None:
        with api.store.database.add() as connection:
            connection.execute(nodes.insert().values(**row))

    await api.run(insert)
    (own,) = [each["id"] for each in (await admin.get("/nodes")).json()["data"] if each["is_this"]]
    refused = await admin.post(f"/nodes/{own}/retire")
    assert (refused.status_code, "it lives" in refused.json()["detail"]) == (409, True)
    assert (await admin.post("/nodes/0000000c/retire")).status_code == 404
    done = await admin.post("/nodes/0000000b/retire")
    assert (done.status_code, done.json()["name"]) == (200, "lost")
    assert done.json()["retired"] is not None
    assert (await admin.post("/nodes/0000000b/retire")).json() == done.json()
    async with api.client(await api.member("n@example.com", "default", "admin")) as manager:
        assert (await manager.post("/nodes/0000000b/retire")).status_code == 403
