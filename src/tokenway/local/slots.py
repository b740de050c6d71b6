"""A bounded line in front of a model: so many generations run, so many wait, the rest is refused at once.

The runtime would queue without end; a caller is better served by a quick refusal that lets the gateway try
another endpoint.
"""

from __future__ import annotations

import asyncio
from collections import deque


class Busy(Exception):
    """Everything runs and the line is full."""


class Slots:
    """Counts slots; first come, first served, also when a caller asks for several."""

    def __init__(self, running_max: int, waiting_max: int) -> None:
        self._free = running_max
        self._total = running_max
        self._waiting_max = waiting_max
        self._line: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def running(self) -> int:
        """Slots in use."""
        return self._total - self._free

    @property
    def waiting(self) -> int:
        """Callers in line."""
        return len(self._line)

    async def acquire(self, count: int = 1) -> None:
        """Returns when `count` slots are the caller's. Raises `Busy`, or ValueError for more than there are."""
        if count > self._total:
            raise ValueError(f"{count} slots asked of {self._total}")
        if not self._line and self._free >= count:
            self._free -= count
            return
        if len(self._line) >= self._waiting_max:
            raise Busy
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (count, turn)
        self._line.append(entry)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release(count)  # the turn had come while the caller was leaving
            else:
                self._line.remove(entry)
                self._admit()
            raise

    def release(self, count: int = 1) -> None:
        """Gives slots back and admits who is next."""
        self._free += count
        self._admit()

    def _admit(self) -> None:
        while self._line and self._line[0][0] <= self._free:
            count, turn = self._line.popleft()
            if not turn.cancelled():
                self._free -= count
                turn.set_result(None)
