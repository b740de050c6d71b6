"""The broker with its stores: real leases in a file, and workers that come before and after it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import cast

from tests.contract.upstreams import until
from tokenway.aio.tasks import Tasks
from tokenway.compose.lending import Lending
from tokenway.compose.stores import open_store
from tokenway.control.workers import Worker
from tokenway.model.limits import Limit, Measure, Scope, Term
from tokenway.model.link import Granted, Return, ToWorker, Want
from tokenway.model.settings import Settings
from tokenway.model.snapshot import Snapshot

BUDGET = Limit("lim_1", Scope.KEY, "k", Measure.USD, 1000)
RATE = Limit("lim_2", Scope.KEY, "k", Measure.REQUESTS, 10, Term.MINUTE)
SNAPSHOT = Snapshot(1, {}, {}, {}, {}, limits={BUDGET.id: BUDGET, RATE.id: RATE})


class Link:
    """A worker as lending sees it."""

    def __init__(self, holder: str) -> None:
        self.holder = holder
        self.heard: list[ToWorker] = []
        self.worker = cast("Worker", self)

    def send(self, message: ToWorker) -> None:
        """It hears of a grant."""
        self.heard.append(message)

    @property
    def granted(self) -> list[Granted]:
        """What it was granted."""
        return [each for each in self.heard if isinstance(each, Granted)]


@contextlib.asynccontextmanager
async def lending(folder: Path, here: Iterable[Link] = ()) -> AsyncIterator[Lending]:
    """One over a store in a folder, with workers that were there before it; ended as the control process does."""
    await asyncio.to_thread(lambda: open_store(Settings(), folder).close())
    failures: list[BaseException] = []
    tasks = Tasks(lambda _name, error: failures.append(error))
    made = Lending(tasks)
    for each in here:
        made.joined(each.worker)
        made.take(each.worker, Want(1, BUDGET.id, 10))
    made.use(SNAPSHOT)
    await made.start(Settings(), folder, lambda: 1, [each.worker for each in here])
    made.use(SNAPSHOT)
    yield made
    await tasks.close()
    await made.close()
    assert failures == []


async def test_money_is_lent_from_the_store_and_rates_from_memory(tmp_path: Path) -> None:
    """To a worker that comes later; what it gives back another one can have."""
    async with lending(tmp_path) as made:
        first, second = Link("a"), Link("b")
        made.joined(first.worker)
        made.take(first.worker, Want(1, BUDGET.id, 1000))
        made.take(first.worker, Want(2, RATE.id, 3))
        await until(lambda: len(first.granted) == 2)
        by_limit = {each.limit: each for each in first.granted}
        assert (by_limit[BUDGET.id].amount, by_limit[BUDGET.id].remains) == (1000, 0)
        assert by_limit[RATE.id].amount >= 3
        made.take(first.worker, Return(BUDGET.id, 0, 400))
        made.joined(second.worker)
        made.take(second.worker, Want(1, BUDGET.id, 400))
        await until(lambda: bool(second.granted))
        assert second.granted[0].amount == 400


async def test_who_was_there_before_is_lent_to_as_well(tmp_path: Path) -> None:
    """What it wanted before there was a store got no answer; what it wants then does."""
    early = Link("a")
    async with lending(tmp_path, [early]) as made:
        assert early.heard == []
        made.take(early.worker, Want(2, BUDGET.id, 10))
        await until(lambda: bool(early.granted))
        assert (early.granted[0].number, early.granted[0].ok) == (2, True)


async def test_what_was_lent_is_still_lent_after_a_restart(tmp_path: Path) -> None:
    """The store is real: another control process finds who holds what."""
    async with lending(tmp_path) as made:
        holder = Link("a")
        made.joined(holder.worker)
        made.take(holder.worker, Want(1, BUDGET.id, 900))
        await until(lambda: bool(holder.granted))
        made.gone(holder.worker)
    async with lending(tmp_path) as made:
        other = Link("b")
        made.joined(other.worker)
        made.take(other.worker, Want(1, BUDGET.id, 100))
        await until(lambda: bool(other.granted))
        assert (other.granted[0].amount, other.granted[0].remains) == (100, 0)


async def test_what_never_started_is_closed_all_the_same() -> None:
    """A start that failed has nothing to close but its thread; wants get no answer, and nobody minds."""
    made = Lending(Tasks(lambda _name, _error: None))
    link = Link("a")
    made.joined(link.worker)
    made.take(link.worker, Want(1, BUDGET.id, 1))
    made.gone(link.worker)
    await made.close()
    assert link.heard == []
