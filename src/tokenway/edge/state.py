"""What all exchanges of one worker share: the snapshot in force, pools, leases, the journal, the open exchanges."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from email.utils import formatdate
from time import monotonic
from typing import Final, Protocol

from tokenway.aio.tasks import Tasks
from tokenway.edge.admission import Admission
from tokenway.edge.auth import Gate
from tokenway.edge.fleet import Fleet
from tokenway.edge.head import Heads
from tokenway.edge.routes import Routes
from tokenway.metering.ledger import Record
from tokenway.model.identity import SECONDS_PER_DAY, day_of, ids_of_day
from tokenway.model.link import Return, Want
from tokenway.model.snapshot import Principal, Snapshot
from tokenway.model.stored import StoredResponse
from tokenway.upstream.pool import Pools

SWEEP_SECONDS: Final = 0.05
"""How often deadlines are looked at. Finer than anyone sets one, and nothing has to be armed per chunk."""


class Journal(Protocol):
    """Where records are written before anyone is told of what they say."""

    def append(self, record: Record) -> None:
        """Writes one record; raises TokenwayError when it cannot."""


class Timed(Protocol):
    """An exchange as the sweep sees it."""

    @property
    def wake_at(self) -> float:
        """When that will be, in monotonic seconds."""

    def wake(self, now: float) -> None:
        """Its time has come."""

    def broke(self, error: Exception) -> None:
        """It has raised this, and is to end; must not raise."""


class Running(Protocol):
    """A response in the background, as who follows it or wants it to end sees it."""

    def follow(self, after: int) -> AsyncIterator[bytes]:
        """Its events behind the number `after`, up to the last one."""

    def show(self) -> None:
        """Keeps its events so far, for those who follow it at another worker."""

    def stop(self, why: str = "") -> None:
        """Ends it: it is cancelled, or has failed for this reason."""


class Watched(Protocol):
    """A client connection as the sweep sees it."""

    def check(self, now: float) -> None:
        """Closes itself when it has been idle, or slow with a request, for too long."""


Ask = Callable[[str, Principal, str], Awaitable[bytes | None]]
"""Asks the control process: (what, whose call it is, subject) to an answer, or None when there is nothing."""


class EdgeState:
    """The shared state of a worker. Everything here is touched by the event loop's thread only."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        pools: Pools,
        journal: Journal,
        ask: Ask,
        keep: Callable[[StoredResponse], None] = lambda _: None,
        tell: Callable[[Want | Return], None] = lambda _: None,
    ) -> None:
        """`keep` gives a response to the control process to be kept, `tell` what is wanted of limits."""
        self.loop = loop
        self.pools = pools
        self.journal = journal
        self.ask = ask
        self.keep = keep
        self.background: dict[tuple[str, str], Running] = {}
        """What runs without a caller, by response id and project."""
        self.admission = Admission(tell, self._call_soon)
        self.fleet = Fleet(monotonic())
        self.heads = Heads()
        self.open: set[Timed] = set()
        self.connections: set[Watched] = set()
        self.streams = 0
        self.draining = False
        self.loop_lag = 0.0
        self.snapshot: Snapshot
        self.routes: Routes
        self.gate: Gate
        self.date = b""
        self._id_life = secrets.token_hex(8)
        self._id_count = 0
        self._id_prefix = ""
        self._id_begins = self._id_ends = 0.0
        self._sweep_due = 0.0

    @property
    def tasks(self) -> Tasks:
        """Where work that waits is started."""
        return self.pools.tasks

    @property
    def is_ready(self) -> bool:
        """Whether a snapshot is in force."""
        return hasattr(self, "snapshot")

    def adopt(self, snapshot: Snapshot) -> None:
        """Puts a snapshot in force; exchanges under way keep theirs."""
        self.admission.adopt(snapshot)
        self.admission.mended()  # it comes from a control process, so there is one again
        self.fleet.adopt(snapshot)
        # An exchange has its own deadline for each attempt, which may be longer at an endpoint than elsewhere.
        own = [each.timeouts.connect for model in snapshot.models.values() for each in model.endpoints if each.timeouts]
        self.pools.connect_timeout = max([snapshot.timeouts.connect, *own])
        self.routes = Routes(snapshot, self.pools)
        self.gate = Gate(snapshot)
        self.heads.clear()
        self.snapshot = snapshot
        self.fleet.line.renew()

    @staticmethod
    def dice() -> float:
        """A random number in [0, 1), for pauses: nothing secret hangs on it."""
        return random.random()  # noqa: S311

    def new_id(self) -> str:
        """An exchange's id: the day, the worker's random mark and a count, so that none can be guessed or repeated.

        They sort in the order of time, which is what a table of millions of them wants.
        """
        now = time.time()
        if not self._id_begins <= now < self._id_ends:
            day = day_of(now)
            self._id_begins, self._id_ends = day * SECONDS_PER_DAY, (day + 1) * SECONDS_PER_DAY
            self._id_prefix = ids_of_day(day) + self._id_life
        self._id_count += 1
        return f"{self._id_prefix}{self._id_count:010x}"

    def _call_soon(self, work: Callable[[], None]) -> None:
        self.loop.call_soon(work)

    def start_sweeping(self) -> None:
        """Begins to look at deadlines; call it once in the loop."""
        self._tick()
        self._sweep_due = monotonic() + SWEEP_SECONDS
        self.loop.call_later(SWEEP_SECONDS, self._sweep)

    def _tick(self) -> None:
        """Once a second: the date, and connections that have been idle or slow for too long."""
        # First the next one: whatever a connection raises, the others still need it.
        self.loop.call_later(1.0, self._tick)
        now = monotonic()
        self.date = b"date: %b\r\nserver: tokenway\r\n" % formatdate(usegmt=True).encode()
        for connection in list(self.connections):
            connection.check(now)
        self.pools.sweep(now)
        self.admission.tick(now)

    def _sweep(self) -> None:
        self.loop.call_later(SWEEP_SECONDS, self._sweep)
        now = monotonic()
        self.loop_lag = max(0.0, now - self._sweep_due)
        self._sweep_due = now + SWEEP_SECONDS
        due = [exchange for exchange in self.open if exchange.wake_at <= now]
        for exchange in due:
            try:
                exchange.wake(now)
            except Exception as error:  # noqa: BLE001 - whatever one of them meets, the others have their deadlines
                exchange.broke(error)
        self.admission.sweep(now)
