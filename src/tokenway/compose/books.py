"""The store of this machine, and its thread: opened, filled from the workers' journals, and closed.

Everything that touches the database runs in that one thread, in order; nothing here is on the way of a request.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tokenway import __version__
from tokenway.aio.threads import Thread
from tokenway.compose import rounds
from tokenway.compose.paths import JOURNALS
from tokenway.compose.stores import database_errors, open_store
from tokenway.metering.ledger import Settled
from tokenway.model.errors import TokenwayError
from tokenway.model.settings import LedgerSettings, Settings
from tokenway.store.base import StoreError

if TYPE_CHECKING:
    from tokenway.control.ingest import Ingest
    from tokenway.control.upkeep import Upkeep
    from tokenway.store.accounts.holdings import Holdings
    from tokenway.store.accounts.records import FirstStart
    from tokenway.store.open import Store

log = logging.getLogger("tokenway.control")

INGEST_SECONDS: Final = 0.2
"""How often journals are read when nothing asks for it; a question about an exchange reads them at once."""


class Books:
    """What this machine knows of accounts and exchanges. `open`, then everything else, then `close`."""

    def __init__(
        self,
        settings: Settings,
        data_dir: Path,
        say: Callable[[str], None],
        *,
        kept: Callable[[], LedgerSettings],
        on_settled: Callable[[Sequence[Settled]], None],
        on_gone: Callable[[str], None],
    ) -> None:
        """`kept` says how long the ledger keeps what.

        `on_settled` is called for settlements that are in the ledger, `on_gone` for the life of a worker that has ended
        and left nothing unread; both in the thread.
        """
        self.store: Store
        self.ingest: Ingest
        self.upkeep: Upkeep
        self.held: Holdings
        """What there is of accounts; only the thread looks into it."""
        self.first_start: FirstStart | None = None
        self.is_open = False
        self._settings = settings
        self._data_dir = data_dir
        self._say = say
        self._kept = kept
        self._on_settled = on_settled
        self._on_gone = on_gone
        self._thread = Thread("store", gives_way=True)

    async def run(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Calls a function in the thread."""
        return await self._thread.run(work, *arguments)

    # -- opening and closing -----------------------------------------------------------------------------

    async def open(
        self, join: Callable[[Store], None], took_in: Callable[[Store], None], *, is_first: bool = True
    ) -> None:
        """Opens the store, makes the first key in a fresh one, and takes in what was left behind.

        `join` is called in the thread before the first journal is read, `took_in` after. Raises StoreError when it
        cannot be opened the first time; later there are workers that serve without it, and it is tried until it can.
        """
        said = ""
        while not self.is_open:
            try:
                await self.run(self._open, join, took_in)
            except StoreError as error:
                if is_first:
                    raise
                if str(error) != said:
                    said = str(error)
                    self._say(f"{said}; it is tried again, and the workers go on meanwhile")
                await asyncio.sleep(rounds.AGAIN_SECONDS)

    async def close(self, *, in_haste: bool) -> None:
        """Closes everything; in haste what is in the journals is left to the next start."""
        await self.run(self._close, in_haste)
        self._thread.close()

    def _open(self, join: Callable[[Store], None], took_in: Callable[[Store], None]) -> None:
        store = open_store(self._settings, self._data_dir)
        try:
            self._begin(store, join, took_in)
        except database_errors(store) as error:
            raise StoreError(f"the database cannot be used: {error}") from error
        else:
            self.is_open = True
        finally:
            if not self.is_open:
                store.close()

    def _begin(self, store: Store, join: Callable[[Store], None], took_in: Callable[[Store], None]) -> None:
        from tokenway.control.ingest import Ingest  # noqa: PLC0415 - imported while the workers start
        from tokenway.control.upkeep import Upkeep  # noqa: PLC0415 - the same
        from tokenway.store.accounts.holdings import Holdings  # noqa: PLC0415 - the same

        self.store = store
        join(store)
        self.upkeep = Upkeep(
            store,
            name=socket.gethostname(),
            workers=self._settings.server.workers,
            release=__version__,
            kept=self._kept,
        )
        self.upkeep.step()
        self.first_start = store.accounts.bootstrap()
        self.held = Holdings()
        store.accounts.holdings.refresh(self.held)
        self.ingest = Ingest(
            store.ledger,
            self._data_dir / JOURNALS,
            self._on_settled,
            on_expired=lambda lost: self._say(f"the reservation of {lost.id} was open when its worker ended: expired"),
            on_fault=lambda fault: self._say(f"the journal is damaged: {fault}"),
            on_gone=self._on_gone,
        )
        try:
            self.ingest.run_once()
            store.leases.release_others(self.ingest.alive())
            took_in(store)
        except BaseException:
            self.ingest.close()
            raise

    def ensure_projects(self, settings: Settings) -> None:
        """Makes the prepaid projects of the configuration: into what is not there nobody can pay."""
        from tokenway.store.accounts.records import SYSTEM  # noqa: PLC0415 - imported while the workers start

        lacking = [name for name, each in settings.projects.items() if each.prepaid and name not in self.held.projects]
        if lacking:
            self.store.accounts.ensure_projects(lacking, by=SYSTEM)
            self.store.accounts.holdings.refresh(self.held)

    def _close(self, in_haste: bool) -> None:  # noqa: FBT001 - it is passed to the thread
        if not self.is_open:
            return
        try:
            if not in_haste:
                self.ingest.drain()
                self.upkeep.leave()
        except Exception as error:
            # Then this machine is taken for lost after a while. That the database is away needs no trace.
            trace = None if isinstance(error, TokenwayError) else error
            log.error("what the workers wrote last is taken in by the next start: %s", error, exc_info=trace)  # noqa: TRY400
        finally:
            self.ingest.close()
            self.store.close()

    # -- what is done with it ----------------------------------------------------------------------------

    async def ingest_round(self) -> float:
        """A round has a price of its own, and few large ones cost less: only after one that left some comes another."""
        await self.run(self.ingest.run_once)
        return 0.0 if self.ingest.is_behind else INGEST_SECONDS

    async def refresh(self) -> tuple[int, int]:
        """Reads what has changed of accounts; see `seen`."""
        await self.run(self.store.accounts.holdings.refresh, self.held)
        return self.seen

    @property
    def seen(self) -> tuple[int, int]:
        """The number of what is known of accounts, and the day: prices begin with one, and budgets start anew."""
        return self.held.number, int(time.time() // 86400)

    async def probes_cost(self, day: int) -> dict[str, int]:
        """What a day's probes have cost by now, those included that the ledger did not have yet."""
        await self.run(self.ingest.drain)
        spent: dict[str, int] = await self.run(self.store.probes.spent, day)
        return spent
