"""The ledger as a file."""

from __future__ import annotations

import csv
import io
import sys
from datetime import UTC, datetime
from decimal import Decimal

import httpx
import pyarrow.parquet as pq
import pytest

from tests.records import NOON, line
from tests.unit.control.api.server import Api
from tests.unit.control.api.test_ledger import fill
from tokenway.control.api import exports as module
from tokenway.metering.ledger import Settlement

pytestmark = pytest.mark.asyncio(loop_scope="module")


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


async def test_parquet_has_the_same_with_types(
    api: Api, admin: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In groups of rows as they are read; texts are as they are, and what nobody told is null."""
    monkeypatch.setattr(module, "EXPORTED", 4)
    lost = line(settlement=Settlement.ABSORBED, status=502, fault="reset", usage=None, cost=None, attempt=1)
    ids = await fill(api, "c", 9, model="parquet", run="@SUM(A1)", lines=(lost, line(attempt=2)))
    answer = await admin.get("/ledger/export", params={"model": "parquet", "format": "parquet"})
    assert answer.headers["content-type"] == "application/vnd.apache.parquet"
    assert answer.headers["content-disposition"] == 'attachment; filename="ledger.parquet"'
    file = pq.ParquetFile(io.BytesIO(answer.content))
    assert file.num_row_groups == 3
    rows = file.read().to_pylist()
    assert [(row["id"], row["attempt"]) for row in rows] == [(identity, n) for identity in ids for n in (1, 2)]
    assert [(row["cost"], row["input_uncached"]) for row in rows[:2]] == [(None, None), (Decimal("0.000001234"), 100)]
    assert (rows[0]["run"], rows[0]["at"]) == ("@SUM(A1)", datetime.fromtimestamp(NOON, UTC))
    assert sum(row["charged"] for row in rows) == 9 * Decimal("0.000001234")
    empty = await admin.get("/ledger/export", params={"model": "none", "format": "parquet"})
    assert pq.ParquetFile(io.BytesIO(empty.content)).metadata.num_rows == 0


async def test_others_than_admins_see_no_costs(api: Api, admin: httpx.AsyncClient) -> None:
    """In either form."""
    await fill(api, "d", 1, model="costs")
    async with api.client(await api.member("x@example.com", "default", "viewer")) as viewer:
        text = (await viewer.get("/ledger/export", params={"model": "costs"})).text
        assert [row["cost"] for row in csv.DictReader(io.StringIO(text))] == [""]
        answer = await viewer.get("/ledger/export", params={"model": "costs", "format": "parquet"})
        assert pq.ParquetFile(io.BytesIO(answer.content)).read().to_pylist()[0]["cost"] is None


async def test_parquet_without_its_package_is_refused(
    admin: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the name of the extra."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    answer = await admin.get("/ledger/export", params={"format": "parquet"})
    assert (answer.status_code, answer.json()["field"]) == (501, "format")
    assert "tokenway[parquet]" in answer.json()["detail"]
