"""The log of changes over the API."""

from __future__ import annotations

import httpx
import pytest

from tests.unit.control.api.server import Api

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_every_change_is_in_the_log(api: Api, admin: httpx.AsyncClient) -> None:
    """Who, from where, what; without secrets."""
    await admin.post("/projects", json={"name": "logged", "id": "logged"})
    key = (await admin.post("/keys", json={"name": "k", "project": "logged"})).json()
    await admin.post(f"/keys/{key['key']['id']}/revoke")
    await admin.post("/snapshots", json={"document": {"aliases": {"x": "mock"}}, "version": 0, "note": "why"})
    rows = (await admin.get("/audit", params={"project": "logged"})).json()["data"]
    assert [(row["action"], row["resource"]) for row in rows] == [
        ("revoke", "key"),
        ("create", "key"),
        ("create", "project"),
    ]
    assert {(row["actor"], row["address"]) for row in rows} == {(api.first.user.id, "127.0.0.1")}
    (row,) = (await admin.get("/audit", params={"resource": "configuration"})).json()["data"]
    assert (row["action"], row["subject"], row["detail"]["note"], row["project"]) == ("publish", "1", "why", None)
    assert row["detail"]["paths"] == ["aliases.x"]


async def test_filters_and_pages(admin: httpx.AsyncClient) -> None:
    """The newest first."""
    before = (await admin.get("/audit", params={"limit": 1})).json()["data"][0]["at"]
    for number in range(3):
        await admin.post("/projects", json={"name": f"p{number}"})
    first = (await admin.get("/audit", params={"action": "create", "resource": "project", "limit": 2})).json()
    assert [row["subject"] for row in first["data"]] == ["p2", "p1"]
    params = {"action": "create", "resource": "project", "limit": 2, "cursor": first["next_cursor"]}
    assert (await admin.get("/audit", params=params)).json()["data"][0]["subject"] == "p0"
    assert (await admin.get("/audit", params={"until": before, "subject": "p0"})).json()["data"] == []
    assert (await admin.get("/audit", params={"subject": "p0"})).json()["data"][0]["subject"] == "p0"
