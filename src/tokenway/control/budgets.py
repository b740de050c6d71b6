"""From budgets and what was spent to the grants that workers spend from.

A grant is a worker's share of a budget. The sum of what all workers hold never exceeds what is left of the
budget, so they cannot overspend it together, without asking anyone while they serve. A grant is counted
once, when a worker first hears of a key in a period, and stays the same in later snapshots: what the worker
has spent since is its own affair until the period or the worker ends.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

import msgspec

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


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
    """A worker's share in nano-dollars, and the period it is for."""

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
        self._given: dict[int, dict[tuple[str, int], int]] = {}
        """By worker: what is taken off its share, by key and epoch."""

    def grant(self, worker: int, allowance: Allowance, now: float) -> Grant:
        """The share of a worker."""
        epoch = epoch_of(allowance.term, now)
        key = (allowance.key_id, epoch)
        given = self._given.setdefault(worker, {})
        if key not in given:
            spent = self._spent(allowance.key_id, allowance.term)
            base = self._base.setdefault(key, spent)
            # What was spent since the period's first grant: after a crash the successor cannot tell how much of
            # it came out of this worker's share, so all of it does. With one worker that is exact.
            given[key] = max(0, spent - base)
        share = max(0, allowance.amount - self._base[key]) // self._workers
        return Grant(share - given[key], epoch)

    def forget(self, worker: int) -> None:
        """A worker is gone; its successor is granted what is left."""
        self._given.pop(worker, None)
