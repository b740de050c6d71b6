"""One key, one creation."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest

from tests.unit.control.api.server import Api, serving
from tokenway.control.api import once
from tokenway.control.api.once import KEPT_SECONDS, REPLAYED
from tokenway.store.open import Store

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


@contextlib.asynccontextmanager
async def two_machines(
    folder: Path, open_store: Callable[..., Store]
) -> AsyncIterator[tuple[httpx.AsyncClient, httpx.AsyncClient]]:
    """An admin at each of two machines that share a database and the key to its secrets."""
    environment = {"TOKENWAY_SECRET_KEY": "the same on both of the machines"}
    async with contextlib.AsyncExitStack() as stack:
        clients: list[httpx.AsyncClient] = []
        for node in ("00000001", "00000002"):
            own = folder / node
            own.mkdir()
            machine = serving(own, environment=environment, open_store=lambda node=node: open_store(node=node))
            api = await stack.enter_async_context(machine)
            token = clients[0].headers["authorization"].partition(" ")[2] if clients else None
            clients.append(await stack.enter_async_context(api.client(token)))
        yield clients[0], clients[1]


async def test_two_machines_do_it_once(tmp_path: Path, open_store: Callable[..., Store]) -> None:
    """Whichever comes first: one creation, one answer, with the secret that only one of them has made."""
    async with two_machines(tmp_path, open_store) as (one, two):
        for attempt in range(5):
            headers = {"idempotency-key": f"race-{attempt}"}
            body = BODY | {"name": f"race-{attempt}"}
            asked = (each.post("/keys", json=body, headers=headers) for each in (one, two) * 4)
            answers = await asyncio.gather(*asked)
            assert {each.status_code for each in answers} == {201}, [each.text for each in answers]
            assert len({each.text for each in answers}) == 1
            assert sum(REPLAYED not in each.headers for each in answers) == 1
            assert len(await keys(two, f"race-{attempt}")) == 1


async def test_of_two_machines_that_do_different_things_with_a_key_one_is_refused(
    tmp_path: Path, open_store: Callable[..., Store]
) -> None:
    """And what it asked for is not there."""
    async with two_machines(tmp_path, open_store) as machines:
        for attempt in range(5):
            headers = {"idempotency-key": f"two-{attempt}"}
            names = [f"{attempt}-{number}" for number in range(2)]
            asked = (
                each.post("/keys", json=BODY | {"name": name}, headers=headers)
                for each, name in zip(machines, names, strict=True)
            )
            statuses = [each.status_code for each in await asyncio.gather(*asked)]
            assert sorted(statuses) == [201, 409]
            made = [len(await keys(machines[0], name)) for name in names]
            assert made == [int(status == 201) for status in statuses]


async def test_of_two_machines_that_change_the_same_version_one_wins(
    tmp_path: Path, open_store: Callable[..., Store]
) -> None:
    """What the other wanted is not there, and the version is one further; also of the configuration."""
    async with two_machines(tmp_path, open_store) as machines:
        made = (await machines[0].post("/keys", json=BODY)).json()["key"]
        path, version = f"/keys/{made['id']}", made["version"]
        for attempt in range(5):
            asked = (
                each.patch(path, json={"version": version, "name": f"{attempt}-{number}"})
                for number, each in enumerate(machines)
            )
            statuses = [each.status_code for each in await asyncio.gather(*asked)]
            assert sorted(statuses) == [200, 409]
            now = (await machines[1].get(path)).json()
            assert (now["name"], now["version"]) == (f"{attempt}-{statuses.index(200)}", version + 1)
            version = now["version"]
        for attempt in range(3):
            asked = (
                each.post("/snapshots", json={"version": attempt, "document": {"aliases": {f"a{number}": "mock"}}})
                for number, each in enumerate(machines)
            )
            answers = await asyncio.gather(*asked)
            assert sorted(each.status_code for each in answers) == [201, 409], [each.text for each in answers]
