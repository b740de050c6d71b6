"""Published configurations: checked, compared, in force, rolled back; and secrets that nobody reads."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from tests.e2e.gateway import until
from tests.unit.control.api.server import FILE, Api, serving
from tokenway.model.secret import Secret

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECRET = "sk-published-and-never-shown"
NEW = {"endpoints": [{"provider": "other", "model": "x", "price": {"input": "0.1", "output": "0.2"}}]}
OTHER = {"base_url": "http://127.0.0.1:19/v1", "api_key": SECRET, "headers": {"authorization": "Bearer sk-in-header"}}
DOCUMENT = {"providers": {"other": OTHER}, "models": {"new": NEW}, "timeouts": {"connect": "2s"}}


async def in_force(admin: httpx.AsyncClient) -> int:
    """The number of the configuration in force."""
    rows = (await admin.get("/snapshots", params={"limit": 1})).json()["data"]
    return int(rows[0]["version"]) if rows else 0


async def publish(admin: httpx.AsyncClient, document: dict[str, Any], **more: Any) -> httpx.Response:
    """Publishes over what is in force."""
    body = {"document": document, "version": await in_force(admin), **more}
    return await admin.post("/snapshots", json=body)


async def test_a_dry_run_changes_nothing(api: Api, admin: httpx.AsyncClient) -> None:
    """It says what would be different, with the secrets masked."""
    before = await in_force(admin)
    answer = await publish(admin, DOCUMENT, dry_run=True)
    assert answer.status_code == 200
    outcome = answer.json()
    assert (outcome["version"], outcome["dry_run"]) == (before, True)
    changes = {each["path"]: each for each in outcome["changes"]}
    assert changes["timeouts.connect"] == {"path": "timeouts.connect", "change": "added", "old": None, "new": "2s"}
    assert changes["providers.other.api_key"]["new"].startswith(Secret.MASK)
    assert changes["providers.other.headers.authorization"]["new"].startswith(Secret.MASK)
    assert SECRET not in answer.text
    assert await in_force(admin) == before
    assert "new" not in api.snapshot.models


async def test_what_is_published_is_in_force_and_lies_over_the_file(api: Api, admin: httpx.AsyncClient) -> None:
    """What the file says beside it stays."""
    answer = await publish(admin, DOCUMENT, note="the other provider")
    assert answer.status_code == 201
    version = answer.json()["version"]
    assert answer.headers["etag"] == f'"{version}"'
    assert {"new", "mock"} <= set(api.snapshot.models)
    assert api.snapshot.providers["other"].api_keys == (Secret(SECRET),)
    assert (api.snapshot.timeouts.connect, api.snapshot.timeouts.total) == (2.0, 600.0)
    shown = (await admin.get(f"/snapshots/{version}")).json()
    assert (shown["note"], shown["in_force"], shown["author"]) == ("the other provider", True, api.first.user.id)
    assert shown["document"]["models"] == {"new": NEW}
    assert shown["document"]["providers"]["other"]["api_key"].startswith(Secret.MASK)


async def test_no_secret_is_shown_or_kept_in_the_open(api: Api, admin: httpx.AsyncClient) -> None:
    """Neither in answers, nor in the database, the audit log or what the gateway says."""
    await publish(admin, DOCUMENT)
    for path in ("/snapshots", "/providers", "/providers/other", f"/snapshots/{await in_force(admin)}", "/audit"):
        text = (await admin.get(path)).text
        assert SECRET not in text
        assert "sk-in-header" not in text
        assert "sk-file-secret-1" not in text
    assert SECRET not in (await admin.get("/snapshots/diff", params={"from": 0})).text
    kept = b"".join(each.read_bytes() for each in api.folder.glob("tokenway.db*"))
    assert b"other" in kept
    assert SECRET.encode() not in kept
    assert b"sk-in-header" not in kept
    assert SECRET not in "\n".join(api.said)


async def test_a_mask_that_is_sent_back_keeps_the_secret(api: Api, admin: httpx.AsyncClient) -> None:
    """So what was read can be changed and written; a mask of nothing is refused."""
    await publish(admin, DOCUMENT)
    document = (await admin.get(f"/snapshots/{await in_force(admin)}")).json()["document"]
    document["providers"]["other"]["base_url"] = "http://127.0.0.1:20/v1"
    answer = await publish(admin, document)
    assert [each["path"] for each in answer.json()["changes"]] == ["providers.other.base_url"]
    assert api.snapshot.providers["other"].api_keys == (Secret(SECRET),)
    document["providers"]["other"]["api_key"] = Secret.MASK + "0123456789ab"
    refused = await publish(admin, document)
    assert (refused.status_code, refused.json()["field"]) == (422, "document.providers.other.api_key")


async def test_a_file_s_secret_can_be_kept_too(api: Api, admin: httpx.AsyncClient) -> None:
    """A provider of the file that is written over the API keeps its key."""
    shown = (await admin.get("/providers/lab")).json()
    body = {"settings": shown["settings"] | {"base_url": "http://127.0.0.1:21/v1"}, "version": shown["version"]}
    assert (await admin.put("/providers/lab", json=body)).status_code == 200
    assert api.snapshot.providers["lab"].api_keys == (Secret("sk-file-secret-1"),)
    assert dict(api.snapshot.providers["lab"].headers) == {"x-team": "blue"}
    assert (await admin.delete("/providers/lab")).status_code == 409  # models name it


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"server": {"port": 1}}, "document.server"),
        ({"store": "sqlite:///x"}, "document.store"),
        ({"auth": {"required": False}}, "document.auth"),
        ({"modells": {}}, "document.modells"),
        (
            {"models": {"m": {"endpoints": [{"provider": "labb", "model": "x"}]}}},
            "document.models.m.endpoints[0].provider",
        ),
        ({"models": {"m": {"endpoints": [], "x": 1}}}, "document.models.m.x"),
        ({"models": []}, "document.models"),
        ({"models": {"m": 5}}, "document.models.m"),
        ({"aliases": {"a": "nowhere"}}, "document.aliases.a"),
        ({"timeouts": {"total": "soon"}}, "document.timeouts.total"),
        ({"timeouts": {"total": -1}}, "document.timeouts.total"),
        ({"providers": {"p": {"base_url": "${HOME}"}}}, "document.providers.p.base_url"),
        ({"providers": {"p": {"base_url": "http://a\u0000b"}}}, "document.providers.p.base_url"),
        ({"providers": {"p": {"headers": {"a\u0001": "x"}}}}, "document.providers.p.headers"),
    ],
)
async def test_what_cannot_be_used_is_refused_with_its_place(
    admin: httpx.AsyncClient, document: dict[str, Any], field: str
) -> None:
    """As in a file: where, and why."""
    before = await in_force(admin)
    answer = await publish(admin, document)
    assert answer.status_code == 422, answer.text
    problem = answer.json()
    assert field in {problem["field"], *(each["field"] for each in problem.get("errors", []))}
    assert await in_force(admin) == before


async def test_half_of_a_character_is_refused(admin: httpx.AsyncClient) -> None:
    """JSON can hold what no text can."""
    raw = b'{"version": 0, "document": {"aliases": {"a\\ud800": "mock"}}}'
    answer = await admin.post("/snapshots", content=raw, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["field"]) == (422, "document")


async def test_deep_and_large_documents_are_refused(admin: httpx.AsyncClient) -> None:
    """Without harm."""
    deep: Any = "x"
    for _ in range(100):
        deep = {"a": deep}
    assert (await publish(admin, {"models": {"m": deep}})).status_code == 422
    raw = b'{"version":0,"document":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001
    answer = await admin.post("/snapshots", content=raw, headers={"content-type": "application/json"})
    assert answer.status_code in {400, 422}
    many = {"aliases": {f"a{number}": "mock" for number in range(60_000)}}
    assert (await publish(admin, many, dry_run=True)).status_code in {200, 413, 422}
    huge = {"aliases": {"a": "x" * 3_000_000}}
    answer = await publish(admin, huge)
    assert answer.status_code == 413


async def test_of_two_who_publish_one_is_told(admin: httpx.AsyncClient) -> None:
    """Who did not see the latest one is told so, and nothing is lost."""
    base = await in_force(admin)
    bodies = [{"document": {"aliases": {f"race-{n}": "mock"}}, "version": base} for n in range(5)]
    answers = await asyncio.gather(*(admin.post("/snapshots", json=body) for body in bodies))
    assert sorted(each.status_code for each in answers) == [201, 409, 409, 409, 409]
    assert await in_force(admin) == base + 1
    stale = await admin.post("/snapshots", json={"document": {}, "version": base, "dry_run": True})
    assert (stale.status_code, stale.json()["field"]) == (409, "version")


async def test_rolling_back_is_a_new_version_with_the_old_contents(api: Api, admin: httpx.AsyncClient) -> None:
    """And shows in the differences of both."""
    await publish(admin, {"aliases": {"first": "mock"}})
    first = await in_force(admin)
    await publish(admin, {"aliases": {"second": "mock"}})
    second = await in_force(admin)
    changes = (await admin.get("/snapshots/diff", params={"from": first, "to": second})).json()["changes"]
    assert [(each["path"], each["change"]) for each in changes] == [
        ("aliases.first", "removed"),
        ("aliases.second", "added"),
    ]
    dry = await admin.post(f"/snapshots/{first}/publish", json={"version": second, "dry_run": True})
    assert (dry.status_code, await in_force(admin)) == (200, second)
    answer = await admin.post(f"/snapshots/{first}/publish", json={"version": second})
    assert (answer.status_code, answer.json()["version"]) == (201, second + 1)
    assert "first" in api.snapshot.aliases
    assert "second" not in api.snapshot.aliases
    assert (await admin.get("/snapshots/diff", params={"from": first})).json()["changes"] == []
    to_file = await admin.post("/snapshots/0/publish", json={"version": second + 1})
    assert to_file.status_code == 201
    assert set(api.snapshot.aliases) == {"usual"}
    assert (await admin.post("/snapshots/99999/publish", json={"version": second + 2})).status_code == 404


async def test_null_takes_away_what_the_file_has(api: Api, admin: httpx.AsyncClient) -> None:
    """Entries of the file can go without touching the file."""
    await publish(admin, {"aliases": {"usual": None}, "models": {"org/other": None}, "timeouts": {"total": None}})
    assert "usual" not in api.snapshot.aliases
    assert "org/other" not in api.snapshot.models
    assert api.snapshot.timeouts.total == 900.0
    await publish(admin, {})
    assert "org/other" in api.snapshot.models


async def test_a_changed_file_and_a_published_configuration_go_together(api: Api, admin: httpx.AsyncClient) -> None:
    """One that cannot be used any more leaves the former in force, and says so."""
    await publish(admin, {"aliases": {"over": "org/other"}})
    version = await in_force(admin)
    models = {name: value for name, value in FILE["models"].items() if name != "org/other"}
    said = len(api.said)
    api.path.write_text(json.dumps(FILE | {"models": models}))
    await until(lambda: bool(api.configuration.fault))
    node = (await admin.get("/nodes")).json()["data"][0]
    assert node["configuration"] == version
    assert "aliases.over" in node["fault"]
    assert "org/other" in api.snapshot.models
    api.path.write_text(json.dumps(FILE))
    await until(lambda: not api.configuration.fault)
    assert (await admin.get("/nodes")).json()["data"][0]["fault"] == ""
    assert any("aliases.over" in line for line in api.said[said:])
    del api.said[said:]


async def test_another_machine_follows(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Within two seconds; one with another key keeps what it had, and says why."""
    one, two, three = (tmp_path_factory.mktemp("machine") for _ in range(3))
    key = {"TOKENWAY_SECRET_KEY": "k" * 40}
    other = {"TOKENWAY_SECRET_KEY": "q" * 40}
    async with serving(one, environment=key) as first, first.client() as admin:
        shared = first.store_of(one)
        async with (
            serving(two, environment=key, open_store=shared("00000002"), node="00000002") as second,
            serving(three, environment=other, open_store=shared("00000003"), node="00000003") as third,
        ):
            assert (await publish(admin, DOCUMENT)).status_code == 201
            await until(lambda: "new" in second.snapshot.models and bool(third.configuration.fault), 2)
            assert second.snapshot.providers["other"].api_keys == (Secret(SECRET),)
            assert "new" not in third.snapshot.models

            async def told() -> dict[str, Any]:
                return {row["id"]: row for row in (await admin.get("/nodes")).json()["data"]}

            async def are_told() -> bool:
                nodes = await told()
                return bool(nodes["00000003"]["fault"]) and nodes["00000002"]["configuration"] == 1

            await until(are_told)
            nodes = await told()
            assert nodes["00000003"]["configuration"] == 0
            assert "another key" in nodes["00000003"]["fault"]
            assert nodes["00000001"]["is_this"]
