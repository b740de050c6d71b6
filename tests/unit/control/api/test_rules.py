"""Every route for everybody: what the table says is what happens, and there is no route beside the table."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec
import pytest
import pytest_asyncio

from tests.unit.control.api.server import Api
from tokenway.control.api.app import ROUTERS
from tokenway.control.api.callers import Guarded
from tokenway.control.api.rules import ADMINS_FIELDS, RULES, Need

pytestmark = pytest.mark.asyncio(loop_scope="module")

WHO: Final = ("nobody", "stranger", "viewer", "member", "manager", "admin")
STALE: Final = {"version": 999}
SETTINGS: Final = {"settings": {}, "version": 999}

ENOUGH: Final = {
    Need.NOTHING: WHO,
    Need.USER: WHO[1:],
    Need.VIEWER: WHO[2:],
    Need.MEMBER: WHO[3:],
    Need.OWNER: WHO[4:],  # of what is somebody else's
    Need.MANAGER: WHO[4:],
    Need.ADMIN: WHO[5:],
}

ASKED: Final[dict[tuple[str, str], dict[str, Any]]] = {
    ("POST", "/session"): {"json": {"name": "nobody", "password": "not the password"}},
    ("GET", "/session"): {},
    ("DELETE", "/session"): {},
    ("PUT", "/session/password"): {"json": {"current": "x"}},
    ("POST", "/signup"): {"json": {"name": "x@example.com", "password": "12345678"}},
    ("GET", "/oidc/login"): {},
    ("GET", "/oidc/callback"): {},
    ("GET", "/users"): {},
    ("POST", "/users"): {"json": {"name": "admin"}},
    ("GET", "/users/{user}"): {},
    ("PATCH", "/users/{user}"): {"json": STALE},
    ("PUT", "/users/{user}/password"): {"json": {"password": "12345678"}},
    ("POST", "/users/{user}/archive"): {},
    ("DELETE", "/users/{user}"): {},
    ("GET", "/projects"): {},
    ("POST", "/projects"): {"json": {"name": "x", "id": "alpha"}},
    ("GET", "/projects/{project}"): {},
    ("PATCH", "/projects/{project}"): {"json": STALE},
    ("POST", "/projects/{project}/archive"): {},
    ("DELETE", "/projects/{project}"): {},
    ("GET", "/projects/{project}/members"): {},
    ("PUT", "/projects/{project}/members/{user}"): {"json": {"role": "viewer"}},
    ("DELETE", "/projects/{project}/members/{user}"): {},
    ("GET", "/projects/{project}/credits"): {},
    ("GET", "/projects/{project}/transfers"): {},
    ("POST", "/projects/{project}/transfers"): {"json": {"kind": "top_up", "amount": "0"}},
    ("GET", "/projects/{project}/statement"): {},
    ("POST", "/projects/{project}/redeem"): {"json": {"code": "22222-22222-22222-22222-22222"}},
    ("GET", "/invoices"): {"params": {"project": "alpha"}},
    ("POST", "/invoices"): {
        "json": {"project": "alpha", "begins": "2999-01-01T00:00:00Z", "ends": "2999-01-02T00:00:00Z"}
    },
    ("GET", "/invoices/{invoice}"): {},
    ("POST", "/invoices/{invoice}/void"): {},
    ("GET", "/codes"): {},
    ("POST", "/codes"): {"json": {"amount": "0"}},
    ("GET", "/keys"): {"params": {"project": "alpha"}},
    ("POST", "/keys"): {"json": {"name": "x", "project": "alpha", "user": "admin"}},
    ("GET", "/keys/{key_id}"): {},
    ("PATCH", "/keys/{key_id}"): {"json": STALE},
    ("POST", "/keys/{key_id}/rotate"): {"json": {}},
    ("POST", "/keys/{key_id}/revoke"): {},
    ("POST", "/keys/{key_id}/archive"): {},
    ("DELETE", "/keys/{key_id}"): {},
    ("GET", "/limits"): {"params": {"project": "alpha"}},
    ("POST", "/limits"): {"json": {"scope": "project", "subject": "alpha", "measure": "usd", "usd": "7"}},
    ("GET", "/limits/{limit_id}"): {},
    ("PATCH", "/limits/{limit_id}"): {"json": {"version": 999, "usd": "1"}},
    ("DELETE", "/limits/{limit_id}"): {},
    ("GET", "/tokens"): {},
    ("POST", "/tokens"): {"json": {"name": "x", "expires": "1970-01-01T00:00:00Z"}},
    ("GET", "/tokens/{token}"): {},
    ("DELETE", "/tokens/{token}"): {},
    ("GET", "/usage"): {"params": {"project": "alpha"}},
    ("GET", "/ledger"): {"params": {"project": "alpha"}},
    ("GET", "/ledger/export"): {"params": {"project": "alpha"}},
    ("POST", "/ledger/verify"): {},
    ("POST", "/ledger/{exchange}/settle"): {},
    ("GET", "/runs"): {"params": {"project": "alpha"}},
    ("GET", "/runs/{run}"): {},
    ("GET", "/audit"): {"params": {"project": "alpha"}},
    ("GET", "/snapshots"): {},
    ("POST", "/snapshots"): {"json": {"document": {}, "version": 999}},
    ("GET", "/snapshots/diff"): {"params": {"from": 0}},
    ("GET", "/snapshots/{version}"): {},
    ("POST", "/snapshots/{version}/publish"): {"json": {"version": 999}},
    ("GET", "/providers"): {},
    ("GET", "/providers/{name}"): {},
    ("PUT", "/providers/{name}"): {"json": SETTINGS},
    ("PATCH", "/providers/{name}"): {"json": SETTINGS},
    ("DELETE", "/providers/{name}"): {},
    ("GET", "/models"): {},
    ("GET", "/models/{name}"): {},
    ("PUT", "/models/{name}"): {"json": SETTINGS},
    ("PATCH", "/models/{name}"): {"json": SETTINGS},
    ("DELETE", "/models/{name}"): {},
    ("GET", "/aliases"): {},
    ("GET", "/aliases/{name}"): {},
    ("PUT", "/aliases/{name}"): {"json": {"model": "mock", "version": 999}},
    ("DELETE", "/aliases/{name}"): {},
    ("GET", "/endpoints"): {},
    ("GET", "/prices"): {},
    ("GET", "/velocity"): {},
    ("GET", "/nodes"): {},
    ("POST", "/nodes/{node}/retire"): {},
}
"""How each route is asked so that nothing comes of it: what could change something names a version that is not."""

ABSENT: Final = {
    ("GET", "/oidc/login"),
    ("GET", "/oidc/callback"),
    ("GET", "/runs/{run}"),
    ("GET", "/invoices/{invoice}"),
    ("POST", "/invoices/{invoice}/void"),
    ("POST", "/ledger/{exchange}/settle"),
    ("POST", "/nodes/{node}/retire"),
    ("GET", "/snapshots/{version}"),
    ("POST", "/snapshots/{version}/publish"),
    ("POST", "/projects/{project}/redeem"),
    ("DELETE", "/projects/{project}/members/{user}"),
}
"""Where there is nothing to be found here, for whoever may look."""


class Cast(msgspec.Struct):
    """Everybody with his token, and what there is to be asked for."""

    tokens: dict[str, str]
    ids: dict[str, dict[str, str]]
    """Path parameters, by who asks: a token is his own."""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def cast(api: Api) -> AsyncIterator[Cast]:
    """A project with its people, a key of an admin's in it, a limit, and somebody from elsewhere."""
    async with api.client() as admin:
        assert (await admin.post("/projects", json={"name": "Alpha", "id": "alpha"})).status_code == 201
        roles = {"stranger": None, "viewer": "viewer", "member": "member", "manager": "admin"}
        tokens = {name: await api.member(f"{name}@example.com", "alpha", role) for name, role in roles.items()}
        tokens |= {"admin": api.first.token.secret.reveal(), "nobody": ""}
        key = (await admin.post("/keys", json={"name": "of an admin", "project": "alpha", "user": "admin"})).json()
        body = {"scope": "project", "subject": "alpha", "measure": "usd", "usd": "7"}
        limit = (await admin.post("/limits", json=body)).json()
        common = {
            "user": "admin",
            "project": "alpha",
            "key_id": key["key"]["id"],
            "limit_id": limit["id"],
            "name": "mock",
            "version": "1",
            "run": "none",
            "invoice": "none",
            "node": "none",
            "exchange": "none",
        }
        ids = {}
        for name, token in tokens.items():
            own = "none"
            if token:
                async with api.client(token) as client:
                    own = (await client.get("/tokens")).json()["data"][0]["id"]
            ids[name] = common | {"token": own}
        yield Cast(tokens, ids)


