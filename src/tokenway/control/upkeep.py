"""What a machine does for the database now and then, whatever else it does.

It says that it lives, makes the partitions of the days to come, drops what is older than the configuration keeps it,
and ends what machines that are lost were about: responses that they were making, and, once they are given up, their
leases. (What these had reserved expires by the ingest.) It also knows how many machines there are.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from tokenway.model.settings import LedgerSettings
from tokenway.store.nodes import BEAT_SECONDS
from tokenway.store.open import Store
from tokenway.store.retention import Ages, SqlRetention

log = logging.getLogger("tokenway.control")

HOUR: Final = 3_600.0
PAUSE_SECONDS: Final = 0.02
"""What lies between two steps of dropping: the ingest and questions go on between them."""


class Upkeep:
    """`step` does what is due. `kept` says how long the ledger keeps what."""

    def __init__(
        self,
        store: Store,
        *,
        name: str,
        workers: int,
        release: str,
        kept: Callable[[], LedgerSettings],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.machines = 1
        """How many share the database, this one included, as of the last step; may be read by any thread."""
        self.workers = workers
        """How many workers they have together."""
        self._store = store
        self._name = name
        self._workers = workers
        self._release = release
        self._kept = kept
        self._clock = clock
        self._started = clock()
        self._beat_due = self._hour_due = 0.0
        self._dropping: SqlRetention | None = None

    def step(self) -> float:
        """Returns after how many seconds the next one is due. Raises StoreError."""
        store, now = self._store, self._clock()
        if not self._beat_due - BEAT_SECONDS <= now < self._beat_due:  # or the clock has stepped back
            if not store.nodes.beat(
                name=self._name, started=self._started, workers=self._workers, release=self._release
            ):
                log.error(
                    "another gateway runs with this machine's id, and each takes what the other holds for lost: stop "
                    "the one whose data directory was copied, and delete the file 'node' in it",
                    extra={"node": store.nodes.node},
                )
            for node in store.nodes.lost():
                store.responses.abandon(node=node)
            store.leases.release_lost(store.nodes.given_up())
            store.nodes.forget_retired()
            self.machines, others = store.nodes.live()
            self.workers = self._workers + others
            self._beat_due = now + BEAT_SECONDS
        if not self._hour_due - HOUR <= now < self._hour_due:
            store.days.ready_ahead()
            store.leases.prune()
            self._dropping = store.retention(_ages(self._kept()))
            self._hour_due = now + HOUR
        if self._dropping is not None and not self._dropping.step():
            self._dropping = None
        return BEAT_SECONDS if self._dropping is None else PAUSE_SECONDS

    def leave(self) -> None:
        """This machine stops in good order, with nothing left open."""
        self._store.nodes.leave()


def _ages(kept: LedgerSettings) -> Ages:
    return Ages(entries=kept.retention or None, minutes=kept.minutes or None, hours=kept.hours or None)
