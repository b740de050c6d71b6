"""The ledger over the API: pages, the file, the proof."""

from __future__ import annotations

import csv
import io
from typing import Any

import httpx
import pytest

from tests.records import NOON, line, settled
from tests.unit.control.api.server import Api
from tokenway.control.api import ledger as module
from tokenway.metering.ledger import Settlement
from tokenway.model.identity import day_of, ids_of_day
from tokenway.store.base import Progress

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


async def test_the_file_has_every_entry_as_it_is_read(
    api: Api, admin: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row for each attempt, over several reads; names that callers chose are no formulas."""
    monkeypatch.setattr(module, "EXPORTED", 4)
    ids = await fill(api, "b", 9, model="csv", run="@SUM(A1)")
    answer = await admin.get("/ledger/export", params={"model": "csv"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["id"] for row in rows] == ids
    assert {row["run"] for row in rows} == {"'@SUM(A1)"}
    assert rows[0]["cost"] == "0.000001234"
    assert rows[0]["input_uncached"] == "100"
    empty = await admin.get("/ledger/export", params={"model": "none"})
    assert len(empty.text.splitlines()) == 1


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
