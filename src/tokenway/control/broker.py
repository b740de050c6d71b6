"""Lends workers parts of limits: takes what they want, asks the store that has the limit, and answers.

    worker ──Want, Return──▶ Broker ──▶ leases in the database   (money, and all that is counted in the books)
           ◀─Granted, Recall─┘      └─▶ rates beside it          (minutes, slots, depth, loops)

Each store has a desk of its own, so that a slow database holds up no rate. A desk works off in one go what has queued
up meanwhile: first what comes back, then who wants something, in the order in which they came. Who gets less than he
needs while others hold some is answered a moment later, when they were asked to give back what they do not use.

No sums are kept here. What is true is in the stores, and the worst that a lost message can do is that a part of a limit
lies idle until its holder ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final

from tokenway.control.desk import Desk, Send, Wanted
from tokenway.metering.terms import base_limit, run_limit
from tokenway.model.errors import TokenwayError
from tokenway.model.limits import Limit, Measure
from tokenway.model.link import Granted, Recall, Return, Want
from tokenway.model.snapshot import Snapshot
from tokenway.store.granting import Ask, Given, LeaseStore, Lent, RateStore

log = logging.getLogger("tokenway.control")

BEAT_SECONDS: Final = 2.0
"""How often the store of rates is told that this machine is alive."""
AGAIN_SECONDS: Final = 0.5
"""How long after a failure the next try comes to give something back."""
UNKNOWN_SECONDS: Final = 1.0
"""When to ask again for a limit that is not known: by then both sides have the same snapshot."""
_OF_RUNS: Final = frozenset({Measure.DEPTH, Measure.LOOPS})

Lend = Callable[[Sequence[Ask]], Awaitable[list[Lent]]]
TakeBack = Callable[[Iterable[Given]], Awaitable[None]]


class Broker:
    """What one machine's control process lends. `run_books` and `run_rates` want a task each, in the loop of the rest.

    `in_thread(work, *arguments)` runs what blocks, where the lease store may be used.
    """

    def __init__(self, leases: LeaseStore, rates: RateStore, in_thread: Callable[..., Awaitable[Any]]) -> None:
        async def lend(asks: Sequence[Ask]) -> list[Lent]:
            lent: list[Lent] = await in_thread(leases.lend, asks)
            return lent

        async def take_back(given: Iterable[Given]) -> None:
            await in_thread(leases.take_back, given)

        self._rates = rates
        self._limits: dict[str, Limit] = {}
        self._holders: dict[str, Send] = {}
        self._dropped: list[str] = []
        self._workers = 0
        self._books = _Counter("budgets", Desk(self._is_here, self._recall), lend, take_back)
        self._minutes = _Counter("rates", Desk(self._is_here, self._recall), rates.lend, rates.take_back)

    # -- what is known -----------------------------------------------------------------------------------

    def use(self, snapshot: Snapshot) -> None:
        """Goes by these limits from now on; to be called before the workers are sent the snapshot."""
        self._limits = snapshot.limits

    def shared_by(self, workers: int) -> None:
        """How many workers share the limits, over all machines."""
        self._workers = workers

    def joined(self, holder: str, send: Send) -> None:
        """A worker has said who it is."""
        self._holders[holder] = send

    def gone(self, holder: str, send: Send) -> None:
        """A worker's link has ended. What it holds in the books is its own until its journal was read to the end."""
        if self._is_here(holder, send):
            del self._holders[holder]
            self._dropped.append(holder)
            self._minutes.wake()

    # -- what workers say --------------------------------------------------------------------------------

    def take(self, holder: str, message: Want | Return) -> None:
        """Takes in what a worker says; its answer comes by its `send`."""
        send = self._holders.get(holder)
        if send is None:
            return
        limit = self._limits.get(base_limit(message.limit))
        if isinstance(message, Return):
            given = Given(message.limit, message.period, holder, message.amount)
            # Of a limit that is gone nobody knows who has counted it; to the other one it means nothing.
            for counter in (self._books, self._minutes) if limit is None else (self._of(limit),):
                counter.give(given)
        elif limit is None or not _is_named_well(message, limit):
            send(Granted(message.number, message.limit, 0, 0, wait=UNKNOWN_SECONDS))
        elif limit.measure in _OF_RUNS and not message.run:
            send(Granted(message.number, message.limit, 0, max(1, message.least), limit.amount))
        else:
            self._of(limit).want(Wanted(message, self._ask(holder, message, limit), send))

    def _ask(self, holder: str, want: Want, limit: Limit) -> Ask:
        identity = want.limit if limit.measure not in _OF_RUNS else run_limit(limit.id, want.key_id, want.run)
        sharing = max(self._workers, len(self._holders))
        return Ask(identity, limit, holder, max(0, want.least), sharing, want.key_id, want.run, want.detail)

    def _of(self, limit: Limit) -> _Counter:
        return self._minutes if limit.is_fleeting else self._books

    # -- work --------------------------------------------------------------------------------------------

    async def run_books(self) -> None:
        """Lends what the database has, for ever."""
        while True:
            await self._books.step()

    async def run_rates(self) -> None:
        """Lends rates, for ever, and says now and then that this machine is alive."""
        due = 0.0
        while True:
            dropped, self._dropped = self._dropped, []
            for holder in dropped:
                await self._rates.drop(holder)
            if time.monotonic() >= due:
                await self._rates.beat()
                due = time.monotonic() + BEAT_SECONDS
            await self._minutes.step(due)

    def _is_here(self, holder: str, send: Send) -> bool:
        return self._holders.get(holder) == send

    def _recall(self, limit: str, asker: Send) -> bool:
        others = [send for send in self._holders.values() if send != asker]
        for send in others:
            send(Recall((limit,)))
        return bool(others)


