"""Accounts and their money, at one machine of two workers: what is changed with them is so for the next calls."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from typing import Final

import httpx
import pytest
import pytest_asyncio

from tests.e2e.callers import dial
from tests.e2e.control import admin_of, caller_of
from tests.e2e.everywhere import a_connection_to_each, seconds_until, status
from tests.e2e.gateway import KEY, PRICE, Gateway, configuration, serving, until
from tests.e2e.raw import Raw
from tests.fake_provider import FakeProvider

pytestmark = pytest.mark.asyncio(loop_scope="module")

SOON: Final = 2.0
"""Seconds within which all workers go by a change: half a second, and what a busy machine needs."""
WALLET: Final = "sk-prepaid-0123456789"
GRANT: Final = "0.001"
PASSWORD: Final = "a long password"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def gateway(provider: FakeProvider, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    """People may sign up; one project of the configuration is prepaid."""
    endpoint = {"provider": "lab", "model": "fake", "price": PRICE}
    config = configuration(
        provider.base_url,
        server={"workers": 2},
        auth={"keys": [{"name": "ci", "key": KEY}, {"name": "wallet", "key": WALLET, "project": "wallet"}]},
        projects={"wallet": {"prepaid": True, "markup": 0.25}},
        models={name: {"endpoints": [endpoint]} for name in ("mock", "dear", "free-one")},
        signup={
            "enabled": True,
            "grant": GRANT,
            "limits": {"rpm": 12, "usd_per_day": 1},
            "models": ["mock", "free-*"],
            "per_hour": 2,
        },
    )
    async with serving(tmp_path_factory.mktemp("accounts"), config) as running:
        yield running
        assert json.loads(await running.run("ledger", "verify", "--json"))["faults"] == []


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def admin(gateway: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    """Who may do everything."""
    async with admin_of(gateway) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def everywhere(gateway: Gateway) -> AsyncIterator[list[Raw]]:
    """A connection to each of the workers."""
    async with AsyncExitStack() as stack:
        yield await a_connection_to_each([gateway], stack)


@asynccontextmanager
async def member(
    gateway: Gateway, admin: httpx.AsyncClient, name: str, project: str, role: str
) -> AsyncIterator[httpx.AsyncClient]:
    """A new user with a role in a project, who has signed in."""
    assert (await admin.post("/users", json={"name": name, "password": PASSWORD})).status_code == 201
    user = (await admin.get(f"/users/{name}")).json()["id"]
    assert (await admin.put(f"/projects/{project}/members/{user}", json={"role": role})).status_code in {200, 201}
    async with caller_of(gateway) as client:
        session = await client.post("/session", json={"name": name, "password": PASSWORD})
        client.headers["x-csrf-token"] = session.json()["csrf"]
        yield client


async def spend(everywhere: list[Raw], key: str) -> None:
    """Calls at every worker until none is served any more."""

    async def spend_there(raw: Raw) -> None:
        while (found := await status(raw, key, "mock")) != 402:
            assert found == 200

    await asyncio.gather(*map(spend_there, everywhere))


# -- credits -----------------------------------------------------------------------------------------------


async def test_credits_that_are_used_up_come_back_whoever_brings_them(
    gateway: Gateway, admin: httpx.AsyncClient, everywhere: list[Raw]
) -> None:
    """By a payment or by a code, on the command line or over the control API, by an admin or by a member."""
    made = (await admin.post("/codes", json={"count": 2, "amount": "0.0005", "note": "fair"})).json()["codes"]
    more = json.loads(await gateway.run("credits", "codes", "--make", "1", "--amount", "0.0005", "--json"))
    top_up = {"kind": "top_up", "amount": "0.0005", "reference": "payment 1"}
    path = "/projects/wallet"
    async with (
        member(gateway, admin, "ann@example.org", "wallet", "member") as ann,
        member(gateway, admin, "vic@example.org", "wallet", "viewer") as viewer,
    ):
        assert (await viewer.post(f"{path}/redeem", json={"code": made[0]})).status_code == 403
        assert (await ann.post(f"{path}/transfers", json=top_up)).status_code == 403

        async def redeemed() -> None:
            assert (await ann.post(f"{path}/redeem", json={"code": made[0]})).status_code in {200, 201}
            assert (await ann.post(f"{path}/redeem", json={"code": made[0]})).status_code == 409

        async def redeemed_by_hand() -> None:
            await gateway.run("credits", "redeem", more[0], "wallet")

        async def paid() -> None:
            for _ in range(2):  # its reference is used once
                assert (await admin.post(f"{path}/transfers", json=top_up)).status_code == 201

        async def paid_by_hand() -> None:
            await gateway.run("credits", "add", "wallet", "0.0005", "--reference", "payment 2")

        took = []
        for add in (redeemed, redeemed_by_hand, paid, paid_by_hand):
            await spend(everywhere, WALLET)
            await add()
            took.append(await seconds_until(everywhere, WALLET, "mock", 200))
        print("served everywhere after", [f"{seconds:.2f} s" for seconds in took])
        assert max(took) < SOON
        await spend(everywhere, WALLET)
        balance = (await viewer.get(f"{path}/credits")).json()
    assert balance["credits"] == "0.002"
    async with dial(gateway, WALLET) as http:
        told = (await http.get("/v1/credits")).json()["data"]
    assert told == {"total_credits": 0.002, "total_usage": float(balance["spent"]), "withheld": 0.0, "prepaid": True}
    assert 0.8 * 0.002 <= told["total_usage"] <= 0.002
    assert (balance["prepaid"], balance["withheld"]) == (True, "0")
    assert Decimal(balance["left"]) == Decimal("0.002") - Decimal(balance["spent"])


# -- people ------------------------------------------------------------------------------------------------


async def test_who_signs_up_has_what_the_settings_give_and_no_more(
    gateway: Gateway, admin: httpx.AsyncClient, everywhere: list[Raw]
) -> None:
    """His key is served at once; the rate is his and not the key's; the grant ends, and only others give more."""
    async with caller_of(gateway) as browser:
        account = {"name": "new@example.org", "password": PASSWORD}
        made = (await browser.post("/signup", json=account)).json()
        key, project = made["key"]["secret"], made["project"]["id"]
        assert await seconds_until(everywhere[:1], key, "mock", 200) < SOON
        assert {model: await status(everywhere[0], key, model) for model in ("free-one", "dear")} == {
            "free-one": 200,
            "dear": 403,
        }
        session = (await browser.post("/session", json=account)).json()
        headers = {"x-csrf-token": session["csrf"]}
        body = {"name": "second", "project": project}
        second = (await browser.post("/keys", json=body, headers=headers)).json()["secret"]
        grant = {"kind": "grant", "amount": "1"}
        refused = await browser.post(f"/projects/{project}/transfers", json=grant, headers=headers)
        assert refused.status_code == 403
        async with dial(gateway, key) as http:
            told = (await http.get("/v1/credits")).json()["data"]
        assert (told["total_credits"], told["prepaid"]) == (float(GRANT), True)

        async def is_known() -> bool:
            return await status(everywhere[0], second, "mock") != 401

        await until(is_known, SOON)
        found = [
            await status(raw, each, "mock")
            for _ in range(8)
            for raw, each in zip(everywhere, (key, second), strict=True)
        ]
        assert 429 in found, "two keys have one rate"
        rows = (await admin.get("/limits", params={"scope": "user"})).json()["data"]
        (rate,) = [row for row in rows if row["measure"] == "requests" and row["subject"] == made["user"]["id"]]
        change = {"version": rate["version"], "count": 100_000}
        assert (await admin.patch(f"/limits/{rate['id']}", json=change)).status_code == 200
        assert await seconds_until(everywhere, key, "mock", 200) < SOON
        await spend(everywhere, key)
        await spend(everywhere, second)
        async with dial(gateway, second) as http:
            told = (await http.get("/v1/credits")).json()["data"]
        assert 0.6 * float(GRANT) <= told["total_usage"] <= float(GRANT), "two keys have one grant"


