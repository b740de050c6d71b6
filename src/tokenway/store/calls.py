"""The calls of one kind and minute, counted together: most exchanges are one of many of their kind."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import add
from typing import Any, Final

from tokenway.metering.stamps import MICROSECONDS
from tokenway.model.usage import BUCKETS
from tokenway.store.schema import INLINE_BUCKETS

CLIENT_GONE: Final = 499
"""The status of an exchange whose client left before the answer was whole."""
BAD_STATUS: Final = 400
_INLINE_AT: Final = tuple(BUCKETS.index(name) for name in INLINE_BUCKETS)

Times = tuple[int, int, int, int, int]
"""The last five of SUMS."""
NO_TIMES: Final[Times] = (0, 0, 0, 0, 0)


def is_error(status: int, error_type: str) -> bool:
    """Whether a call failed: it was answered with an error, or ended in one; a caller who left is none."""
    return (status >= BAD_STATUS or error_type != "") and status != CLIENT_GONE


class Calls:
    """The exchanges of one kind and minute."""

    __slots__ = ("calls", "charged", "cost", "figures", "kind", "last", "priced", "times", "withheld")

    def __init__(self, kind: Sequence[Any]) -> None:
        self.kind = kind
        self.calls = self.charged = self.withheld = 0
        self.times = NO_TIMES
        self.last = 0.0
        """When the latest of them was admitted."""
        self.cost = self.priced = 0
        """Of attempts that stand in their exchange's row: what they cost, and how many of them have a cost."""
        self.figures: Sequence[int] = (0,) * len(INLINE_BUCKETS)
        """And their usage, by INLINE_BUCKETS."""

    def add(self, at: float, charged: int, withheld: int, times: Times) -> None:
        """Counts a call."""
        self.calls += 1
        self.charged += charged
        self.withheld += withheld
        self.last = max(self.last, at)
        mine = self.times
        self.times = (
            mine[0] + times[0],
            mine[1] + times[1],
            mine[2] + times[2],
            mine[3] + times[3],
            mine[4] + times[4],
        )

    def add_attempt(self, cost: int | None, figures: Iterable[Any]) -> None:
        """Counts the attempt of a call that stands in its row."""
        self.figures = [*map(add, self.figures, figures)]
        if cost is not None:
            self.cost += cost
            self.priced += 1

    @property
    def usage(self) -> list[int]:
        """The usage by BUCKETS."""
        usage = [0] * len(BUCKETS)
        for place, figure in zip(_INLINE_AT, self.figures, strict=True):
            usage[place] = figure
        return usage


def times_of(first: float | None, duration: float | None, speed: float | None, tokens: int) -> Times:
    """What a call adds to the last five of SUMS.

    The time of its output is of its speed and not of its stamps, so that the entries say the same.
    """
    timed = 0 if speed is None else tokens - 1
    return (
        0 if first is None else int(first * MICROSECONDS),
        0 if first is None else 1,
        timed,
        0 if speed is None else int(timed / speed * MICROSECONDS),
        0 if duration is None else int(duration * MICROSECONDS),
    )
