"""Accounts that people make themselves."""

from __future__ import annotations

import httpx
import pytest

from tests.unit.control.api.server import FILE, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

BODY = {"name": "New@Example.com", "password": "a long password"}


async def test_nobody_may_unless_it_is_switched_on(admin: httpx.AsyncClient) -> None:
    """Off is the default."""
    assert (await admin.post("/signup", json=BODY)).status_code == 403


async def test_who_signs_up_has_a_project_a_key_and_a_grant(tmp_path_factory: pytest.TempPathFactory) -> None:
    """And can sign in, make more keys within his bounds, and see nothing of others."""
    signup = {
        "enabled": True,
        "grant": "1.5",
        "limits": {"rpm": 10, "usd_per_day": "0.5"},
        "models": ["mock", "free-*"],
        "per_hour": 2,
    }
    folder = tmp_path_factory.mktemp("signup")
    async with (
        serving(folder, file=FILE | {"signup": signup}) as api,
        api.client("") as browser,
        api.client() as admin,
    ):
        headers = {"idempotency-key": "mine"}
        made = await browser.post("/signup", json=BODY, headers=headers)
        assert made.status_code == 201, made.text
        assert (await browser.post("/signup", json=BODY, headers=headers)).json() == made.json()
        account = made.json()
        assert (account["user"]["name"], account["user"]["role"]) == ("new@example.com", "user")
        assert account["key"]["secret"].startswith("tw-")
        assert account["key"]["key"]["models"] == ["mock", "free-*"]
        project = account["project"]["id"]
        assert account["project"]["prepaid"] is True
        rows = (await admin.get("/limits", params={"scope": "user"})).json()["data"]
        assert {(row["measure"], row["usd"], row["count"]) for row in rows} == {
            ("requests", None, 10),
            ("usd", "0.5", None),
        }
        csrf = (await browser.post("/session", json=BODY)).json()["csrf"]
        assert (await browser.get(f"/projects/{project}/credits")).json()["left"] == "1.5"
        headers = {"x-csrf-token": csrf}
        wide = {"name": "x", "project": project, "models": ["gpt-4o"]}
        assert (await browser.post("/keys", json=wide, headers=headers)).json()["field"] == "models"
        more = await browser.post("/keys", json={"name": "x", "project": project}, headers=headers)
        assert more.json()["key"]["models"] == ["mock", "free-*"]
        path = f"/keys/{more.json()['key']['id']}"
        change = {"version": 1, "models": ["*"]}
        assert (await browser.patch(path, json=change, headers=headers)).json()["field"] == "models"
        grown = await browser.patch(f"/projects/{project}", json={"version": 1, "prepaid": False}, headers=headers)
        assert grown.status_code == 403
        assert (await browser.get("/projects/default")).status_code == 404
        again = await browser.post("/signup", json=BODY)
        assert again.status_code in {409, 429}
        answer = await browser.post("/signup", json=BODY | {"name": "third@example.com"})
        assert (answer.status_code, "retry-after" in answer.headers) == (429, True)