class _Counter:
    """A desk, and the store behind it, which does one thing at a time."""

    def __init__(self, name: str, desk: Desk, lend: Lend, take_back: TakeBack) -> None:
        self._name = name
        self._desk = desk
        self._lend = lend
        self._take_back = take_back
        self._woken = asyncio.Event()
        self._is_down = False
        self._again_at: float | None = None
        """When to try again to give back what could not be given back."""

    def want(self, wanted: Wanted) -> None:
        """Somebody wants something."""
        self._desk.want(wanted)
        self._woken.set()

    def give(self, given: Given) -> None:
        """Something comes back."""
        self._desk.give(given)
        self._woken.set()

    def wake(self) -> None:
        """Ends the pause that a turn begins with."""
        self._woken.set()

    async def step(self, until: float | None = None) -> None:
        """One turn: waits until there is something to do, at most until this monotonic moment, and does it."""
        await self._pause(until, self._desk.due, self._again_at)
        batch = self._desk.begin(time.monotonic())
        self._again_at = None
        try:
            if batch.given:
                await self._take_back(batch.given)
                batch.given = []
            lent = await self._lend(batch.asks) if batch.wanted else []
        except Exception as error:  # whatever has happened to the database, the next turn tries it anew
            self._desk.failed(batch)
            if batch.given:
                self._again_at = time.monotonic() + AGAIN_SECONDS
            if not self._is_down:
                self._is_down = True
                # What the store says itself needs no trace: it is away, as a rule.
                trace = None if isinstance(error, TokenwayError) else error
                log.error("nothing can be lent of %s: %s", self._name, error, exc_info=trace)  # noqa: TRY400
            return
        if self._is_down and batch.wanted:
            self._is_down = False
            log.warning("%s can be lent of again", self._name)
        self._desk.done(batch, lent, time.monotonic())

    async def _pause(self, *moments: float | None) -> None:
        """Until there is something to do, or the first of these monotonic moments has come."""
        if not self._desk.is_busy or self._again_at is not None:
            first = min((moment for moment in moments if moment is not None), default=None)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if first is None else max(0.0, first - time.monotonic())):
                    await self._woken.wait()
        self._woken.clear()


def _is_named_well(want: Want, limit: Limit) -> bool:
    """Whether a want says whose run it is for where the limit holds for each, and nothing else where it does not."""
    if limit.per_run or (limit.measure in _OF_RUNS and want.run):
        return bool(want.run) and want.limit == run_limit(limit.id, want.key_id, want.run)
    return want.limit == limit.id