def routes() -> set[tuple[str, str]]:
    """Every route that is served."""
    return {
        (method, route.path.replace(":path}", "}"))
        for router in ROUTERS
        for route in router.routes
        if isinstance(route, Guarded)
        for method in route.methods or ()
    }


async def test_every_route_has_a_rule_and_is_tried() -> None:
    """None beside the table, none in it that is not served."""
    assert routes() == set(RULES)
    assert set(ASKED) == set(RULES)
    assert all(isinstance(route, Guarded) for router in ROUTERS for route in router.routes)


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("route", sorted(RULES), ids=lambda route: f"{route[0]} {route[1]}")
async def test_who_may(api: Api, cast: Cast, route: tuple[str, str], who: str) -> None:
    """Who may not is told so before anything else: 401, 403, or 404 where he may not know."""
    method, path = route
    need, asked = RULES[route], ASKED[route]
    names = cast.ids[who] | ({"name": "lab"} if path.startswith("/providers") else {})
    names |= {"name": "usual"} if path.startswith("/aliases") else {}
    if who != "nobody" and path == "/tokens/{token}" and method == "DELETE":
        pytest.skip("ends what this test speaks with")
    changes = method in {"DELETE", "POST"} and "{" in path and route not in ABSENT
    headers = {"if-match": '"998"'} if changes or method == "DELETE" else {}
    async with api.client(cast.tokens[who]) as client:
        answer = await client.request(method, path.format(**names), headers=headers, **asked)
    status = answer.status_code
    if who in ENOUGH[need]:
        expected = {404} if route in ABSENT else None
        if route == ("POST", "/session"):
            expected = {401, 429}
        elif route == ("POST", "/signup"):
            expected = {403}
        assert status in expected if expected else status not in {401, 403, 404, 500}, answer.text
    elif who == "nobody":
        assert status == 401
    elif who == "stranger" and need not in {Need.ADMIN, Need.USER}:
        assert status == 404
    else:
        assert status == (404 if route in {("GET", "/runs/{run}"), ("GET", "/invoices/{invoice}")} else 403), (
            answer.text
        )


