"""An event loop whose time a test moves, for what only waits and is called."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, cast

START = 1000.0


class Timer:
    """One call to come."""

    def __init__(self, at: float, call: Callable[[], None]) -> None:
        self.at = at
        self.call = call
        self.is_cancelled = False

    def cancel(self) -> None:
        """It will not be made."""
        self.is_cancelled = True


class Turns:
    """Calls by their time; of one time, in the order in which they were asked for."""

    def __init__(self) -> None:
        self.now = START
        self._calls: list[tuple[float, int, Timer]] = []
        self._count = 0

    def clock(self) -> float:
        """Monotonic seconds."""
        return self.now

    def loop(self) -> asyncio.AbstractEventLoop:
        """As much of a loop as is needed."""
        return cast("asyncio.AbstractEventLoop", self)

    def call_soon(self, call: Callable[..., None], *args: Any) -> Timer:
        """In this moment, behind all that is due in it."""
        return self.call_later(0.0, call, *args)

    def call_later(self, delay: float, call: Callable[..., None], *args: Any) -> Timer:
        """After some seconds."""
        timer = Timer(self.now + delay, lambda: call(*args))
        self._count += 1
        heappush(self._calls, (timer.at, self._count, timer))
        return timer

    @property
    def waiting(self) -> int:
        """Calls that are still to be made."""
        return sum(not timer.is_cancelled for _, _, timer in self._calls)

    def settle(self) -> None:
        """Makes all calls of this moment."""
        self.pass_time(0.0)

    def pass_time(self, seconds: float) -> None:
        """Makes all calls of the next seconds; what one raises is raised after it, and the others wait."""
        end = self.now + seconds
        while self._calls and self._calls[0][0] <= end:
            self.now, _, timer = heappop(self._calls)
            if not timer.is_cancelled:
                timer.call()
        self.now = end
