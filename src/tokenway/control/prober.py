"""Has endpoints probed that nobody asks (`control.probe` decides which): one at a time, by one of the workers.

The control process calls no provider. It names an endpoint, an exchange's id and what the probe may cost to a worker,
which makes it a call like any other, sets the amount aside in its journal before anything is sent, and says when it is
over. Before the next one the journals are read to their ends, so that what the ledger has spent is all there is.
"""

from __future__ import annotations

import logging
import random
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from tokenway.control.probe import Schedule, candidates
from tokenway.control.workers import Worker, Workers
from tokenway.model.identity import day_of
from tokenway.model.link import Probe, Probed
from tokenway.model.probe import id_of
from tokenway.model.snapshot import Snapshot

log = logging.getLogger("tokenway.control")

TICK: Final = 1.0
"""Seconds between two looks at whether a turn has come."""
MARK_BYTES: Final = 6


class Prober:
    """`spent(day)` is what the ledger has of a day's probes; `heard_of(endpoint)` when it was last heard of."""

    def __init__(
        self,
        spent: Callable[[int], Awaitable[Mapping[str, int]]],
        heard_of: Callable[[str], float | None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._spent = spent
        self._heard_of = heard_of
        self._clock = clock
        self._schedule = Schedule(clock())
        self._at_work: Worker | None = None
        self._exchange = ""

    def use(self, snapshot: Snapshot) -> None:
        """From now on what this snapshot wants probed is probed."""
        self._schedule.use(candidates(snapshot))

    def over(self, probed: Probed) -> None:
        """A worker says that a probe is over."""
        if probed.exchange == self._exchange:
            self._at_work = None

    async def step(self, workers: Workers) -> float:
        """Has one endpoint probed, if it is time; returns how many seconds later it is to be called again."""
        now = self._clock()
        if self._at_work in workers.alive or not _serving(workers):
            return TICK
        due = self._schedule.due(now, self._heard_of, workers.breakers())
        if not due:
            return TICK
        chosen = self._schedule.choose(due, await self._spent(day_of(now)), now, random.random())  # noqa: S311
        serving = _serving(workers)
        if chosen is not None and serving:
            worker = random.choice(serving)  # noqa: S311 - whichever
            self._at_work, self._exchange = worker, id_of(now, secrets.token_hex(MARK_BYTES))
            worker.send(Probe(self._exchange, chosen.model, chosen.endpoint, chosen.worst, self._clock()))
            log.info("probe", extra={"exchange": self._exchange, "endpoint": chosen.endpoint})
        return TICK


def _serving(workers: Workers) -> list[Worker]:
    return [each for each in workers.alive if each.is_serving]
