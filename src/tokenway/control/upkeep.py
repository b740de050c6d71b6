"""What a machine does for the database now and then, whatever else it does.

It says that it lives, makes the partitions of the days to come, drops days that are older than the configuration keeps
them, and ends the responses that machines were making that are gone. (What these had reserved expires by the ingest.)
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from tokenway.model.identity import day_of
from tokenway.store.nodes import BEAT_SECONDS
from tokenway.store.open import Store

HOUR: Final = 3_600.0


class Upkeep:
    """`step` does what is due. `retention` says for how many seconds exchanges are kept one by one; 0 for ever."""

    def __init__(
        self,
        store: Store,
        *,
        name: str,
        workers: int,
        release: str,
        retention: Callable[[], float],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._name = name
        self._workers = workers
        self._release = release
        self._retention = retention
        self._clock = clock
        self._started = clock()
        self._hourly = 0.0

    def step(self) -> float:
        """Returns after how many seconds the next one is due. Raises StoreError."""
        store = self._store
        store.nodes.beat(name=self._name, started=self._started, workers=self._workers, release=self._release)
        for node in store.nodes.lost():
            store.responses.abandon(node=node)
        now = self._clock()
        if now >= self._hourly:
            store.days.ready_ahead()
            retention = self._retention()
            if retention:
                # A day goes when its last exchange is old enough.
                store.days.drop_before(day_of(now - retention))
            self._hourly = now + HOUR
        return BEAT_SECONDS

    def leave(self) -> None:
        """This machine stops in good order, with nothing left open."""
        self._store.nodes.leave()
