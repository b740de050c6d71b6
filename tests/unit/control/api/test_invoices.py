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


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"ends": "2026-01-01T12:00:00Z"}, 422),
        ({"ends": "2025-12-31T00:00:00Z"}, 422),
        ({"ends": "2999-01-01T00:00:00Z"}, 422),
        ({"begins": "x"}, 422),
        ({"project": "none"}, 404),
    ],
)
async def test_what_is_no_period(admin: httpx.AsyncClient, body: dict[str, str], status: int) -> None:
    """Whole days that are over, of a project that there is."""
    assert (await admin.post("/invoices", json=BODY | body)).status_code == status
