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
KEPT_MAX: Final = 20_000
"""Names and addresses that are remembered; those that were tried longest ago go first."""


class Attempts:
    """Counts attempts within windows of a quarter of an hour."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._counts: OrderedDict[tuple[str, str], tuple[float, int]] = OrderedDict()

    def begin(self, name: str, address: str) -> float:
        """Counts an attempt; for how many seconds it must wait, 0.0 when it may be made."""
        now = self._clock()
        keys = {("name", name.casefold()): PER_NAME, ("address", address): PER_ADDRESS}
        waits = [self._wait(key, most, now) for key, most in keys.items()]
        if any(waits):
            return max(waits)
        for key in keys:
            since, count = self._current(key, now)
            self._counts[key] = (since, count + 1)
            self._counts.move_to_end(key)
        while len(self._counts) > KEPT_MAX:
            self._counts.popitem(last=False)
        return 0.0

    def succeeded(self, name: str, address: str) -> None:
        """The attempt was right: the name starts anew, and the address has it back."""
        self._counts.pop(("name", name.casefold()), None)
        since, count = self._current(("address", address), self._clock())
        self._counts["address", address] = (since, max(0, count - 1))

    def _wait(self, key: tuple[str, str], most: int, now: float) -> float:
        since, count = self._current(key, now)
        return since + WINDOW_SECONDS - now if count >= most else 0.0

    def _current(self, key: tuple[str, str], now: float) -> tuple[float, int]:
        since, count = self._counts.get(key, (now, 0))
        # A clock that was set back begins a new window as well.
        return (since, count) if since <= now < since + WINDOW_SECONDS else (now, 0)
