"""Runs over the API."""

from __future__ import annotations

import httpx
import pytest

from tests.records import NOON, settled
from tests.unit.control.api.server import Api
from tokenway.metering.ledger import Trace
from tokenway.store.base import Progress

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_runs_and_their_trees(api: Api, admin: httpx.AsyncClient) -> None:
    """An id means something with its key only; others see their projects, and not what providers bill."""
    calls = [
        settled(1, run="run/1", admitted=NOON, trace=Trace(turn="t")),
        settled(2, run="run/1", admitted=NOON + 1, trace=Trace("sub", "run/1", "Explore", "t", "subagent")),
        settled(3, run="run/1", admitted=NOON + 2, key="key_b", project="other"),
        settled(4, run="run 2", admitted=NOON + 3),
    ]
    await api.run(api.store.ledger.commit, Progress("runs", "w", "o", 1), calls)
    rows = (await admin.get("/runs", params={"limit": 2})).json()
    assert [(row["id"], row["key"]) for row in rows["data"]] == [("run 2", "key_a"), ("run/1", "key_b")]
    rest = (await admin.get("/runs", params={"limit": 2, "cursor": rows["next_cursor"]})).json()
    assert [(row["id"], row["calls"]) for row in rest["data"]] == [("run/1", 2)]
    assert (await admin.get("/runs/run/1")).json()["field"] == "key"
    tree = (await admin.get("/runs/run/1", params={"key": "key_a"})).json()
    assert (tree["calls"], tree["provider_cost"], tree["project"]) == (2, "0.000002468", "default")
    assert [agent["agents"][0]["agent_type"] for agent in tree["agents"]] == ["Explore"]
    async with api.client(await api.member("r@example.com", "default", "viewer")) as viewer:
        shown = await viewer.get("/runs/run/1")
        assert (shown.status_code, shown.json()["key"], shown.json()["provider_cost"]) == (200, "key_a", None)
        assert "provider_cost" not in str(shown.json()["agents"])
        assert (await viewer.get("/runs/run/1", params={"key": "key_b"})).status_code == 404
        (row, _) = (await viewer.get("/runs", params={"project": "default"})).json()["data"]
        assert (row["id"], row["provider_cost"]) == ("run 2", None)
    assert (await admin.get("/runs/none")).status_code == 404
