"""A clock that moves only when told, a queue of what happens when, and a quick draw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from random import Random
from typing import TypeVar

T = TypeVar("T")

START = 1000.0
"""Where every history begins: not zero, because a stamp of zero means that something did not happen."""
UNIX = 1_700_000_000.0
"""Unix time when the monotonic clock says zero."""


class Clock:
    """Virtual monotonic seconds."""

    def __init__(self) -> None:
        self.now = START
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def after(self, delay: float, what: Callable[[], None]) -> None:
        """Puts something on the queue; what is due at one time happens in the order in which it was put there."""
        self._count += 1
        heappush(self._queue, (self.now + delay, self._count, what))

    @property
    def next_time(self) -> float | None:
        """When the next thing happens; None when nothing will."""
        return self._queue[0][0] if self._queue else None

    def step(self) -> None:
        """Lets the next thing happen."""
        self.now, _, what = heappop(self._queue)
        what()


def pick(rng: Random, among: Sequence[T]) -> T:
    """One of these; `Random.choice` takes three times as long, and a history draws fifty times."""
    return among[int(rng.random() * len(among))]
