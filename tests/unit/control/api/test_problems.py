"""Errors: one shape, the field where there is one, and nothing of what was sent."""

from __future__ import annotations

import httpx
import pytest

from tests.unit.control.api.server import Api
from tokenway.control.api.problems import TITLES, of_store
from tokenway.store.base import Conflict, InUse, Invalid, NotFound, StoreError

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    ("method", "path", "content", "status", "field"),
    [
        ("POST", "/projects", b"{", 422, None),
        ("POST", "/projects", b"[]", 422, None),
        ("POST", "/projects", b"", 422, None),
        ("POST", "/projects", b"\xff\xfe", 422, None),
        ("POST", "/projects", b'{"name": 5}', 422, "name"),
        ("POST", "/projects", b'{"name": "x", "markup": 0.125}', 422, "markup"),
        ("POST", "/projects", b'{"name": "x", "markup": 125000}', 422, "markup"),
        ("POST", "/projects", b'{"name": "x", "markup": "125000"}', 422, "markup"),
        ("POST", "/projects", b'{"name": "x", "markup": "0.1234567"}', 422, "markup"),
        ("POST", "/projects", b'{"name": "x", "markup": "-1.000001"}', 422, "markup"),
        ("POST", "/projects", b'{"name": "x", "markup": "12%"}', 422, "markup"),
        ("POST", "/projects", b'{"name": "x", "markup": true}', 422, "markup"),
        ("POST", "/projects", b'{"name": "x", "no": 1}', 422, "no"),
        ("POST", "/projects", b'{"name": "x\\u0000"}', 422, "name"),
        ("POST", "/projects", b'{"name": "\\ud800"}', 422, "name"),
        ("POST", "/projects", b'{"name": "x", "labels": {"a": 1}}', 422, "labels.a"),
        ("POST", "/keys", b'{"name": "x", "limits": [{"measure": "usd", "usd": 5}]}', 422, "limits[0].usd"),
        ("POST", "/keys", b'{"name": "x", "limits": [{"measure": "euro", "usd": "5"}]}', 422, "limits[0].measure"),
        (
            "POST",
            "/keys",
            b'{"name": "x", "limits": [{"measure": "usd", "usd": "5", "term": "minute"}]}',
            422,
            "limits[0].term",
        ),
        ("GET", "/ledger?since=yesterday", None, 422, "since"),
        ("GET", "/ledger?since=2026-02-30T00:00:00Z", None, 422, "since"),
        ("GET", "/ledger?since=2026-02-01", None, 422, "since"),
        ("GET", "/projects/none", None, 404, None),
        ("GET", "/projects/%00", None, 404, None),
        ("GET", "/keys/a%20b", None, 404, None),
        ("GET", "/snapshots/x", None, 404, None),
        ("GET", "/snapshots/99999999999999999999", None, 404, None),
        ("GET", "/nothing", None, 404, None),
        ("GET", "/projects%0Ax", None, 404, None),
        ("PATCH", "/projects", None, 405, None),
    ],
)
async def test_what_is_wrong_is_said_in_one_shape(
    admin: httpx.AsyncClient, method: str, path: str, content: bytes | None, status: int, field: str | None
) -> None:
    """Status, title, detail, and the field."""
    headers = {"content-type": "application/json"} if content is not None else {}
    answer = await admin.request(method, path, content=content, headers=headers)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["type"], problem["title"], problem["status"]) == ("about:blank", TITLES[status], status)
    assert problem["detail"]
    assert problem.get("field") == field


@pytest.mark.parametrize("path", ["/keys/key_none", "/limits/lim_none", "/users/nobody", "/tokens/tok_none"])
async def test_what_is_not_there_is_told_without_commands(admin: httpx.AsyncClient, path: str) -> None:
    """Who speaks HTTP may have no command line."""
    answer = await (admin.delete if path.startswith("/tokens") else admin.get)(path)
    assert (answer.status_code, "`" in answer.text) == (404, False)


async def test_a_wrong_method_says_which_are_right(admin: httpx.AsyncClient) -> None:
    """All of them."""
    answer = await admin.put("/users/admin", json={})
    assert answer.headers["allow"] == "DELETE, GET, PATCH"


async def test_only_json_is_read(admin: httpx.AsyncClient) -> None:
    """A form cannot be sent from another site as if it were JSON."""
    for media_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        answer = await admin.post("/projects", content=b'{"name": "x"}', headers={"content-type": media_type})
        assert answer.status_code == 415
    answer = await admin.post(
        "/projects", content=b'{"name": "y"}', headers={"content-type": "Application/JSON; charset=utf-8"}
    )
    assert answer.status_code == 201


async def test_a_fault_of_ours_tells_nothing_of_the_request(
    api: Api, admin: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the answer nor the log holds what was sent."""

    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(api.store.accounts.users, "create", fails)
    answer = await admin.post("/users", json={"name": "victim@example.com", "password": "a-secret-password"})
    assert answer.status_code == 500
    assert "broken" not in answer.text
    assert "POST /users failed" in caplog.text
    assert "a-secret-password" not in caplog.text
    assert "victim" not in caplog.text


@pytest.mark.parametrize(
    ("error", "status", "field"),
    [
        (NotFound("x"), 404, None),
        (Conflict("x"), 409, None),
        (Invalid("amount", "x"), 422, "amount"),
        (InUse("it has entries"), 409, None),
        (StoreError("the database failed"), 503, None),
    ],
)
async def test_what_a_store_refuses(error: StoreError, status: int, field: str | None) -> None:
    """Each kind has its status; what has entries is to be archived."""
    problem = of_store(error)
    assert (problem.status, problem.body.field) == (status, field)
    assert not isinstance(error, InUse) or "archive" in problem.body.detail
