"""Usage over the API."""

from __future__ import annotations

import httpx
import pytest

from tests.records import NOON, line, settled
from tests.unit.control.api.server import Api
from tokenway.store.base import Progress

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def fill(api: Api) -> None:
    """Two projects' calls on two days."""
    records = [
        settled(
            number,
            project=project,
            key=f"key_{project}",
            at=at,
            admitted=at,
            charged=2_000_000_000,
            lines=(line(cost=10**9),),
        )
        for number, (project, at) in enumerate([("default", NOON), ("default", NOON + 86_400), ("other", NOON)], 1)
    ]
    await api.run(api.store.ledger.commit, Progress("usage", "w", "o", 1), records)


async def test_reports(api: Api, admin: httpx.AsyncClient) -> None:
    """Grouped, by intervals, filtered, in pages; others see their projects, and not the costs."""
    await fill(api)
    rows = (await admin.get("/usage", params={"by": "project"})).json()["data"]
    assert [(row["group"], row["calls"], row["charged"], row["cost"]) for row in rows] == [
        ({"project": "default"}, 2, "4", "2"),
        ({"project": "other"}, 1, "2", "1"),
    ]
    assert rows[0]["tokens"]["input_uncached"] == 200
    assert (rows[0]["ttft_seconds"], rows[0]["output_tps"]) == (0.25, 60.0)
    report = (
        await admin.get("/usage", params={"interval": "day", "since": "2026-01-01T13:00:00Z", "project": "default"})
    ).json()
    assert report["since"] == "2026-01-01T00:00:00.000Z"
    assert [row["begins"] for row in report["data"]] == ["2026-01-01T00:00:00.000Z", "2026-01-02T00:00:00.000Z"]
    params: dict[str, object] = {"by": ["key", "model"], "interval": "day", "limit": 1}
    seen = []
    while True:
        page = (await admin.get("/usage", params=params)).json()  # type: ignore[arg-type]
        seen += [(row["begins"][:10], row["group"]["key"]) for row in page["data"]]
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]
    assert seen == [("2026-01-01", "key_default"), ("2026-01-01", "key_other"), ("2026-01-02", "key_default")]
    total = (await admin.get("/usage")).json()["data"]
    assert [(row["group"], row["calls"]) for row in total] == [({}, 3)]
    async with api.client(await api.member("u@example.com", "default", "viewer")) as viewer:
        rows = (await viewer.get("/usage", params={"by": "project"})).json()["data"]
        assert [(row["group"]["project"], row["cost"], row["absorbed"]) for row in rows] == [("default", None, None)]
    async with api.client(await api.member("n@example.com", "default", None)) as nobody:
        assert (await nobody.get("/usage", params={"by": "project"})).json()["data"] == []


@pytest.mark.parametrize(
    "query", ["by=colour", "interval=week", "since=2026", "by=model&by=key&by=user&by=project&by=endpoint&by=model"]
)
async def test_what_cannot_be_asked(admin: httpx.AsyncClient, query: str) -> None:
    """422."""
    assert (await admin.get(f"/usage?{query}")).status_code == 422
