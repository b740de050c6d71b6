"""The deadlines of one exchange, of which only the earliest needs a timer.

of the exchange:
TOTAL            the whole of it
RETRY            not a limit but the end of a pause before the next attempt
HEDGE            when a second attempt starts beside one that has no text yet
SLOW             when the speed of a stream is looked at again

of an attempt:
CONNECT          from opening it to handing it to a connection
FIRST_TOKEN      from there to the first text (streams only: another answer has no first token)
BETWEEN_TOKENS   the longest silence inside an answer that has begun
ATTEMPT          the whole attempt, where its endpoint has a limit of its own
PATIENCE         its share of what is left, where the answer comes whole and somebody else could still be asked

Two attempts at most are under way at once, a race or a rescue; each runs in a lane of its own.
"""

from __future__ import annotations

from enum import IntEnum
from math import inf
from typing import Final


class Deadline(IntEnum):
    """Which deadline; see the table above."""

    TOTAL = 0
    RETRY = 1
    HEDGE = 2
    SLOW = 3
    CONNECT = 4
    FIRST_TOKEN = 5
    BETWEEN_TOKENS = 6
    ATTEMPT = 7
    PATIENCE = 8


LANES: Final = 2
_OF_ATTEMPT: Final = 5
"""How many deadlines an attempt has; they stand behind the exchange's own, lane by lane."""
_PLACES: Final = 4 + _OF_ATTEMPT * LANES


class Deadlines:
    """Times in monotonic seconds; `inf` is not set.

    `armed` is when the shell is to report next. It is never later than the earliest deadline, and only moves forward
    by being reached: waking once too early is cheaper than looking for the earliest with every step.
    """

    __slots__ = ("_times", "armed")

    def __init__(self) -> None:
        self._times = [inf] * _PLACES
        self.armed = inf

    def set(self, which: Deadline, at: float, lane: int = 0) -> None:
        """Sets one deadline."""
        self._times[which + _OF_ATTEMPT * lane] = at
        self.armed = min(self.armed, at)

    def clear(self, which: Deadline, lane: int = 0) -> None:
        """Unsets one deadline."""
        self._times[which + _OF_ATTEMPT * lane] = inf

    def clear_lane(self, lane: int) -> None:
        """Unsets all of one attempt."""
        first = Deadline.CONNECT + _OF_ATTEMPT * lane
        self._times[first : first + _OF_ATTEMPT] = [inf] * _OF_ATTEMPT

    def time_of(self, which: Deadline, lane: int = 0) -> float:
        """When a deadline passes; `inf` when it is not set."""
        return self._times[which + _OF_ATTEMPT * lane]

    def rearm(self) -> None:
        """The time that was armed has come: the next one is the earliest of those that are set."""
        self.armed = min(self._times)

    def passed(self, at: float) -> list[tuple[Deadline, int]]:
        """Those that have passed at a time, with their lanes. The total comes first: it ends whatever else has."""
        times = self._times
        return [(which, lane) for which, lane, place in _BY_WEIGHT if times[place] <= at]


_BY_WEIGHT: Final = (
    (Deadline.TOTAL, 0, 0),
    *(
        (which, lane, which + _OF_ATTEMPT * lane)
        for which in (
            Deadline.CONNECT,
            Deadline.FIRST_TOKEN,
            Deadline.BETWEEN_TOKENS,
            Deadline.ATTEMPT,
            Deadline.PATIENCE,
        )
        for lane in range(LANES)
    ),
    *((which, 0, int(which)) for which in (Deadline.RETRY, Deadline.HEDGE, Deadline.SLOW)),
)
