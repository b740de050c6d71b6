"""Invoices over the API."""

from __future__ import annotations

import httpx
import pytest

from tests.records import NOON, line, settled
from tests.unit.control.api.server import Api
from tokenway.store.base import Progress

pytestmark = pytest.mark.asyncio(loop_scope="module")

BODY = {"project": "default", "begins": "2026-01-01T00:00:00Z", "ends": "2026-01-02T00:00:00Z"}


async def test_an_invoice_is_issued_once(api: Api, admin: httpx.AsyncClient) -> None:
    """What is settled later does not change it; others see their projects' only."""
    records = [settled(1, at=NOON, admitted=NOON, charged=2_500_000_000, lines=(line(),))]
    await api.run(api.store.ledger.commit, Progress("one", "w", "o", 1), records)
    made = await admin.post("/invoices", json=BODY)
    assert made.status_code == 201, made.text
    invoice = made.json()
    assert (invoice["total"], invoice["lines"][0]["model"], invoice["lines"][0]["calls"]) == ("2.5", "mock", 1)
    late = [settled(2, at=NOON, admitted=NOON, charged=1_000_000_000, lines=(line(),))]
    await api.run(api.store.ledger.commit, Progress("two", "w", "o", 1), late)
    assert (await admin.post("/invoices", json=BODY)).json() == invoice
    assert (await admin.get("/invoices")).json()["data"] == [invoice]
    path = f"/invoices/{invoice['id']}"
    assert (await admin.get(path)).json() == invoice
    async with api.client(await api.member("i@example.com", "default", "viewer")) as viewer:
        assert (await viewer.get(path)).json() == invoice
    async with api.client(await api.member("j@example.com", "default", None)) as stranger:
        assert (await stranger.get(path)).status_code == 404
        assert (await stranger.get("/invoices")).json()["data"] == []


async def test_a_day_is_billed_once_unless_its_invoice_is_void(api: Api, admin: httpx.AsyncClient) -> None:
    """A period that shares a day is refused with 409; when the other one is void it is issued."""
    made = (
        await admin.post("/invoices", json=BODY | {"begins": "2025-11-01T00:00:00Z", "ends": BODY["begins"]})
    ).json()
    december = BODY | {"begins": "2025-12-01T00:00:00Z", "ends": BODY["begins"]}
    refused = await admin.post("/invoices", json=december)
    assert (refused.status_code, made["id"] in refused.json()["detail"]) == (409, True)
    voided = await admin.post(f"/invoices/{made['id']}/void", json={"note": "wrong month"})
    assert (voided.status_code, voided.json() | {"voided": None}) == (200, made)
    assert voided.json()["voided"] is not None
    assert (await admin.get(f"/invoices/{made['id']}")).json() == voided.json()
    assert (await admin.post(f"/invoices/{made['id']}/void")).json() == voided.json()
    assert (await admin.post("/invoices", json=december)).status_code == 201
    async with api.client(await api.member("v@example.com", "default", "admin")) as manager:
        assert (await manager.post(f"/invoices/{made['id']}/void")).status_code == 403


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"ends": "2026-01-01T12:00:00Z"}, 422, "ends"),
        ({"ends": "2025-12-31T00:00:00Z"}, 422, "ends"),
        ({"ends": "2999-01-01T00:00:00Z"}, 422, "ends"),
        ({"begins": "2025-12-31T12:00:00Z"}, 422, "begins"),
        ({"begins": "x"}, 422, "begins"),
        ({"project": "none"}, 404, None),
    ],
)
async def test_what_is_no_period(
    admin: httpx.AsyncClient, body: dict[str, str], status: int, field: str | None
) -> None:
    """Whole days that are over, of a project that there is."""
    answer = await admin.post("/invoices", json=BODY | body)
    assert (answer.status_code, answer.json().get("field")) == (status, field)
