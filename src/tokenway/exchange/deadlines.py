"""The deadlines of one exchange, of which only the earliest needs a timer.

CONNECT          from opening an attempt to handing it to a connection
FIRST_TOKEN      from there to the first text (streams only: another answer has no first token)
BETWEEN_TOKENS   the longest silence inside a stream
TOTAL            the whole exchange
RETRY            not a limit but the end of a pause before the next attempt
"""

from __future__ import annotations

from enum import IntEnum
from math import inf
from typing import Final


class Deadline(IntEnum):
    """Which deadline; see the table above."""

    CONNECT = 0
    FIRST_TOKEN = 1
    BETWEEN_TOKENS = 2
    TOTAL = 3
    RETRY = 4


class Deadlines:
    """Times in monotonic seconds; `inf` is not set.

    `armed` is when the shell is to report next. It is never later than the earliest deadline, and only moves forward
    by being reached: waking once too early is cheaper than looking for the earliest with every step.
    """

    __slots__ = ("_times", "armed")

    def __init__(self) -> None:
        self._times = [inf, inf, inf, inf, inf]
        self.armed = inf

    def set(self, which: Deadline, at: float) -> None:
        """Sets one deadline."""
        self._times[which] = at
        self.armed = min(self.armed, at)

    def clear(self, which: Deadline) -> None:
        """Unsets one deadline."""
        self._times[which] = inf

    def clear_attempt(self) -> None:
        """Unsets all that belong to attempts; the total stays."""
        times = self._times
        times[0] = times[1] = times[2] = times[4] = inf

    def time_of(self, which: Deadline) -> float:
        """When a deadline passes; `inf` when it is not set."""
        return self._times[which]

    def rearm(self) -> None:
        """The time that was armed has come: the next one is the earliest of those that are set."""
        self.armed = min(self._times)

    def passed(self, at: float) -> list[Deadline]:
        """Those that have passed at a time, the total first: it ends the exchange whatever else has passed."""
        return [which for which in _BY_WEIGHT if self._times[which] <= at]


_BY_WEIGHT: Final = (
    Deadline.TOTAL,
    Deadline.CONNECT,
    Deadline.FIRST_TOKEN,
    Deadline.BETWEEN_TOKENS,
    Deadline.RETRY,
)
