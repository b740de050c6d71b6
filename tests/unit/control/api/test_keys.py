"""Keys over the API."""

from __future__ import annotations

import httpx
import pytest

from tests.unit.control.api.server import Api
from tokenway.store.accounts.holdings import Holdings

pytestmark = pytest.mark.asyncio(loop_scope="module")

FULL = {
    "name": "full",
    "expires": "2099-01-31T12:00:00+01:00",
    "max_cost": "0.25",
    "models": ["gpt-4o", "claude-*"],
    "endpoints": ["lab"],
    "addresses": ["10.0.0.0/8", "::1"],
    "labels": {"team": "a"},
    "limits": [
        {"measure": "usd", "usd": "5.5", "term": "month"},
        {"measure": "requests", "count": 60, "term": "minute"},
    ],
}


async def test_a_key_is_shown_once_with_its_secret(api: Api, admin: httpx.AsyncClient) -> None:
    """Afterwards without."""
    made = (await admin.post("/keys", json=FULL)).json()
    key = made["key"]
    assert made["secret"].startswith("tw-")
    assert made["secret"].startswith(key["prefix"])
    assert (key["expires"], key["max_cost"], key["models"]) == ("2099-01-31T11:00:00.000Z", "0.25", FULL["models"])
    assert key["addresses"] == ["10.0.0.0/8", "::1/128"]
    assert {(each["measure"], each["usd"], each["count"], each["term"]) for each in made["limits"]} == {
        ("usd", "5.5", None, "month"),
        ("requests", None, 60, "minute"),
    }
    for path in (f"/keys/{key['id']}", "/keys", "/audit"):
        assert made["secret"] not in (await admin.get(path)).text
    assert (await admin.get(f"/keys/{key['id']}")).json() == key
    held = Holdings()
    await api.run(api.store.accounts.holdings.refresh, held)
    assert held.keys[key["id"]].max_cost == 250_000_000


async def test_changes(admin: httpx.AsyncClient) -> None:
    """What is left out stays, null takes a bound away."""
    key = (await admin.post("/keys", json=FULL)).json()["key"]
    path = f"/keys/{key['id']}"
    changed = (await admin.patch(path, json={"version": key["version"], "models": None, "name": "other"})).json()
    assert (changed["name"], changed["models"], changed["max_cost"]) == ("other", None, "0.25")
    changed = (await admin.patch(path, json={"version": changed["version"], "models": [], "expires": None})).json()
    assert (changed["models"], changed["expires"]) == ([], None)
    assert (await admin.patch(path, json={"version": key["version"], "name": "x"})).status_code == 409


async def test_rotation_revocation_archive(admin: httpx.AsyncClient) -> None:
    """The former secret goes on for a while when that is wanted; what is archived is over."""
    key = (await admin.post("/keys", json={"name": "turns"})).json()
    path = f"/keys/{key['key']['id']}"
    turned = (await admin.post(f"{path}/rotate", json={"overlap": 60})).json()
    assert turned["secret"] != key["secret"]
    assert turned["key"]["former_ends"]
    assert turned["key"]["id"] == key["key"]["id"]
    assert (await admin.post(f"{path}/revoke")).json()["state"] == "revoked"
    assert (await admin.post(f"{path}/rotate", json={})).status_code == 409
    assert (await admin.post(f"{path}/archive")).json()["state"] == "archived"
    rows = (await admin.get("/keys", params={"state": "archived"})).json()["data"]
    assert [row["id"] for row in rows] == [key["key"]["id"]]


async def test_filters(admin: httpx.AsyncClient) -> None:
    """By project, user, state and label."""
    await admin.post("/projects", json={"name": "f", "id": "filters"})
    body = {"project": "filters", "labels": {"env": "test", "a": "b=c"}}
    first = (await admin.post("/keys", json=body | {"name": "1", "user": "admin"})).json()["key"]
    second = (await admin.post("/keys", json=body | {"name": "2", "labels": {"env": "live"}})).json()["key"]
    assert second["user"] is None
    for params, expected in (
        ({"project": "filters"}, [first, second]),
        ({"project": "filters", "user": first["user"]}, [first]),
        ({"label": "env=test"}, [first]),
        ({"label": "a=b=c"}, [first]),
        ({"project": "filters", "label": "env"}, [first, second]),
        ({"project": "filters", "state": "expired"}, []),
    ):
        rows = (await admin.get("/keys", params=params)).json()["data"]
        assert [row["id"] for row in rows] == [each["id"] for each in expected], params


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"max_cost": 5}, "max_cost"),
        ({"max_cost": "-1"}, "max_cost"),
        ({"expires": "soon"}, "expires"),
        ({"addresses": ["10.0.0.1/8"]}, "addresses"),
        ({"addresses": ["host"]}, "addresses[0]"),
        ({"limits": [{"measure": "usd", "count": 5}]}, "limits[0].usd"),
        ({"limits": [{"measure": "requests", "count": 5, "usd": "1"}]}, "limits[0].usd"),
        ({"limits": [{"measure": "usd", "usd": "1", "term": "minute"}]}, "limits[0].term"),
        ({"labels": {"a b": "x"}}, "labels.a b.[key]"),
    ],
)
async def test_what_cannot_be(admin: httpx.AsyncClient, body: dict[str, object], field: str) -> None:
    """422 with the field, and no key."""
    answer = await admin.post("/keys", json={"name": "wrong"} | body)
    assert (answer.status_code, answer.json()["field"]) == (422, field), answer.text
