"""Long reading waits for nobody, and nobody for it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from tokenway.aio.tasks import Tasks
from tokenway.control.aside import Aside, Asides
from tokenway.store.base import StoreError
from tokenway.store.database import Database
from tokenway.store.open import Store

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


def one(database: Database) -> int:
    """A query."""
    with database.read() as connection:
        return int(connection.execute(sa.text("SELECT 1")).scalar_one())


async def test_it_reads_while_the_store_writes(open_store: Callable[..., Store]) -> None:
    """With one connection for all that it does, which is not the store's; it sees what is committed."""
    store = open_store()
    used: list[Database] = []

    def connect() -> Database:
        used.append(open_store().database)
        return used[-1]

    aside = Aside("test", connect)
    assert used == []
    with store.database.write():
        assert await aside.run(one) == 1
    assert await aside.run(lambda database: database is used[0]) is True
    assert len(used) == 1
    await aside.close()


async def test_what_is_under_way_ends_when_it_closes(open_store: Callable[..., Store]) -> None:
    """A query that would never end; what waits behind it is not begun."""
    aside = Aside("test", lambda: open_store().database)
    began = threading.Event()

    def endless(database: Database) -> None:
        with database.read() as connection:
            began.set()
            connection.execute(sa.text(ENDLESS)).scalar()

    tasks = Tasks(lambda _name, _error: None)
    reading, waiting = (tasks.start(work.__name__, aside.run(work)) for work in (endless, one))
    assert await asyncio.to_thread(began.wait, 30)
    begun = time.monotonic()
    await aside.close()
    assert time.monotonic() - begun < 20
    with pytest.raises((sa.exc.OperationalError, StoreError)):
        await reading
    with pytest.raises(StoreError, match="stops"):
        await waiting


async def test_the_kinds_do_not_wait_for_each_other(open_store: Callable[..., Store]) -> None:
    """An export goes on while the ledger is proved."""
    open_store()  # as in a gateway that runs: two who make a file at once wait for each other
    asides = Asides(lambda: open_store().database)
    may_end = threading.Event()
    tasks = Tasks(lambda _name, _error: None)
    proving = tasks.start("proof", asides.proofs.run(lambda _: may_end.wait(30)))
    assert await asides.exports.run(one) == 1
    assert not proving.done()
    may_end.set()
    assert await proving is True
    await asides.close()
