"""One key, one creation."""

from __future__ import annotations

import asyncio
import sqlite3

import httpx
import pytest

from tests.unit.control.api.server import Api
from tokenway.control.api import once
from tokenway.control.api.once import KEPT_SECONDS, REPLAYED

pytestmark = pytest.mark.asyncio(loop_scope="module")

BODY = {"name": "once", "project": "default"}


async def keys(admin: httpx.AsyncClient, name: str) -> list[str]:
    """The ids of the keys that are called so."""
    rows = (await admin.get("/keys", params={"project": "default", "limit": 200})).json()["data"]
    return [row["id"] for row in rows if row["name"] == name]


async def test_the_same_request_has_the_same_answer(admin: httpx.AsyncClient) -> None:
    """With the secret in it, which is nowhere else."""
    headers = {"idempotency-key": "first"}
    one = await admin.post("/keys", json=BODY, headers=headers)
    two = await admin.post("/keys", json=BODY, headers=headers)
    assert (one.status_code, two.status_code) == (201, 201)
    assert one.json() == two.json()
    assert REPLAYED not in one.headers
    assert two.headers[REPLAYED] == "true"
    assert await keys(admin, "once") == [one.json()["key"]["id"]]


async def test_another_request_is_refused(admin: httpx.AsyncClient) -> None:
    """A key stands for one request: its path, parameters and body."""
    headers = {"idempotency-key": "second"}
    await admin.post("/keys", json=BODY | {"name": "two"}, headers=headers)
    for path, body in (("/keys", BODY | {"name": "three"}), ("/projects", {"name": "two"})):
        answer = await admin.post(path, json=body, headers=headers)
        assert (answer.status_code, answer.json()["field"]) == (409, "Idempotency-Key")
    assert (await admin.post("/keys?x=1", json=BODY | {"name": "two"}, headers=headers)).status_code == 409
    assert await keys(admin, "three") == []


async def test_two_at_once_do_it_once(admin: httpx.AsyncClient) -> None:
    """However many, and whoever comes first."""
    headers = {"idempotency-key": "race"}
    body = BODY | {"name": "race"}
    answers = await asyncio.gather(*(admin.post("/keys", json=body, headers=headers) for _ in range(12)))
    assert {each.status_code for each in answers} == {201}
    assert len({each.text for each in answers}) == 1
    assert len(await keys(admin, "race")) == 1


async def test_keys_belong_to_who_uses_them(api: Api, admin: httpx.AsyncClient) -> None:
    """Another user's key of the same text is another key."""
    token = await api.member("once@example.com", "default", "member")
    headers = {"idempotency-key": "mine"}
    async with api.client(token) as member:
        mine = await member.post("/keys", json=BODY | {"name": "mine"}, headers=headers)
        theirs = await admin.post("/keys", json=BODY | {"name": "mine"}, headers=headers)
        assert mine.status_code == theirs.status_code == 201
        assert mine.json()["secret"] != theirs.json()["secret"]


async def test_a_refused_creation_is_not_remembered(admin: httpx.AsyncClient) -> None:
    """It left nothing, so it may be tried again when the reason is gone."""
    headers = {"idempotency-key": "later"}
    body = {"name": "later", "project": "not-yet"}
    assert (await admin.post("/keys", json=body, headers=headers)).status_code == 404
    assert (await admin.post("/projects", json={"name": "Not yet", "id": "not-yet"})).status_code == 201
    assert (await admin.post("/keys", json=body, headers=headers)).status_code == 201


async def test_a_failure_after_the_creation_undoes_it(
    api: Api, admin: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer and what it tells of are written together."""

    def fails(*_: object) -> str:
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(api.services.seal, "seal", fails)
        answer = await admin.post("/keys", json=BODY | {"name": "undone"}, headers={"idempotency-key": "undone"})
        assert answer.status_code == 500
    assert await keys(admin, "undone") == []


async def test_it_is_forgotten_after_a_day(api: Api, admin: httpx.AsyncClient) -> None:
    """Then the same key does it again."""
    headers = {"idempotency-key": "old"}
    body = BODY | {"name": "old"}
    first = await admin.post("/keys", json=body, headers=headers)
    path = api.folder / "tokenway.db"
    for seconds, made in ((KEPT_SECONDS - 60, 1), (KEPT_SECONDS + 60, 2)):
        with sqlite3.connect(path, timeout=10) as connection:
            connection.execute("UPDATE idempotency SET created = created - ? WHERE key = 'old'", (seconds,))
        second = await admin.post("/keys", json=body, headers=headers)
        assert (second.json() == first.json()) is (made == 1)
        with sqlite3.connect(path, timeout=10) as connection:
            connection.execute("UPDATE idempotency SET created = created + ? WHERE key = 'old'", (seconds,))
        assert len(await keys(admin, "old")) == made


async def test_no_secret_is_kept_in_the_open(api: Api, admin: httpx.AsyncClient) -> None:
    """The remembered answer is sealed."""
    secret = (await admin.post("/keys", json=BODY, headers={"idempotency-key": "sealed"})).json()["secret"]
    text = b"".join(each.read_bytes() for each in api.folder.glob("tokenway.db*"))
    assert secret.encode() not in text
    assert once.PURPOSE == "idempotency"


@pytest.mark.parametrize("key", ["", "a b", "ä", "x" * 201])
async def test_a_key_is_a_word(admin: httpx.AsyncClient, key: str) -> None:
    """Of visible ASCII, at most 200 characters."""
    answer = await admin.post("/keys", json=BODY, headers={b"idempotency-key": key.encode()})
    assert (answer.status_code, answer.json()["field"]) == (422, "Idempotency-Key")
