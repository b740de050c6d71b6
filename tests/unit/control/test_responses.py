"""Kept responses between workers and a real store."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from tokenway.aio.tasks import Tasks
from tokenway.control.responses import PURGE_SECONDS, Responses
from tokenway.control.workers import Worker, Workers
from tokenway.model.link import Keep, Kept, Question, Show, Stop, ToWorker
from tokenway.model.stored import StoredResponse
from tokenway.store.responses import SqlResponses
from tokenway.store.sqlite import open_sqlite

DONE = StoredResponse("resp_1", "default", 1.0, "m", "p/up", "completed", b"{}", b"[]")
GOING = msgspec.structs.replace(DONE, status="in_progress")


class Hand:
    """A worker, or all of them, as far as they are spoken to."""

    def __init__(self, holder: str = "life 1") -> None:
        self.holder = holder
        self.told: list[ToWorker] = []

    def send(self, message: ToWorker) -> None:
        """It is told something."""
        self.told.append(message)

    tell = send


class Bench:
    """Responses over a store in a file, whose thread is this one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.all = Hand()
        self.worker = Hand()
        self.retention = 3600.0
        self.failures = 0
        self.store = open_sqlite(path)
        self.responses = Responses(self._run, cast("Workers", self.all), lambda: self.retention)
        self.responses.use(self.store.responses)

    async def _run(self, work: Callable[..., Any], *arguments: Any) -> Any:
        await asyncio.sleep(0)
        if self.failures:
            self.failures -= 1
            raise sqlite3.OperationalError("database is locked")
        return work(*arguments)

    def take(self, *responses: StoredResponse, worker: Hand | None = None) -> None:
        """A worker gives these, numbered from 1."""
        for number, each in enumerate(responses, 1):
            self.responses.take(cast("Worker", worker or self.worker), Keep(each, number))

    async def ask(self, what: str, subject: str = "resp_1", project: str = "default") -> bytes | None:
        """A worker asks."""
        return await self.responses.answer(Question(1, what, "k1", subject, project))

    def status(self, identity: str = "resp_1") -> str:
        """Of a response in the store; empty when there is none."""
        found = self.store.responses.get(identity, "default")
        return "" if found is None else found.status


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """With an empty store."""
    made = Bench(tmp_path / "t.db")
    yield made
    made.store.close()


async def test_a_response_is_acknowledged_when_it_is_kept(bench: Bench) -> None:
    """One step each, in their order."""
    bench.take(GOING, DONE)
    assert bench.worker.told == []
    assert await bench.responses.step() == 0.0
    assert (bench.status(), bench.worker.told) == ("in_progress", [Kept(1)])
    await bench.responses.step()
    assert (bench.status(), bench.worker.told) == ("completed", [Kept(1), Kept(2)])


async def test_a_step_waits_for_something_to_do(bench: Bench) -> None:
    """However often nothing comes."""
    tasks = Tasks(lambda _name, _error: None)
    step = tasks.start("step", bench.responses.step())
    await asyncio.sleep(0.01)
    assert not step.done()
    bench.take(DONE)
    await step
    assert bench.worker.told == [Kept(1)]


async def test_one_that_cannot_be_kept_now_is_kept_later(bench: Bench) -> None:
    """In its place, before those that came after it; nothing is acknowledged before."""
    bench.take(GOING, DONE)
    bench.failures = 2
    for _ in range(2):
        with pytest.raises(sqlite3.OperationalError):
            await bench.responses.step()
    assert (bench.status(), bench.worker.told) == ("", [])
    await bench.responses.step()
    assert (bench.status(), bench.worker.told) == ("in_progress", [Kept(1)])
    await bench.responses.step()
    assert bench.status() == "completed"


async def test_a_question_finds_what_was_given_before(bench: Bench) -> None:
    """Though it is not in the store yet when the question comes; what comes later is not waited for."""
    tasks = Tasks(lambda _name, _error: None)
    bench.take(GOING)
    asking = tasks.start("ask", bench.ask("response"))
    await asyncio.sleep(0.01)
    assert not asking.done()
    bench.take(msgspec.structs.replace(DONE, id="resp_2"))
    await bench.responses.step()
    assert await asking == msgspec.msgpack.encode(GOING)


async def test_responses_are_found_by_their_project(bench: Bench) -> None:
    """One, a chain, its events; None for what is not there, and for what nobody knows to ask."""
    second = msgspec.structs.replace(DONE, id="resp_2", previous="resp_1")
    bench.take(DONE, second)
    for _ in range(2):
        await bench.responses.step()
    assert await bench.ask("response", "resp_2") == msgspec.msgpack.encode(second)
    assert await bench.ask("chain", "resp_2") == msgspec.msgpack.encode([DONE, second])
    assert [await bench.ask(what, project="other") for what in ("response", "chain", "forget")] == [None] * 3
    assert await bench.ask("events") is None
    assert await bench.ask("weather") is None


async def test_all_workers_are_told_to_show_or_to_stop(bench: Bench) -> None:
    """Of any response; one that is forgotten is stopped where it was there."""
    assert await bench.ask("show") == b""
    assert await bench.ask("stop", "resp_9") == b""
    assert await bench.ask("forget") is None
    bench.take(DONE)
    await bench.responses.step()
    assert [await bench.ask("forget") for _ in range(2)] == [b"", None]
    assert bench.all.told == [Show("resp_1", "default"), Stop("resp_9", "default"), Stop("resp_1", "default")]
    assert bench.status() == ""


async def test_what_a_worker_left_unfinished_has_failed(bench: Bench) -> None:
    """Also what it had given before it ended and what is kept only after that; others go on."""
    other = Hand("life 2")
    bench.take(msgspec.structs.replace(GOING, id="early"))
    await bench.responses.step()
    bench.take(msgspec.structs.replace(GOING, id="late"))
    bench.take(msgspec.structs.replace(GOING, id="others"), worker=other)
    bench.responses.worker_gone("life 1")
    for _ in range(2):
        await bench.responses.step()
    assert [bench.status(name) for name in ("early", "late", "others")] == ["failed", "failed", "in_progress"]


async def test_a_start_fails_what_nobody_is_at_work_on(bench: Bench) -> None:
    """Of the lives that have ended while there was no control process; those that go on keep theirs."""
    for holder in ("life 1", "life 2"):
        bench.take(msgspec.structs.replace(GOING, id=holder), worker=Hand(holder))
        await bench.responses.step()
    again = Responses(bench._run, cast("Workers", bench.all), lambda: 1.0)
    again.use(bench.store.responses)
    again.fail_all_but({"life 2", "life 3"})
    assert [bench.status(name) for name in ("life 1", "life 2")] == ["failed", "in_progress"]


async def test_a_response_is_kept_for_its_time(bench: Bench) -> None:
    """With none at all it has ended at once, and is dropped with the next purge."""
    bench.retention = 0.0
    bench.take(DONE)
    await bench.responses.step()
    assert bench.status() == ""
    assert isinstance(bench.store.responses, SqlResponses)
    assert await bench.responses.purge() == PURGE_SECONDS
    assert bench.store.responses.purge() == 0
