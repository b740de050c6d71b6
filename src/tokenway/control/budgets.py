"""From budgets and what was spent to the grants that workers spend from.

A grant is a worker's share of a budget. The sum of what all workers hold never exceeds what is left of the
budget, so they cannot overspend it together, without asking anyone while they serve.

An *issue* is one dealing-out of a key's budget: what was left at that moment, in equal shares. With a new period,
or another amount, there is a new issue. A grant is counted once, when a worker first hears of an issue, and stays
the same as long as each of its snapshots has it: what the worker has spent since is its own affair. A worker that
is new, or hears of an issue again, begins with a share from which all that was spent since the issue is taken.

Calls that are under way when an issue changes are borne by the new share of the worker that runs them; one that
costs more than that share goes beyond the budget by the difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
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
    """A worker's share in nano-dollars, negative when more was spent, and the number of its issue."""

    amount: int
    issue: int


class _Issue(msgspec.Struct, frozen=True):
    """One dealing-out; `base` is what had been spent in the period by then."""

    number: int
    amount: int
    epoch: int
    base: int


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

    def __init__(self, workers: int, spent: Callable[[str, Term], int], first: int = 0) -> None:
        """`first` is what issues are numbered from: workers may know some of an earlier control process."""
        self._workers = workers
        self._spent = spent
        self._issues: dict[str, _Issue] = {}
        """The last one by key."""
        self._count = first
        self._taken: dict[int, dict[int, int]] = {}
        """By worker and issue: what is taken off its share, for the keys of its last snapshot."""

    def grant(self, worker: int, allowances: Iterable[Allowance], now: float) -> dict[str, Grant]:
        """The worker's shares by key id, for a snapshot that it will be sent with exactly these keys.

        A worker forgets what it knew of a key that is not in its snapshot, so the same is forgotten here.
        """
        known = self._taken.get(worker, {})
        taken: dict[int, int] = {}
        grants = {}
        for allowance in allowances:
            issue = self._issue(allowance, now)
            number = issue.number
            if number in known:
                taken[number] = known[number]
            else:
                # Nobody can tell how much of what was spent since came out of this worker's share, so all of it
                # does. With one worker that is exact.
                taken[number] = max(0, self._spent(allowance.key_id, allowance.term) - issue.base)
            share = max(0, issue.amount - issue.base) // self._workers
            grants[allowance.key_id] = Grant(share - taken[number], number)
        self._taken[worker] = taken
        return grants

    def forget(self, worker: int) -> None:
        """A worker is gone; its successor is granted what is left."""
        self._taken.pop(worker, None)

    def _issue(self, allowance: Allowance, now: float) -> _Issue:
        """The key's issue in force; a new one when its period or amount is another."""
        epoch = epoch_of(allowance.term, now)
        issue = self._issues.get(allowance.key_id)
        if issue is None or (issue.amount, issue.epoch) != (allowance.amount, epoch):
            self._count += 1
            base = self._spent(allowance.key_id, allowance.term)
            issue = self._issues[allowance.key_id] = _Issue(self._count, allowance.amount, epoch, base)
        return issue
