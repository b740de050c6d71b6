"""From budgets and what was spent to the grants that workers spend from.

A grant is a worker's share of a budget. The sum of what all workers hold never exceeds what is left of the
budget, so they cannot overspend it together, without asking anyone while they serve. A grant is counted
once, when a worker first hears of a key in a period, and stays the same as long as each of its snapshots
has that key and that period: what the worker has spent since is its own affair. A worker that is new, or
that hears of the key again, begins with a grant from which everything that was spent in the period is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

import msgspec

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
KEPT_DAYS: Final = 40
"""How long a period's figures are kept after it began; a month is the longest."""


class Term(StrEnum):
    """When a budget starts anew, in UTC; `total` never does."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    TOTAL = "total"


class Allowance(msgspec.Struct, frozen=True):
    """A key's budget: `amount` nano-dollars for each `term`."""

    key_id: str
    amount: int
    term: Term = Term.TOTAL


class Grant(msgspec.Struct, frozen=True):
    """A worker's share in nano-dollars, negative when more was spent, and the period it is for."""

    amount: int
    epoch: int


def epoch_of(term: Term, now: float) -> int:
    """The period that the Unix time `now` is in: the number of the day on which it began; 0 for `total`."""
    today = datetime.fromtimestamp(now, UTC)
    if term is Term.TOTAL:
        return 0
    if term is Term.WEEK:
        today -= timedelta(days=today.weekday())
    elif term is Term.MONTH:
        today = today.replace(day=1)
    return (today - _EPOCH).days


class Grants:
    """The grants of all workers. `spent(key id, term)` is what the ledger has for the current period."""

    def __init__(self, workers: int, spent: Callable[[str, Term], int]) -> None:
        self._workers = workers
        self._spent = spent
        self._base: dict[tuple[str, int], int] = {}
        """What had been spent when the period's grants were made, by key and epoch."""
        self._taken: dict[int, dict[tuple[str, int], int]] = {}
        """By worker: what is taken off its share, by key and epoch, for the keys of its last snapshot."""
        self._day = 0

    def grant(self, worker: int, allowances: Iterable[Allowance], now: float) -> dict[str, Grant]:
        """The worker's shares by key id, for a snapshot that it will be sent with exactly these keys.

        A worker forgets what it knew of a key that is not in its snapshot, so the same is forgotten here.
        """
        self._drop_old(int(now // 86400))
        known = self._taken.get(worker, {})
        taken: dict[tuple[str, int], int] = {}
        grants = {}
        for allowance in allowances:
            epoch = epoch_of(allowance.term, now)
            key = (allowance.key_id, epoch)
            if key not in known:
                spent = self._spent(allowance.key_id, allowance.term)
                base = self._base.setdefault(key, spent)
                # What was spent since the period's first grant: nobody can tell how much of it came out of this
                # worker's share, so all of it does. With one worker that is exact.
                known[key] = max(0, spent - base)
            taken[key] = known[key]
            share = max(0, allowance.amount - self._base[key]) // self._workers
            grants[allowance.key_id] = Grant(share - taken[key], epoch)
        self._taken[worker] = taken
        return grants

    def forget(self, worker: int) -> None:
        """A worker is gone; its successor is granted what is left."""
        self._taken.pop(worker, None)

    def _drop_old(self, day: int) -> None:
        """Once a day: the figures of periods that are over."""
        if day != self._day:
            self._day = day
            self._base = {key: base for key, base in self._base.items() if key[1] == 0 or key[1] > day - KEPT_DAYS}
