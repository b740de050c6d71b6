"""Signing in: cookies, forged requests, fixed sessions, guessed passwords."""

from __future__ import annotations

import time

import httpx
import pytest

from tests.unit.control.api.server import Api
from tokenway.control.api.attempts import PER_NAME

pytestmark = pytest.mark.asyncio(loop_scope="module")


def credentials(api: Api) -> dict[str, str]:
    """What the first admin signs in with."""
    return {"name": "admin", "password": api.first.password.reveal()}


async def test_a_password_opens_a_session(api: Api) -> None:
    """The cookie is the browser's alone, and tells who it is."""
    async with api.client("") as browser:
        answer = await browser.post("/session", json=credentials(api))
        assert answer.status_code == 201
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        assert "Secure" not in cookie
        assert "Path=/" in cookie
        shown = (await browser.get("/session")).json()
        assert (shown["name"], shown["role"], shown["csrf"]) == ("admin", "admin", answer.json()["csrf"])
        assert shown["expires"] == answer.json()["expires"]


async def test_over_tls_the_cookie_is_secure(api: Api) -> None:
    """A proxy on this machine says that the browser came over TLS."""
    async with api.client("") as browser:
        headers = {"x-forwarded-proto": "https"}
        answer = await browser.post("/session", json=credentials(api), headers=headers)
        assert "Secure" in answer.headers["set-cookie"]


async def test_a_change_needs_the_token_of_the_session(api: Api) -> None:
    """Another site can make the browser send its cookie, and no more."""
    async with api.client("") as browser:
        csrf = (await browser.post("/session", json=credentials(api))).json()["csrf"]
        body = {"name": "forged"}
        for headers in ({}, {"x-csrf-token": ""}, {"x-csrf-token": "0" * 32}):
            answer = await browser.post("/projects", json=body, headers=headers)
            assert (answer.status_code, answer.json()["field"]) == (403, "x-csrf-token")
        assert (await browser.post("/projects", json=body, headers={"x-csrf-token": csrf})).status_code == 201
        assert (await browser.get("/projects")).status_code == 200


async def test_the_token_of_one_session_is_not_anothers(api: Api) -> None:
    """It belongs to its session."""
    async with api.client("") as one, api.client("") as other:
        csrf = (await one.post("/session", json=credentials(api))).json()["csrf"]
        await other.post("/session", json=credentials(api))
        assert (await other.post("/projects", json={"name": "x"}, headers={"x-csrf-token": csrf})).status_code == 403


async def test_a_session_cannot_be_fixed(api: Api) -> None:
    """Signing in makes a new secret, whatever the browser had, and ends what it had."""
    async with api.client("") as browser:
        browser.cookies.set("tokenway_session", "tws-chosen-by-somebody-else", domain="127.0.0.1", path="/")
        first = (await browser.post("/session", json=credentials(api))).cookies["tokenway_session"]
        assert first != "tws-chosen-by-somebody-else"
        browser.cookies.clear()
        browser.cookies.set("tokenway_session", first)
        second = (await browser.post("/session", json=credentials(api))).cookies["tokenway_session"]
        assert second != first
        browser.cookies.clear()
        browser.cookies.set("tokenway_session", first)
        assert (await browser.get("/session")).status_code == 401


async def test_signing_out_ends_the_session(api: Api) -> None:
    """Also for who kept the cookie."""
    async with api.client("") as browser:
        answer = await browser.post("/session", json=credentials(api))
        kept = answer.cookies["tokenway_session"]
        out = await browser.delete("/session", headers={"x-csrf-token": answer.json()["csrf"]})
        assert out.status_code == 204
        browser.cookies.clear()
        browser.cookies.set("tokenway_session", kept)
        assert (await browser.get("/session")).status_code == 401


async def test_a_wrong_token_is_refused_and_says_how(admin: httpx.AsyncClient) -> None:
    """The cookie does not help a request that brings a wrong token."""
    for value in ("Bearer twc-wrong", "Basic YWRtaW46eA==", "Bearer", "Bearer \x80"):
        answer = await admin.get("/session", headers={b"authorization": value.encode("latin-1")})
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.headers["content-type"] == "application/problem+json"


async def test_an_unknown_name_looks_like_a_wrong_password(api: Api) -> None:
    """In what is said and in how long it takes."""
    async with api.client("") as browser:
        answers = []
        times = []
        for name in ("admin", "nobody-of-this-name"):
            began = time.perf_counter()
            answers.append(await browser.post("/session", json={"name": name, "password": "wrong-password"}))
            times.append(time.perf_counter() - began)
        assert [each.status_code for each in answers] == [401, 401]
        assert answers[0].json() == answers[1].json()
        assert min(times) > 0.005


async def test_passwords_are_not_guessed(api: Api, admin: httpx.AsyncClient) -> None:
    """After some attempts a name waits, with the right password too; other names go on."""
    name, password = "guessed@example.com", "a long password"
    assert (await admin.post("/users", json={"name": name, "password": password})).status_code == 201
    async with api.client("") as browser:
        for _ in range(PER_NAME):
            answer = await browser.post("/session", json={"name": name, "password": "wrong-password"})
            assert answer.status_code == 401
        answer = await browser.post("/session", json={"name": name.upper(), "password": password})
        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) > 0
        assert (await browser.post("/session", json=credentials(api))).status_code == 201


async def test_a_changed_password_signs_out_elsewhere(api: Api, admin: httpx.AsyncClient) -> None:
    """The session that changes it goes on; the old password is none any more."""
    name, password, other = "changes@example.com", "the first password", "the second password"
    await admin.post("/users", json={"name": name, "password": password})
    async with api.client("") as here, api.client("") as there:
        csrf = (await here.post("/session", json={"name": name, "password": password})).json()["csrf"]
        await there.post("/session", json={"name": name, "password": password})
        headers = {"x-csrf-token": csrf}
        body = {"current": "not the password", "password": other}
        wrong = await here.put("/session/password", json=body, headers=headers)
        assert (wrong.status_code, wrong.json()["field"]) == (403, "current")
        body["current"] = password
        assert (await here.put("/session/password", json=body, headers=headers)).status_code == 204
        assert (await here.get("/session")).status_code == 200
        assert (await there.get("/session")).status_code == 401
        assert (await there.post("/session", json={"name": name, "password": password})).status_code == 401
        assert (await there.post("/session", json={"name": name, "password": other})).status_code == 201
