"""Users over the API."""

from __future__ import annotations

import httpx
import pytest

from tests.unit.control.api.server import Api

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_user_is_made_changed_and_archived(admin: httpx.AsyncClient) -> None:
    """Each change has its version, and an old one is a conflict."""
    made = await admin.post(
        "/users", json={"name": "One@Example.com", "password": "a long password", "labels": {"a": "b"}}
    )
    assert made.status_code == 201
    user = made.json()
    assert (user["name"], user["role"], user["kind"], user["has_password"]) == (
        "one@example.com",
        "user",
        "person",
        True,
    )
    path = f"/users/{user['id']}"
    shown = await admin.get(path)
    assert (shown.json(), shown.headers["etag"]) == (user, f'"{user["version"]}"')
    changed = await admin.patch(path, json={"version": user["version"], "role": "admin", "labels": {}})
    assert (changed.json()["role"], changed.json()["labels"], changed.json()["version"]) == (
        "admin",
        {},
        user["version"] + 1,
    )
    for body, headers in (({"version": user["version"]}, {}), ({"version": user["version"] + 1}, {"if-match": '"1"'})):
        assert (await admin.patch(path, json=body | {"name": "x"}, headers=headers)).status_code == 409
    assert (await admin.post(f"{path}/archive", headers={"if-match": '"1"'})).status_code == 409
    ended = (await admin.post(f"{path}/archive")).json()
    assert ended["archived"]
    assert (await admin.patch(path, json={"version": ended["version"], "name": "x"})).status_code == 409
    assert user["id"] not in [
        row["id"] for row in (await admin.get("/users", params={"archived": False})).json()["data"]
    ]
    assert [row["id"] for row in (await admin.get("/users", params={"archived": True})).json()["data"]] == [user["id"]]


async def test_an_identity_is_given_and_taken(admin: httpx.AsyncClient) -> None:
    """Null takes it away; what is left out stays."""
    user = (await admin.post("/users", json={"name": "two@example.com", "identity": "https://id s-1"})).json()
    path = f"/users/{user['id']}"
    user = (await admin.patch(path, json={"version": user["version"], "labels": {"x": "y"}})).json()
    assert user["identity"] == "https://id s-1"
    assert (
        await admin.post("/users", json={"name": "three@example.com", "identity": "https://id s-1"})
    ).status_code == 409
    user = (await admin.patch(path, json={"version": user["version"], "identity": None})).json()
    assert user["identity"] is None


async def test_service_accounts_have_no_password(admin: httpx.AsyncClient) -> None:
    """They have tokens."""
    body = {"name": "robot", "kind": "service"}
    assert (await admin.post("/users", json=body | {"password": "a long password"})).json()["field"] == "password"
    robot = (await admin.post("/users", json=body)).json()
    assert robot["has_password"] is False
    answer = await admin.put(f"/users/{robot['id']}/password", json={"password": "a long password"})
    assert (answer.status_code, answer.json()["field"]) == (422, "password")
    assert [row["name"] for row in (await admin.get("/users", params={"kind": "service"})).json()["data"]] == ["robot"]


async def test_a_password_is_set_by_an_admin(api: Api, admin: httpx.AsyncClient) -> None:
    """And signs the user out."""
    await admin.post("/users", json={"name": "four@example.com", "password": "the first one"})
    async with api.client("") as browser:
        body = {"name": "four@example.com", "password": "the first one"}
        assert (await browser.post("/session", json=body)).status_code == 201
        answer = await admin.put("/users/four@example.com/password", json={"password": "the second one"})
        assert answer.status_code == 204
        assert (await browser.get("/session")).status_code == 401
        assert (await browser.post("/session", json=body | {"password": "the second one"})).status_code == 201


async def test_who_has_keys_stays_and_names_are_once(admin: httpx.AsyncClient) -> None:
    """What has something is archived; one without goes."""
    user = (await admin.post("/users", json={"name": "five@example.com"})).json()
    assert (await admin.post("/users", json={"name": "FIVE@example.com"})).status_code == 409
    await admin.post("/keys", json={"name": "x", "user": user["id"]})
    refused = await admin.delete(f"/users/{user['id']}")
    assert refused.status_code == 409
    assert "archive" in refused.json()["detail"]
    other = (await admin.post("/users", json={"name": "six@example.com"})).json()
    assert (await admin.delete(f"/users/{other['id']}")).status_code == 204
    assert (await admin.get(f"/users/{other['id']}")).status_code == 404


async def test_the_last_admin_stays(api: Api, admin: httpx.AsyncClient) -> None:
    """Nobody would be left to let one in."""
    for row in (await admin.get("/users", params={"archived": False})).json()["data"]:
        if row["role"] == "admin" and row["id"] != api.first.user.id:
            await admin.post(f"/users/{row['id']}/archive")
    path = f"/users/{api.first.user.id}"
    version = (await admin.get(path)).json()["version"]
    assert (await admin.patch(path, json={"version": version, "role": "user"})).status_code == 409
    assert (await admin.post(f"{path}/archive")).status_code == 409
    assert (await admin.delete(path)).status_code == 409
