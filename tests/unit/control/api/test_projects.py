"""Projects and their members over the API."""

from __future__ import annotations

import httpx
import pytest

from tests.unit.control.api.server import Api

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_project_is_made_changed_and_archived(admin: httpx.AsyncClient) -> None:
    """With its price and its policy."""
    body = {"name": "Research team", "markup": "0.05", "prepaid": True, "on_outage": "refuse", "labels": {"team": "r"}}
    project = (await admin.post("/projects", json=body)).json()
    assert {name: project[name] for name in body} == body
    assert project["id"] == "research-team"
    path = "/projects/research-team"
    changed = await admin.patch(path, json={"version": project["version"], "markup": "-0.001", "prepaid": False})
    assert (changed.json()["markup"], changed.json()["prepaid"], changed.json()["on_outage"]) == (
        "-0.001",
        False,
        "refuse",
    )
    (change, _) = (await admin.get("/audit", params={"project": "research-team"})).json()["data"]
    assert change["detail"]["markup"] == {"from": "0.05", "to": "-0.001"}
    assert (await admin.patch(path, json={"version": project["version"], "name": "x"})).status_code == 409
    assert (await admin.post("/projects", json={"name": "x", "id": "research-team"})).status_code == 409
    assert (await admin.post(f"{path}/archive")).json()["archived"]
    refused = await admin.post("/keys", json={"name": "x", "project": "research-team"})
    assert (refused.status_code, refused.json()["detail"]) == (
        409,
        "the project research-team is archived; choose another",
    )


async def test_members_come_change_and_go(api: Api, admin: httpx.AsyncClient) -> None:
    """By the name or the id of a user."""
    await admin.post("/projects", json={"name": "m", "id": "members"})
    user = (await admin.post("/users", json={"name": "m@example.com"})).json()["id"]
    for reference, role in (("m@example.com", "viewer"), (user, "admin")):
        answer = await admin.put(f"/projects/members/members/{reference}", json={"role": role})
        assert (answer.json()["user"], answer.json()["role"]) == (user, role)
    rows = (await admin.get("/projects/members/members")).json()["data"]
    assert [(row["user"], row["role"]) for row in rows] == [(user, "admin")]
    assert (await admin.put("/projects/members/members/nobody", json={"role": "viewer"})).status_code == 404
    assert (await admin.put("/projects/none/members/admin", json={"role": "viewer"})).status_code == 404
    assert (await admin.put("/projects/members/members/admin", json={"role": "owner"})).status_code == 422
    assert (await admin.delete(f"/projects/members/members/{user}")).status_code == 204
    assert (await admin.delete(f"/projects/members/members/{user}")).status_code == 404
    assert api.url


async def test_one_with_keys_stays(admin: httpx.AsyncClient) -> None:
    """An unused one goes."""
    await admin.post("/projects", json={"name": "k", "id": "with-keys"})
    key = (await admin.post("/keys", json={"name": "x", "project": "with-keys"})).json()["key"]["id"]
    refused = await admin.delete("/projects/with-keys")
    assert refused.status_code == 409
    assert "archive" in refused.json()["detail"]
    assert (await admin.delete(f"/keys/{key}")).status_code == 204
    assert (await admin.delete("/projects/with-keys")).status_code == 204
