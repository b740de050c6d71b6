"""Pages: whole, in order, and stable while rows come and go."""

from __future__ import annotations

import httpx
import pytest

from tests.unit.control.api.server import Api
from tokenway.control.api.paging import LIMIT_MAX, Cursors
from tokenway.control.api.problems import Problem
from tokenway.store.seal import Seal

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def make(admin: httpx.AsyncClient, *names: str) -> list[str]:
    """Projects of these names; their ids."""
    return [(await admin.post("/projects", json={"name": name})).json()["id"] for name in names]


async def test_pages_hold_everything_once_while_rows_come_and_go(admin: httpx.AsyncClient) -> None:
    """What was there all the time is seen once, what came behind is seen too, and nothing is seen twice."""
    made = await make(admin, *(f"page {number}" for number in range(9)))
    seen: list[str] = []
    cursor: str | None = None
    for turn in range(20):
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await admin.get("/projects", params=params)).json()
        seen += [row["id"] for row in page["data"]]
        cursor = page["next_cursor"]
        if turn == 1:
            assert (await admin.delete(f"/projects/{made[0]}")).status_code == 204  # seen already
            assert (await admin.delete(f"/projects/{made[8]}")).status_code == 204  # not seen yet
            made += await make(admin, "page late")
        if cursor is None:
            break
    assert cursor is None
    assert len(seen) == len(set(seen))
    assert set(made) - {made[8]} <= set(seen)
    assert made[8] not in seen


@pytest.mark.parametrize("limit", ["0", "-1", str(LIMIT_MAX + 1), "x", "1.5"])
async def test_a_page_has_a_size(admin: httpx.AsyncClient, limit: str) -> None:
    """From 1 to 200."""
    answer = await admin.get("/projects", params={"limit": limit})
    assert (answer.status_code, answer.json()["field"]) == (422, "limit")


async def test_a_cursor_belongs_to_its_list(admin: httpx.AsyncClient) -> None:
    """Neither invented, nor changed, nor another list's, nor the same list's with other filters."""
    await make(admin, "one more", "and more")
    cursor = (await admin.get("/projects", params={"limit": 1})).json()["next_cursor"]
    changed = ("B" if cursor[0] == "A" else "A") + cursor[1:]
    for path, given in (
        ("/projects", "x"),
        ("/projects", changed),
        ("/projects", cursor + "AAAA"),
        ("/projects?archived=false", cursor),
        ("/users", cursor),
        ("/snapshots", cursor),
        ("/models", cursor),
        ("/ledger", cursor),
        ("/usage", cursor),
        ("/audit", cursor),
        ("/runs", cursor),
    ):
        answer = await admin.get(path, params=httpx.URL(path).params.merge({"cursor": given}))
        assert (answer.status_code, answer.json().get("field")) == (422, "cursor"), path


async def test_every_list_has_pages(api: Api, admin: httpx.AsyncClient) -> None:
    """As the description of the API says it of every answer that is a list."""
    schema = (await admin.get("/openapi.json")).json()
    lists = 0
    for path, operations in schema["paths"].items():
        answer = operations.get("get", {}).get("responses", {}).get("200", {}).get("content", {})
        name = answer.get("application/json", {}).get("schema", {}).get("$ref", "").rpartition("/")[2]
        if "data" not in schema["components"]["schemas"].get(name, {}).get("properties", {}):
            continue
        lists += 1
        parameters = {each["name"] for each in operations["get"]["parameters"]}
        assert {"limit", "cursor"} <= parameters, path
        assert "next_cursor" in schema["components"]["schemas"][name]["properties"], path
    assert lists >= 15
    assert api.url


async def test_cursors_are_made_and_read() -> None:
    """For one list, with one key."""
    cursors = Cursors(Seal(["k" * 32]))
    cursor = cursors.make("list", "after ü")
    assert cursors.read("list", cursor) == "after ü"
    assert cursors.read("list", None) is None
    with pytest.raises(Problem):
        cursors.read("other", cursor)
    with pytest.raises(Problem):
        Cursors(Seal(["q" * 32])).read("list", cursor)
