"""How often a second attempt may race a first one: a share of the calls, and a share of what they cost.

Both are budgets that every call fills a little and every race empties: over any stretch of time, races are at most that
share of the calls plus `FIRST`, and what the losers cost at most that share of what callers were charged plus the
cost of one call. A race is what "The Tail at Scale" (Dean and Barroso, 2013) calls a hedged request.
"""

from __future__ import annotations

from typing import Final

FIRST: Final = 1.0
"""Races that are allowed before there were any calls."""
MOST: Final = 50.0
"""Races that can be saved up."""


class HedgeBudget:
    """What one worker may spend on races of one model. Money is nano-dollars."""

    __slots__ = ("_races", "_spend")

    def __init__(self) -> None:
        self._races = FIRST
        self._spend = 0.0

    def call(self, share: float) -> None:
        """A call begins, of which so large a share may be raced; none where it is 0.0."""
        self._races = min(MOST, self._races + share)

    def charged(self, amount: int, share: float) -> None:
        """A caller was charged."""
        self._spend += amount * share

    def lost(self, amount: int) -> None:
        """The loser of a race cost so much."""
        self._spend -= amount

    @property
    def is_open(self) -> bool:
        """Whether a race may begin."""
        return self._races >= 1.0 and self._spend >= 0.0

    def race(self) -> None:
        """A race begins."""
        self._races -= 1.0
