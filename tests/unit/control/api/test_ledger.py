"""The ledger over the API: pages, and the proof."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import httpx
import pytest

from tests.records import NOON, line, settled
from tests.unit.control.api.server import Api
from tokenway.aio.tasks import Tasks
from tokenway.control.api import ledger as module
from tokenway.metering.ledger import Settlement
from tokenway.model.identity import day_of, ids_of_day
from tokenway.store.base import Progress
from tokenway.store.database import Database
from tokenway.store.verify import Verification, verify

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def fill(api: Api, name: str, count: int, **changes: Any) -> list[str]:
    """Some exchanges; their ids."""
    ids = [f"{ids_of_day(day_of(NOON))}{name}{number:06d}" for number in range(count)]
    records = [settled(id=identity, at=NOON, admitted=NOON, **changes) for identity in ids]
    await api.run(api.store.ledger.commit, Progress(name, "w", "o", 1), records)
    return ids


async def test_entries_in_pages(api: Api, admin: httpx.AsyncClient) -> None:
    """With their attempts; others see no costs."""
    lost = line(settlement=Settlement.ABSORBED, status=502, fault="reset", usage=None, cost=None, attempt=1)
    ids = await fill(api, "a", 5, run="=1+1", lines=(lost, line(attempt=2)))
    first = (await admin.get("/ledger", params={"run": "=1+1", "limit": 3})).json()
    params = {"run": "=1+1", "limit": 3, "cursor": first["next_cursor"]}
    second = (await admin.get("/ledger", params=params)).json()
    assert [row["id"] for row in first["data"] + second["data"]] == ids[::-1]
    assert second["next_cursor"] is None
    entry = first["data"][0]
    assert (entry["charged"], entry["settlement"], entry["at"]) == (
        "0.000001234",
        "delivered",
        "2026-01-01T12:00:00.000Z",
    )
    assert [(each["fault"], each["cost"], each["tokens"] is None) for each in entry["attempts"]] == [
        ("reset", None, True),
        (None, "0.000001234", False),
    ]
    async with api.client(await api.member("l@example.com", "default", "viewer")) as viewer:
        row = (await viewer.get("/ledger", params={"limit": 1})).json()["data"][0]
        assert [each["cost"] for each in row["attempts"]] == [None, None]


async def test_the_ledger_is_proved(api: Api, admin: httpx.AsyncClient) -> None:
    """And a fault is found."""
    proof = (await admin.post("/ledger/verify", params={"since": "2025-01-01T00:00:00Z"})).json()
    assert (proof["holds"], proof["faults"]) == (True, [])
    assert proof["debits"] == proof["credits"]
    assert proof["exchanges"] > 0

    def break_it() -> None:
        with api.store.database.write() as connection:
            connection.exec_driver_sql("UPDATE rollups SET charged = charged + 1 WHERE grain = 86400")

    await api.run(break_it)
    proof = (await admin.post("/ledger/verify", params={"since": "2025-01-01T00:00:00Z"})).json()
    assert proof["holds"] is False
    assert proof["faults"]


async def test_nobody_waits_for_a_proof_and_two_are_not_made_at_once(
    api: Api, admin: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one reads, the store is read and written; another proof is refused until it is over."""
    began, may_end = threading.Event(), threading.Event()

    def slow(database: Database, now: float, *, since: float) -> Verification:
        assert database is not api.store.database
        began.set()
        assert may_end.wait(30)
        return verify(database, now, since=since)

    monkeypatch.setattr(module, "verify", slow)
    try:
        proving = Tasks(lambda _name, _error: None).start("proof", admin.post("/ledger/verify"))
        assert await asyncio.to_thread(began.wait, 30)
        made = await admin.post("/keys", json={"name": "meanwhile", "project": "default"})
        second = await admin.post("/ledger/verify")
        assert (made.status_code, second.status_code) == (201, 409)
        assert (await admin.get("/ledger/export")).status_code == 200
        assert not proving.done()
    finally:
        may_end.set()
    assert (await proving).status_code == 200
    assert (await admin.post("/ledger/verify")).status_code == 200


async def test_what_is_withheld_is_settled_once(api: Api, admin: httpx.AsyncClient) -> None:
    """By an admin: charged in part, and the rest is free."""
    left = settled(77, at=NOON, admitted=NOON, charged=0, withheld=2_000_000_000, lines=(line(),))
    await api.run(api.store.ledger.commit, Progress("left", "w", "o", 1), [left])
    path = f"/ledger/{left.id}/settle"
    kept = (await admin.get("/projects/default/credits")).json()["withheld"]
    assert (await admin.post(path, json={"charge": "2.5"})).status_code == 422
    done = await admin.post(path, json={"charge": "0.5", "note": "bill 7"})
    assert (done.status_code, done.json()["charged"], done.json()["withheld"]) == (200, "0.5", "0")
    assert (await admin.post(path)).status_code == 409
    assert (await admin.post("/ledger/gen-none/settle")).status_code == 404
    now = (await admin.get("/projects/default/credits")).json()["withheld"]
    assert float(kept) - float(now) == 2.0
    async with api.client(await api.member("w@example.com", "default", "admin")) as manager:
        assert (await manager.post(path)).status_code == 403