async def test_members_have_their_own_keys_only(api: Api, cast: Cast) -> None:
    """They make, change and end their own; those of others they see."""
    async with api.client(cast.tokens["member"]) as member:
        made = (await member.post("/keys", json={"name": "mine", "project": "alpha"})).json()["key"]
        path = f"/keys/{made['id']}"
        assert made["user"] == (await member.get("/session")).json()["user"]
        changed = await member.patch(path, json={"name": "still mine", "version": made["version"]})
        assert changed.json()["name"] == "still mine"
        assert (await member.post(f"{path}/rotate", json={})).status_code == 201
        assert (await member.post(f"{path}/revoke")).json()["state"] == "revoked"
        assert (await member.delete(path)).status_code == 204
        for owner in ("admin", cast.ids["member"]["user"], "nobody-there"):
            refused = await member.post("/keys", json={"name": "x", "project": "alpha", "user": owner})
            assert refused.status_code == 403
    async with api.client(cast.tokens["viewer"]) as viewer:
        assert (await viewer.post("/keys", json={"name": "x", "project": "alpha"})).status_code == 403


async def test_a_project_does_not_set_its_own_price(api: Api, cast: Cast) -> None:
    """Its admin changes what it is called, and not what it pays."""
    async with api.client(cast.tokens["manager"]) as manager:
        version = (await manager.get("/projects/alpha")).json()["version"]
        for field, value in (("markup", "-1"), ("prepaid", False)):
            assert field in ADMINS_FIELDS["project"]
            answer = await manager.patch("/projects/alpha", json={"version": version, field: value})
            assert (answer.status_code, answer.json()["field"]) == (403, field)
        assert (await manager.patch("/projects/alpha", json={"version": version, "name": "A"})).status_code == 200


async def test_lists_hold_what_is_the_callers(api: Api, cast: Cast) -> None:
    """Other projects are not there, and asking for one by name finds nothing."""
    async with api.client(cast.tokens["viewer"]) as viewer, api.client(cast.tokens["stranger"]) as stranger:
        assert [row["id"] for row in (await viewer.get("/projects")).json()["data"]] == ["alpha"]
        assert (await stranger.get("/projects")).json()["data"] == []
        for path in ("/keys", "/limits", "/usage", "/ledger", "/runs", "/audit"):
            assert (await viewer.get(path, params={"project": "default"})).status_code == 404, path
        for path in ("/keys", "/limits", "/runs", "/audit"):
            assert (await viewer.get(path)).json()["field"] == "project", path


async def test_tokens_are_their_users(api: Api, cast: Cast) -> None:
    """One neither sees nor ends somebody else's, nor makes one for him."""
    async with api.client(cast.tokens["manager"]) as manager:
        theirs = cast.ids["member"]["token"]
        assert (await manager.get(f"/tokens/{theirs}")).status_code == 404
        assert (await manager.delete(f"/tokens/{theirs}")).status_code == 404
        assert (await manager.post("/tokens", json={"name": "x", "user": "admin"})).status_code == 403
        assert (await manager.get("/tokens", params={"user": "admin"})).status_code == 403


async def test_limits_of_users_and_models_are_the_admins(api: Api, cast: Cast) -> None:
    """They hold beyond the project."""
    async with api.client(cast.tokens["manager"]) as manager:
        for scope, subject in (("model", "mock"), ("user", "admin")):
            body = {"scope": scope, "subject": subject, "measure": "requests", "count": 1, "term": "minute"}
            assert (await manager.post("/limits", json=body)).status_code == 403
