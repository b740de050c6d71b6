"""The store of a machine: opened, waited for, and closed."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec
import pytest

from tests.fake_provider import FakeProvider
from tests.unit.compose.running import Launch, Running, becomes, config
from tokenway.aio.tasks import Tasks
from tokenway.model.link import Keep, Question
from tokenway.model.stored import StoredResponse
from tokenway.store.accounts.records import CLI
from tokenway.store.base import StoreError
from tokenway.store.sqlite import open_sqlite


async def test_a_database_that_is_away_is_waited_for(
    launch: Launch, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a control process that takes up the work; it says so once, and the worker serves on meanwhile."""
    running = await launch(config(provider))
    await running.gateway.stop(in_haste=True)
    tries = []

    def away(*_: object) -> None:
        tries.append(1)
        raise StoreError("the database cannot be reached")

    monkeypatch.setattr("tokenway.compose.rounds.AGAIN_SECONDS", 0.01)
    with monkeypatch.context() as patched:
        patched.setattr("tokenway.compose.books.open_store", away)
        running.gateway = running.another()
        tasks = Tasks(lambda _name, _error: None)
        starting = tasks.start("start", running.gateway.start(is_first=False))
        await becomes(lambda: len(tries) > 3)
        assert (await running.ask()).status == 200
    await starting
    assert running.said.count("the database cannot be reached; it is tried again, and the workers go on meanwhile") == 1
    await becomes(lambda: len(running.exchanges) == 1)


async def test_a_key_that_another_process_made_is_let_in(launch: Launch, provider: FakeProvider) -> None:
    """The command line writes to the store, and the workers hear of it."""
    running = await launch(config(provider))
    store = open_sqlite(running.data / "tokenway.db")
    made = store.accounts.keys.create("laptop", by=CLI).secret.reveal()
    while (await running.ask(key=made)).status == 401:
        pass  # a call takes long enough
    store.accounts.keys.revoke("laptop", by=CLI)
    store.close()
    while (await running.ask(key=made)).status == 200:
        pass
    assert (await running.ask(key=made)).status == 401


async def test_a_newer_database_ends_the_start(tmp_path: Path, provider: FakeProvider) -> None:
    """Nothing of it is changed, and nothing keeps running."""
    running = Running(tmp_path, config(provider))
    open_sqlite(running.data / "tokenway.db").close()
    with sqlite3.connect(running.data / "tokenway.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    with pytest.raises(StoreError, match="newer"):
        await running.gateway.start()
    await running.stop()


async def test_a_database_that_fails_at_the_first_start_is_one_sentence(
    tmp_path: Path, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the driver raises."""

    def failing(*_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr("tokenway.store.accounts.accounts.Accounts.bootstrap", failing)
    running = Running(tmp_path, config(provider))
    with pytest.raises(StoreError, match=r"^the database cannot be used: disk I/O error$"):
        await running.gateway.start()
    await running.stop()


async def test_what_a_worker_left_unfinished_has_failed(launch: Launch, provider: FakeProvider) -> None:
    """As soon as it has ended for good."""
    running = await launch(config(provider))
    (worker,) = running.gateway.workers.alive
    going = StoredResponse("resp_1", "default", 1.0, "m", "p/up", "in_progress", b"{}", b"[]")
    running.gateway.responses.take(worker, Keep(going, 99))
    await running.replace_worker()
    found = await running.gateway.questions.answer(Question(1, "response", "k1", "resp_1", "default"))
    assert found is not None
    assert msgspec.msgpack.decode(found, type=StoredResponse).status == "failed"


async def test_a_killed_worker_takes_no_budget_with_it(launch: Launch, provider: FakeProvider) -> None:
    """Ten tokens' worth of budget pay for two answers of four, however often the worker dies in between."""
    running = await launch(config(provider, budget=0.000010))
    statuses = []
    for _ in range(3):
        statuses.append((await running.ask(max_tokens=4)).status)
        await running.replace_worker()
    assert statuses == [200, 200, 402]
    assert sum(record.charged for record in running.exchanges) == 8_000
