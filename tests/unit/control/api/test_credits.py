"""Credits over the API: balances, movements, codes, statements."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import httpx
import pytest

from tests.unit.control.api.server import Api

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def project(admin: httpx.AsyncClient, name: str) -> str:
    """A new project's path."""
    made = await admin.post("/projects", json={"name": name, "id": name, "prepaid": True})
    assert made.status_code == 201
    return f"/projects/{name}"


async def test_money_comes_and_is_counted(admin: httpx.AsyncClient) -> None:
    """To the nano-dollar, of every kind."""
    path = await project(admin, "money")
    for kind, amount in (("top_up", "10"), ("grant", "0.000000001"), ("refund", "2.5"), ("adjustment", "-0.5")):
        answer = await admin.post(f"{path}/transfers", json={"kind": kind, "amount": amount, "note": kind})
        assert answer.status_code == 201, answer.text
        assert answer.json()["amount"] == amount.removeprefix("-")
    balance = (await admin.get(f"{path}/credits")).json()
    assert (balance["credits"], balance["spent"], balance["left"], balance["prepaid"]) == (
        "12.000000001",
        "0",
        "12.000000001",
        True,
    )
    rows = (await admin.get(f"{path}/transfers", params={"limit": 3})).json()
    assert [row["kind"] for row in rows["data"]] == ["top_up", "grant", "refund"]
    rest = (await admin.get(f"{path}/transfers", params={"limit": 3, "cursor": rows["next_cursor"]})).json()
    assert [(row["kind"], row["debit"]) for row in rest["data"]] == [("adjustment", "wallet:money")]
    statement = (await admin.get(f"{path}/statement")).json()
    assert (statement["opening"], statement["closing"]) == ("0", "12.000000001")
    assert [line["amount"] for line in statement["lines"]] == ["10", "0.000000001", "2.5", "-0.5"]
    today = datetime.now(UTC).strftime("%Y-%m-%dT00:00:00Z")
    before = (await admin.get(f"{path}/statement", params={"until": today})).json()
    assert (before["lines"], before["closing"]) == ([], "0")


async def test_a_reference_is_used_once(admin: httpx.AsyncClient) -> None:
    """The same again is the same movement; another under its name is a conflict."""
    path = await project(admin, "referred")
    body = {"kind": "top_up", "amount": "5", "reference": "invoice 17"}
    one, two = [(await admin.post(f"{path}/transfers", json=body)).json() for _ in range(2)]
    assert one == two
    assert (await admin.post(f"{path}/transfers", json=body | {"amount": "6"})).status_code == 409
    assert (await admin.get(f"{path}/credits")).json()["credits"] == "5"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"amount": "-1"}, "amount"),
        ({"amount": "0"}, "amount"),
        ({"amount": 5}, "amount"),
        ({"amount": "1e2"}, "amount"),
        ({"amount": "0.0000000001"}, "amount"),
        ({"kind": "gift"}, "kind"),
    ],
)
async def test_what_is_no_movement(admin: httpx.AsyncClient, body: dict[str, object], field: str) -> None:
    """422 with the field."""
    answer = await admin.post("/projects/default/transfers", json={"kind": "top_up", "amount": "1"} | body)
    assert (answer.status_code, answer.json()["field"]) == (422, field), answer.text


async def test_a_code_is_worth_something_once(api: Api, admin: httpx.AsyncClient) -> None:
    """Whoever is first; afterwards it is known by its beginning only."""
    path = await project(admin, "codes")
    made = (await admin.post("/codes", json={"count": 3, "amount": "2.5", "note": "fair"})).json()
    assert len(set(made["codes"])) == 3
    code = made["codes"][0]
    answers = await asyncio.gather(*(admin.post(f"{path}/redeem", json={"code": code.lower()}) for _ in range(5)))
    assert sorted(each.status_code for each in answers) == [201, 409, 409, 409, 409]
    assert (await admin.get(f"{path}/credits")).json()["credits"] == "2.5"
    assert (await admin.post(f"{path}/redeem", json={"code": "22222-22222-22222-22222-22222"})).status_code == 404
    listed = (await admin.get("/codes")).json()["data"]
    assert [row["project"] for row in listed].count("codes") == 1
    everything = (await admin.get("/codes")).text + (await admin.get(f"{path}/transfers")).text
    assert code not in everything
    token = await api.member("redeemer@example.com", "codes", "member")
    async with api.client(token) as member:
        answer = await member.post(f"{path}/redeem", json={"code": made["codes"][1]})
        assert (answer.status_code, answer.json()["kind"]) == (201, "redemption")
        assert answer.json()["reference"] == f"code:{made['codes'][1][:5]}"
    old = await admin.post("/codes", json={"amount": "1", "expires": "2020-01-01T00:00:00Z"})
    assert (old.status_code, old.json()["field"]) == (422, "expires")


async def test_unknown_projects(admin: httpx.AsyncClient) -> None:
    """Are not found."""
    for path in ("credits", "transfers", "statement"):
        assert (await admin.get(f"/projects/none/{path}")).status_code == 404
    body = {"kind": "grant", "amount": "1"}
    assert (await admin.post("/projects/none/transfers", json=body)).status_code == 404
