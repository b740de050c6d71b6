"""Gateways whose store is a real PostgreSQL server: two machines on one database, and a server that goes away."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

import psycopg
import pytest

from tests.e2e.conftest import Launch
from tests.e2e.gateway import KEY, Gateway, configuration, until
from tests.e2e.raw import Raw, chat, post
from tests.fake_provider import FakeProvider
from tests.servers.postgres import PASSWORD, PostgresServer
from tokenway.model.identity import day_in

pytestmark = [pytest.mark.postgres, pytest.mark.asyncio(loop_scope="module")]


def asked(url: str, query: str) -> list[tuple[Any, ...]]:
    """The rows of a query, straight from the database."""
    with contextlib.closing(psycopg.connect(url)) as connection:
        return connection.execute(query.encode()).fetchall()


async def call(gateway: Gateway, key: str = KEY) -> str:
    """A stream, read to its end; the exchange's id."""
    async with Raw(gateway.port) as raw:
        await raw.send(post(chat(stream=True)).replace(KEY.encode(), key.encode()))
        status, headers = await raw.head()
        assert status == 200
        assert b"".join([chunk async for chunk in raw.chunks()]).endswith(b"data: [DONE]\n\n")
    return headers["x-request-id"]


async def test_two_machines_share_a_database(provider: FakeProvider, empty_url: str, launch: Launch) -> None:
    """They start at once in an empty database; one's keys work at the other, and the books hold what both did."""
    config = configuration(provider.base_url, store=empty_url)
    one, two = await asyncio.gather(launch(config), launch(config))
    made = json.loads(await one.run("keys", "create", "shared", "--json"))["key"]

    async def is_known() -> bool:
        async with Raw(two.port) as raw:
            await raw.send(post(chat()).replace(KEY.encode(), made.encode()))
            status, _ = await raw.head()
        return status == 200

    await until(is_known)
    calls = [await call(gateway, key) for gateway in (one, two) for key in (KEY, made) for _ in range(5)]
    assert all(day_in(each) is not None for each in calls)
    await until(lambda: {row[0] for row in asked(empty_url, "SELECT id FROM exchanges")} >= set(calls))
    nodes = {(gateway.data_dir / "node").read_text().strip() for gateway in (one, two)}
    assert {row[0] for row in asked(empty_url, "SELECT id FROM nodes")} == nodes
    assert {row[0] for row in asked(empty_url, "SELECT DISTINCT node FROM rollups")} == nodes
    (total,) = asked(empty_url, "SELECT sum(calls), (SELECT count(*) FROM exchanges) FROM rollups WHERE grain = 86400")
    assert total[0] == total[1] >= 20
    reports = [json.loads(await gateway.run("usage", "--json")) for gateway in (one, two)]
    assert reports[0] == reports[1]
    assert await one.stop() == 0
    await until(lambda: len(asked(empty_url, "SELECT id FROM nodes")) == 1)
    assert not (one.data_dir / "tokenway.db").exists()
    for gateway in (one, two):
        assert PASSWORD not in gateway.complaints + "".join(gateway.lines)


async def test_calls_go_on_while_the_database_is_away(
    provider: FakeProvider, mortal: PostgresServer, launch: Launch
) -> None:
    """They are in the journal, and in the ledger when the database is back; nobody has to do anything."""
    url = mortal.url(mortal.create())
    gateway = await launch(configuration(provider.base_url, store=url))
    calls = [await call(gateway) for _ in range(5)]
    mortal.kill()
    calls += [await call(gateway) for _ in range(5)]
    mortal.start()
    calls += [await call(gateway) for _ in range(5)]
    await until(lambda: {row[0] for row in asked(url, "SELECT id FROM exchanges")} == set(calls))
    assert asked(url, "SELECT count(*) FROM reservations") == [(0,)]
    assert PASSWORD not in gateway.complaints
    assert f"the database postgresql://tokenway@127.0.0.1:{mortal.port}/" in gateway.complaints
    assert await gateway.stop() == 0


async def test_a_database_of_another_version_is_refused(
    provider: FakeProvider, postgres_url: str, launch: Launch
) -> None:
    """A newer one in any case, an older one until it was migrated: other machines may use it."""
    config = configuration(provider.base_url, store=postgres_url)
    for version, sentence in (("0005", "run `tokenway migrate`"), ("9999", "is newer than this version of Tokenway")):
        with contextlib.closing(psycopg.connect(postgres_url, autocommit=True)) as connection:
            connection.execute("UPDATE alembic_version SET version_num = %s", (version,))
        with pytest.raises(AssertionError, match="ended before it was ready") as caught:
            await launch(config)
        assert sentence in str(caught.value)
