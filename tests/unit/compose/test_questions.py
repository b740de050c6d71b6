"""What workers ask for, and what they are told."""

from __future__ import annotations

import asyncio
import sqlite3

import pytest

from tests.fake_provider import FakeProvider
from tests.unit.compose.running import Launch, becomes, config
from tokenway.model.link import Keep, Question
from tokenway.model.stored import StoredResponse
from tokenway.store.base import StoreError


async def test_workers_questions_are_answered_from_the_ledger(launch: Launch, provider: FakeProvider) -> None:
    """At once after the answer, without waiting for the next round of the ingest."""
    running = await launch(config(provider, budget=1.0))
    answer = await running.ask()
    key = (await running.call("/v1/key")).json["data"]
    assert (key["label"], key["usage"], key["limit"], key["limit_remaining"]) == ("ci", 0.000004, 1.0, 0.999996)
    wallet = (await running.call("/v1/credits")).json["data"]
    assert wallet == {"total_credits": 0.0, "total_usage": 0.000004, "withheld": 0.0, "prepaid": False}
    await becomes(lambda: bool(running.exchanges))
    generation = await running.call(f"/v1/generation?id={running.exchanges[0].id}")
    assert generation.json["data"]["total_cost"] == answer.json["usage"]["cost"] == 0.000004
    assert (await running.call("/v1/generation?id=gen-0")).status == 404


async def test_kept_responses_reach_the_store_and_come_back(launch: Launch, provider: FakeProvider) -> None:
    """As long as the settings say; with none at all they have ended at once."""
    running = await launch(config(provider))
    made = await running.call("/v1/responses", {"model": "mock", "input": "hi"})
    assert (await running.call(f"/v1/responses/{made.json['id']}")).json["status"] == "completed"
    running.write(config(provider, responses={"retention": 0}))
    running.gateway.reload()
    await becomes(lambda: any("was read again" in said for said in running.said))
    await running.gateway.responses.settled()
    (worker,) = running.gateway.workers.alive
    gone = StoredResponse("resp_1", "default", 1.0, "m", "p/up", "completed", b"{}", b"[]")
    running.gateway.responses.take(worker, Keep(gone, 99))
    assert await running.gateway.questions.answer(Question(1, "response", "k1", "resp_1", "default")) is None


async def test_a_question_that_fails_is_answered_at_once(
    launch: Launch, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a 503 that says so, and not with silence, with nothing found or as if there were no control process."""
    running = await launch(config(provider))

    def failing(*_: object) -> None:
        raise sqlite3.OperationalError("database is locked")

    monkeypatch.setattr("tokenway.store.usage.SqlUsage.generation", failing)
    async with asyncio.timeout(5):
        answer = await running.call("/v1/generation?id=gen-1")
    assert answer.status == 503
    assert answer.json["error"]["message"].startswith("The control process cannot find this out at the moment; ")


@pytest.mark.parametrize(("failure", "is_traced"), [(StoreError("the database is away"), False), (KeyError(), True)])
async def test_a_database_that_is_away_is_told_without_a_trace(
    launch: Launch,
    provider: FakeProvider,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    failure: Exception,
    *,
    is_traced: bool,
) -> None:
    """A line says it all; what nobody expected comes with its trace."""
    running = await launch(config(provider))

    def failing(*_: object) -> None:
        raise failure

    monkeypatch.setattr("tokenway.store.usage.SqlUsage.generation", failing)
    assert (await running.call("/v1/generation?id=gen-1")).status == 503
    (told,) = [record for record in caplog.records if record.message.startswith("a question about generation")]
    assert told.message == f"a question about generation found no answer: {failure}"
    assert bool(told.exc_info) is is_traced
