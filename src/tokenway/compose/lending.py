"""The broker with the stores it lends from: opened, joined to the workers, and closed.

Leases have a thread and connections of their own, so that a caller never waits for the ingest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenway.aio.tasks import Tasks
from tokenway.compose.stores import open_leases, open_rates
from tokenway.control.broker import Broker
from tokenway.control.workers import Worker
from tokenway.model.link import Return, Want
from tokenway.model.settings import Settings
from tokenway.model.snapshot import Snapshot

if TYPE_CHECKING:
    from tokenway.store.leases import SqlLeases
    from tokenway.store.rates import SharedRates


class Lending:
    """What workers want is lent, as soon as the store has been opened; until then they get no answer."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self._thread = ThreadPoolExecutor(1, "leases")
        self._broker: Broker | None = None
        self._leases: SqlLeases
        self._rates: SharedRates

    async def start(
        self, settings: Settings, data_dir: Path, machines: Callable[[], int], here: Iterable[Worker]
    ) -> None:
        """Opens the stores, whose database exists; `here` are the workers that have come before. Raises StoreError.

        `machines` says how many share the limits.
        """
        leases = self._leases = await self._in_thread(open_leases, settings, data_dir)
        self._rates = open_rates(settings, data_dir, machines)
        broker = self._broker = Broker(leases, self._rates, self._in_thread)
        for worker in here:
            self.joined(worker)
        self._tasks.spawn("budgets", broker.run_books())
        self._tasks.spawn("rates", broker.run_rates())

    async def close(self) -> None:
        """Closes the stores; the tasks have ended before."""
        if self._broker is not None:
            await self._rates.close()
            await self._in_thread(self._leases.close)
        self._thread.shutdown()

    def use(self, snapshot: Snapshot) -> None:
        """These limits hold from now on, for all workers of all machines."""
        if self._broker is not None:
            self._broker.use(snapshot)
            self._broker.shared_by(snapshot.workers)

    def joined(self, worker: Worker) -> None:
        """A worker is there, or there again."""
        if self._broker is not None:
            self._broker.joined(worker.holder, worker.send)

    def gone(self, worker: Worker) -> None:
        """A worker's link has ended."""
        if self._broker is not None:
            self._broker.gone(worker.holder, worker.send)

    def take(self, worker: Worker, message: Want | Return) -> None:
        """Takes in what a worker says of its leases."""
        if self._broker is not None:
            self._broker.take(worker.holder, message)

    async def _in_thread(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)
