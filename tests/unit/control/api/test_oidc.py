"""Signing in at a real identity provider, and everything that could be wrong with what it says."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from joserfc.jwk import RSAKey

from tests.unit.control.api.identity_provider import CLIENT_ID, CLIENT_SECRET, IdentityProvider, providing
from tests.unit.control.api.server import FILE, Api, serving
from tokenway.control.api.oidc import COOKIE

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def provider() -> AsyncIterator[IdentityProvider]:
    """The identity provider."""
    async with providing() as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def api(provider: IdentityProvider, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    """A gateway that signs in there."""
    oidc = {
        "issuer": provider.issuer,
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "admin_groups": ["operators"],
    }
    async with serving(tmp_path_factory.mktemp("oidc"), file=FILE | {"auth": {"oidc": oidc}}) as running:
        yield running


@pytest.fixture(autouse=True)
def honest(provider: IdentityProvider) -> None:
    """What a test has made it say is forgotten."""
    provider.claims, provider.forge = {}, {}
    provider.signs_with = provider.key


async def walk(browser: httpx.AsyncClient) -> httpx.Response:
    """There and back; the last answer, which signs in."""
    there = await browser.get("/oidc/login")
    assert there.status_code == 303, there.text
    back = await browser.get(there.headers["location"])
    assert back.status_code == 302, back.text
    return await browser.get(back.headers["location"])


async def test_who_comes_the_first_time_gets_an_account(api: Api, provider: IdentityProvider) -> None:
    """And is the same the next time, whatever he is called by then."""
    provider.claims = {"sub": "s-new", "email": "new@example.com", "email_verified": True}
    users = []
    for email in ("new@example.com", "renamed@example.com"):
        provider.claims["email"] = email
        async with api.client("") as browser:
            answer = await walk(browser)
            assert (answer.status_code, answer.headers["location"]) == (303, "/")
            shown = (await browser.get("/session")).json()
            users.append(shown["user"])
            assert (shown["name"], shown["role"]) == ("new@example.com", "user")
            made = await browser.post("/tokens", json={"name": "x"}, headers={"x-csrf-token": shown["csrf"]})
            assert made.status_code == 201
    assert users[0] == users[1]


async def test_groups_give_and_take_the_role(api: Api, provider: IdentityProvider) -> None:
    """With every sign-in."""
    provider.claims = {"sub": "s-op", "email": "op@example.com"}
    for groups, role in ((["operators", "x"], "admin"), ([], "user"), ("operators", "user"), (["operators"], "admin")):
        provider.claims["groups"] = groups
        async with api.client("") as browser:
            await walk(browser)
            assert (await browser.get("/session")).json()["role"] == role


async def test_a_name_that_is_taken_is_no_proof(api: Api, provider: IdentityProvider) -> None:
    """An identity takes over nobody's account, the admin's least of all."""
    provider.claims = {"sub": "s-evil", "email": "admin"}
    async with api.client("") as browser:
        answer = await walk(browser)
        assert answer.status_code == 409
        assert (await browser.get("/session")).status_code == 401


async def test_an_identity_that_an_admin_gave(api: Api, provider: IdentityProvider) -> None:
    """So an account that is there already can be signed in to."""
    provider.claims = {"sub": "s-given", "email": "whatever@example.com"}
    async with api.client() as admin, api.client("") as browser:
        body = {"name": "given@example.com", "identity": f"{provider.issuer} s-given"}
        user = (await admin.post("/users", json=body)).json()["id"]
        await walk(browser)
        assert (await browser.get("/session")).json()["user"] == user


@pytest.mark.parametrize(
    "forge",
    [
        {"iss": "http://127.0.0.1/other"},
        {"aud": "another client"},
        {"aud": [CLIENT_ID, "another"], "azp": "another"},
        {"aud": [CLIENT_ID, "another"]},
        {"exp": int(time.time()) - 3600},
        {"exp": None},
        {"nonce": "another"},
        {"nonce": None},
        {"sub": None},
        {"email_verified": False},
    ],
    ids=lambda forge: "-".join(f"{name}" for name in forge),
)
async def test_a_token_that_is_not_for_us_now_is_refused(
    api: Api, provider: IdentityProvider, forge: dict[str, Any]
) -> None:
    """Each claim that is checked, with a good signature."""
    provider.claims = {"email": "forged@example.com"}
    provider.forge = forge
    async with api.client("") as browser:
        answer = await walk(browser)
        assert answer.status_code == 403
        assert (await browser.get("/session")).status_code == 401


async def test_a_signature_of_somebody_else_is_refused(api: Api, provider: IdentityProvider) -> None:
    """Whatever name its key has."""
    provider.signs_with = RSAKey.generate_key(2048, parameters={"kid": str(provider.key.kid)}, private=True)
    async with api.client("") as browser:
        assert (await walk(browser)).status_code == 403


async def test_new_keys_of_the_issuer_are_looked_up(api: Api, provider: IdentityProvider) -> None:
    """As soon as a token has one that is not known."""
    provider.claims = {"sub": "s-key", "email": "key@example.com"}
    async with api.client("") as browser:
        assert (await walk(browser)).status_code == 303
    provider.renew_key()
    async with api.client("") as browser:
        assert (await walk(browser)).status_code == 303


async def test_an_answer_belongs_to_the_browser_that_asked(api: Api) -> None:
    """Neither another's address, nor one that was seen before, nor none at all signs in."""
    async with api.client("") as one, api.client("") as other:
        there = await one.get("/oidc/login")
        cookie = there.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "nonce" not in cookie
        back = (await one.get(there.headers["location"])).headers["location"]
        assert (await other.get(back)).status_code == 403
        await other.get("/oidc/login")
        assert (await other.get(back)).status_code == 403
        assert (await one.get(back)).status_code == 303
        assert (await one.get(back)).status_code == 403
        other.cookies.clear()
        other.cookies.set(COOKIE, "v1.made.up")
        assert (await other.get(back)).status_code == 403


async def test_a_refusal_is_told(api: Api) -> None:
    """In the identity provider's words."""
    async with api.client("") as browser:
        there = await browser.get("/oidc/login")
        state = httpx.URL(there.headers["location"]).params["state"]
        params = {"state": state, "error": "access_denied", "error_description": "not today"}
        answer = await browser.get("/oidc/callback", params=params)
        assert answer.status_code == 403
        assert "not today" in answer.json()["detail"]


async def test_without_a_provider_there_is_nothing(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Not configured: 404; out of reach: 503."""
    async with serving(tmp_path_factory.mktemp("none")) as api, api.client("") as browser:
        assert (await browser.get("/oidc/login")).status_code == 404
    oidc = {"issuer": "http://127.0.0.1:9/realm", "client_id": "x"}
    file = FILE | {"auth": {"oidc": oidc}}
    async with serving(tmp_path_factory.mktemp("away"), file=file) as api, api.client("") as browser:
        assert (await browser.get("/oidc/login")).status_code == 503
