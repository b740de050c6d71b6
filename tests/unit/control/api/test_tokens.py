"""Control tokens over the API."""

from __future__ import annotations

import httpx
import pytest

from tests.unit.control.api.server import Api

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_token_does_what_its_user_may_until_it_ends(api: Api, admin: httpx.AsyncClient) -> None:
    """Shown once, used, revoked."""
    made = (await admin.post("/tokens", json={"name": "ci"})).json()
    assert made["secret"].startswith("twc-")
    async with api.client(made["secret"]) as client:
        assert (await client.get("/users")).status_code == 200
        path = f"/tokens/{made['token']['id']}"
        shown = (await admin.get(path)).json()
        assert shown["last_used"]
        assert made["secret"] not in (await admin.get("/tokens")).text
        assert (await admin.delete(path)).json()["revoked"]
        assert (await client.get("/users")).status_code == 401


async def test_an_expired_token_is_none(api: Api, admin: httpx.AsyncClient) -> None:
    """And one whose user is archived."""
    old = (await admin.post("/tokens", json={"name": "old", "expires": "2020-01-01T00:00:00Z"})).json()["secret"]
    gone = await api.member("gone@example.com", "default", "member")
    await admin.post("/users/gone@example.com/archive")
    for secret in (old, gone):
        async with api.client(secret) as client:
            assert (await client.get("/session")).status_code == 401


async def test_a_key_of_models_is_no_token(api: Api, admin: httpx.AsyncClient) -> None:
    """Who may call models may not look in here."""
    key = (await admin.post("/keys", json={"name": "x"})).json()["secret"]
    async with api.client(key) as client:
        assert (await client.get("/session")).status_code == 401
