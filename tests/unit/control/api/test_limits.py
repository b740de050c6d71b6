"""Limits over the API: budgets, rates, and what may be under way."""

from __future__ import annotations

import httpx
import pytest

from tests.unit.control.api.server import Api

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_budget_is_made_changed_and_taken_away(api: Api, admin: httpx.AsyncClient) -> None:
    """One below what is spent is allowed."""
    body = {"scope": "project", "subject": "default", "measure": "usd", "usd": "12.5", "term": "month"}
    made = await admin.post("/limits", json=body)
    assert made.status_code == 201
    limit = made.json()
    assert (limit["usd"], limit["count"], limit["term"], limit["rolling"]) == ("12.5", None, "month", False)
    again = await admin.post("/limits", json=body | {"usd": "1"})
    assert (again.status_code, again.json()["detail"]) == (
        409,
        f"there is such a limit of the project default already: {limit['id']}; change that one",
    )
    path = f"/limits/{limit['id']}"
    assert (await admin.get(path)).headers["etag"] == f'"{limit["version"]}"'
    changed = await admin.patch(path, json={"version": limit["version"], "usd": "0"})
    assert (changed.json()["usd"], changed.json()["version"]) == ("0", limit["version"] + 1)
    assert (await admin.patch(path, json={"version": limit["version"], "usd": "1"})).status_code == 409
    wrong = await admin.patch(path, json={"version": changed.json()["version"], "count": 1})
    assert (wrong.status_code, wrong.json()["field"]) == (422, "usd")
    assert (await admin.delete(path, headers={"if-match": '"1"'})).status_code == 409
    assert (await admin.delete(path)).status_code == 204
    assert (await admin.get(path)).status_code == 404
    assert api.url


@pytest.mark.parametrize(
    "body",
    [
        {"measure": "requests", "count": 60, "term": "minute"},
        {"measure": "tokens", "count": 10**6, "term": "day", "rolling": True},
        {"measure": "concurrency", "count": 8},
        {"measure": "depth", "count": 3, "per_run": True},
        {"measure": "usd", "usd": "0.000000001", "per_run": True},
    ],
)
async def test_of_every_kind(admin: httpx.AsyncClient, body: dict[str, object]) -> None:
    """Of a model here; amounts as the measure has them."""
    answer = await admin.post("/limits", json={"scope": "model", "subject": "mock"} | body)
    assert answer.status_code == 201, answer.text
    assert {name: answer.json()[name] for name in body} == body


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"scope": "key", "subject": "none"}, 404, None),
        ({"scope": "project", "subject": "none"}, 404, None),
        ({"scope": "user", "subject": "none"}, 404, None),
        ({"measure": "usd", "usd": None, "count": 5}, 422, "usd"),
        ({"measure": "usd", "usd": "1", "count": 5}, 422, "count"),
        ({"measure": "requests", "usd": None, "term": "minute"}, 422, "count"),
        ({"usd": "1e3"}, 422, "usd"),
        ({"term": "year"}, 422, "term"),
        ({"rolling": True, "term": "total"}, 422, "rolling"),
    ],
)
async def test_what_cannot_be(
    admin: httpx.AsyncClient, body: dict[str, object], status: int, field: str | None
) -> None:
    """Unknown subjects are not found, impossible terms are told."""
    base = {"scope": "project", "subject": "default", "measure": "usd", "usd": "1", "term": "week"}
    answer = await admin.post("/limits", json=base | body)
    assert (answer.status_code, answer.json().get("field") or "") == (status, field or ""), answer.text


async def test_lists(admin: httpx.AsyncClient) -> None:
    """A project's are also those of its keys."""
    await admin.post("/projects", json={"name": "l", "id": "limited"})
    bound = {"measure": "usd", "usd": "1"}
    key = (await admin.post("/keys", json={"name": "x", "project": "limited", "limits": [bound]})).json()
    await admin.post("/limits", json={"scope": "project", "subject": "limited"} | bound)
    rows = (await admin.get("/limits", params={"project": "limited"})).json()["data"]
    assert [(row["scope"], row["subject"]) for row in rows] == [("key", key["key"]["id"]), ("project", "limited")]
    assert len((await admin.get("/limits", params={"scope": "key", "subject": key["key"]["id"]})).json()["data"]) == 1