async def test_a_rotated_key_has_two_secrets_for_a_while(
    gateway: Gateway, admin: httpx.AsyncClient, everywhere: list[Raw]
) -> None:
    """Both are the same key, with one budget; then the former one is over, and without an overlap at once."""
    bounds = [{"measure": "usd", "usd": "1"}]
    made = (await admin.post("/keys", json={"name": "turning", "limits": bounds})).json()
    identity, first = made["key"]["id"], made["secret"]
    await seconds_until(everywhere, first, "mock", 200)
    second = (await admin.post(f"/keys/{identity}/rotate", json={"overlap": 2})).json()["secret"]
    assert await seconds_until(everywhere, second, "mock", 200) < SOON
    async with dial(gateway, first) as old, dial(gateway, second) as new:
        figures = [(await http.get("/v1/key")).json()["data"] for http in (old, new)]
    assert figures[0] == figures[1]
    assert figures[0]["label"] == "turning"
    assert figures[0]["usage"] > 0
    assert await seconds_until(everywhere, first, "mock", 401) < 2 + SOON
    assert await status(everywhere[0], second, "mock") == 200
    third = json.loads(await gateway.run("keys", "rotate", "turning", "--json"))["key"]
    assert await seconds_until(everywhere, second, "mock", 401) < SOON
    assert await seconds_until(everywhere, third, "mock", 200) < SOON


async def test_a_service_account_calls_and_does_not_sign_in(
    gateway: Gateway, admin: httpx.AsyncClient, everywhere: list[Raw]
) -> None:
    """Its limits are those of all its keys; its end is theirs, and that of its tokens."""
    user = json.loads(await gateway.run("users", "create", "nightly", "--service", "--json"))["id"]
    async with caller_of(gateway) as browser:
        for password in ("", PASSWORD):
            assert (await browser.post("/session", json={"name": "nightly", "password": password})).status_code in {
                401,
                422,
            }
    keys = [(await admin.post("/keys", json={"name": name, "user": user})).json()["secret"] for name in "ab"]
    bound = {"scope": "user", "subject": user, "measure": "requests", "count": 3, "term": "day"}
    assert (await admin.post("/limits", json=bound)).status_code == 201
    token = json.loads(await gateway.run("control-tokens", "create", "robot", "--user", "nightly", "--json"))["token"]
    async with caller_of(gateway, token) as robot:
        assert (await robot.get("/session")).status_code == 200
        for key in keys:
            await until_known(everywhere, key)
        found = [await status(raw, key, "mock") for raw in everywhere for key in keys * 2]
        assert found[-1] == 429
        (rows,) = [
            row
            for row in (await admin.get("/usage", params={"by": "user"})).json()["data"]
            if row["group"]["user"] == user
        ]
        assert rows["charged"] != "0"
        assert (await admin.post(f"/users/{user}/archive")).status_code == 200
        for key in keys:
            assert await seconds_until(everywhere, key, "mock", 401) < SOON
        assert (await robot.get("/session")).status_code == 401


async def until_known(everywhere: list[Raw], key: str) -> None:
    """Waits until every worker lets a key in, as the list of models shows, which is no call."""

    async def is_known() -> bool:
        found = []
        for raw in everywhere:
            await raw.send(f"GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\n\r\n".encode())
            found.append((await raw.answer()).status)
        return set(found) == {200}

    await until(is_known, SOON)
