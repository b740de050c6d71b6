"""How often somebody may try a password: bounded for each name and for each address, whoever tries.

Kept in memory, for what it guards against is a machine that tries thousands. An attempt counts from its beginning, so
that many at once are not more than many in turn; one that succeeds is taken back.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

WINDOW_SECONDS: Final = 900.0
PER_NAME: Final = 10
PER_ADDRESS: Final = 50
HOUR_SECONDS: Final = 3600.0
KEPT_MAX: Final = 20_000
"""Names and addresses that are remembered; those that were tried longest ago go first."""


class Window:
    """Counts what somebody has done within a while, from the first time on. `clock` may be any that goes on."""

    def __init__(self, clock: Callable[[], float], seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds
        self._counts: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._counts)

    def wait(self, key: str, most: int) -> float:
        """For how many seconds the next time must wait; 0.0 for not at all."""
        since, count = self._current(key)
        return since + self._seconds - self._clock() if count >= most else 0.0

    def take(self, key: str, most: int) -> float:
        """Counts one time, unless it must wait; for how long."""
        wait = self.wait(key, most)
        if not wait:
            since, count = self._current(key)
            self._counts[key] = (since, count + 1)
            self._counts.move_to_end(key)
            if len(self._counts) > KEPT_MAX:
                self._counts.popitem(last=False)
        return wait

    def give_back(self, key: str, count: int = 1) -> None:
        """Takes back what was counted."""
        since, had = self._current(key)
        self._counts[key] = (since, max(0, had - count))

    def _current(self, key: str) -> tuple[float, int]:
        now = self._clock()
        since, count = self._counts.get(key, (now, 0))
        # A clock that was set back begins a new window as well.
        return (since, count) if since <= now < since + self._seconds else (now, 0)


class Attempts:
    """Counts attempts to sign in within windows of a quarter of an hour."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._names = Window(clock, WINDOW_SECONDS)
        self._addresses = Window(clock, WINDOW_SECONDS)

    def begin(self, name: str, address: str) -> float:
        """Counts an attempt; for how many seconds it must wait, 0.0 when it may be made."""
        name = name.casefold()
        wait = max(self._names.wait(name, PER_NAME), self._addresses.wait(address, PER_ADDRESS))
        if not wait:
            self._names.take(name, PER_NAME)
            self._addresses.take(address, PER_ADDRESS)
        return wait

    def succeeded(self, name: str, address: str) -> None:
        """The attempt was right: the name starts anew, and the address has it back."""
        self._names.give_back(name.casefold(), PER_NAME)
        self._addresses.give_back(address)
