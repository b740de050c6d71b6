"""What is done again and again goes on after a failure."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest

from tests.fake_provider import FakeProvider
from tests.unit.compose.running import Launch, becomes, config
from tokenway.control.ingest import Ingest
from tokenway.control.keyring import with_accounts
from tokenway.model.snapshot import Snapshot


async def test_a_failing_round_does_not_end_the_bookkeeping(
    launch: Launch, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A disk that is full for a while is told once, as is its end, and everything is in the ledger afterwards."""
    running = await launch(config(provider))
    monkeypatch.setattr("tokenway.compose.rounds.AGAIN_SECONDS", 0.01)
    round_of_ingest = Ingest.run_once
    failures = iter(range(3))

    def run_once(self: Ingest) -> int:
        if next(failures, None) is not None:
            raise sqlite3.OperationalError("database or disk is full")
        return round_of_ingest(self)

    monkeypatch.setattr(Ingest, "run_once", run_once)
    assert (await running.ask()).status == 200
    await becomes(lambda: len(running.exchanges) == 1)
    told = [record for record in caplog.records if "is tried again" in record.message]
    assert next(failures, None) is None
    (said,) = [record.message for record in told]
    assert said.startswith("reading the journals failed and is tried again: ")
    assert [record.message for record in caplog.records].count("reading the journals works again") == 1


async def test_a_snapshot_that_could_not_be_made_is_made_later(
    launch: Launch, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A changed configuration reaches the workers though the database was locked when it came."""
    running = await launch(config(provider))
    monkeypatch.setattr("tokenway.compose.rounds.AGAIN_SECONDS", 0.01)
    failures = iter(range(3))

    def failing(*arguments: Any) -> Snapshot:
        if next(failures, None) is not None:
            raise sqlite3.OperationalError("database is locked")
        return with_accounts(*arguments)

    monkeypatch.setattr("tokenway.compose.gateway.with_accounts", failing)
    running.write(config(provider, aliases={"other": "mock"}))
    running.gateway.reload()
    while (await running.ask("other")).status == 404:
        pass
    assert next(failures, None) is None
