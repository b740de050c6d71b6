"""Leases of budgets, in the database that has the books: hard, however many machines and threads ask at once.

At every moment, for each period of a limit:

    what was spent + the sum over holders of max(0, granted - consumed) <= amount

`spent` and `consumed` rise together, in the transaction that takes a settlement into the ledger; `granted` rises here,
by at most what is left of the amount. Money that was spent without a lease, by calls that began before there was the
limit, is the only thing that can go beyond, and then nothing is lent.

Who lends first takes a lock: SQLite's own for writers, elsewhere the row of nobody in `leases`, one for each period of
a limit. Locks and then rows are taken in the order of their keys, so two machines wait for each other in one
order and never in a circle. What a limit's sums are is read in one statement, which sees one state of the database.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import sqlalchemy as sa

from tokenway.metering.terms import Period, buckets_of, chunk, next_bucket, period_of
from tokenway.model.limits import Measure
from tokenway.model.usage import BUCKETS
from tokenway.store.database import Database
from tokenway.store.granting import Ask, Given, Lent
from tokenway.store.schema import leases, reservations
from tokenway.store.sums import WALLET

NOBODY: Final = ""
"""The holder in whose name a limit's period is locked; it is never granted anything.

Its machine is `-`, which no machine is called: not the empty one either, whose rows each takes for its own.
"""
AGAIN_SECONDS: Final = 0.25
"""When asking again may help as long as others hold something: they give back what they do not use."""

_OUTPUT: Final = frozenset({"output_text", "reasoning", "audio_out", "image_out"})
_NOT_TOKENS: Final = frozenset({"requests", "searches", "images", "sound_ms", "characters"})
_RUN_INPUT: Final = tuple(name for name in BUCKETS if name not in _OUTPUT | _NOT_TOKENS)
_RUN_OUTPUT: Final = tuple(name for name in BUCKETS if name in _OUTPUT)
_HELD, _SPENT, _AMOUNT = range(3)
Place = tuple[str, int]
"""The id of a limit, or of one run's, and a period."""


class _Account:
    """What is known of a limit's period while a transaction lends of it."""

    def __init__(self, amount: int) -> None:
        self.amount = amount
        self.spent = 0
        self.held: dict[str, int] = {}

    @property
    def remaining(self) -> int:
        return self.amount - self.spent - sum(self.held.values())

    def elsewhere(self, holder: str) -> int:
        return sum(held for other, held in self.held.items() if other != holder)


class SqlLeases:
    """The leases of all machines. `node` is this one, whose holders are lent to here."""

    def __init__(self, database: Database, node: str, clock: Callable[[], float]) -> None:
        self._database = database
        self._node = node
        self._clock = clock
        # SQLite's writers are alone from their first word on.
        self._needs_locks = database.engine.dialect.name != "sqlite"

    def lend(self, asks: Sequence[Ask]) -> list[Lent]:
        """Lends what is asked for, in the order of the asks, in one transaction. Raises what the database does."""
        now = self._clock()
        periods = [period_of(ask.limit, now) for ask in asks]
        places = [(ask.id, period.number) for ask, period in zip(asks, periods, strict=True)]
        accounts: dict[Place, _Account] = {}
        grants: dict[tuple[str, int, str], int] = {}
        lent = []
        with self._database.add() as connection:
            self._lock(connection, set(places))
            for ask, period, place in zip(asks, periods, places, strict=True):
                account = accounts.get(place)
                if account is None:
                    account = accounts[place] = _account(connection, ask, place, now)
                amount = chunk(account.amount, account.remaining, ask.least, ask.holders)
                if amount:
                    account.held[ask.holder] = account.held.get(ask.holder, 0) + amount
                    grants[*place, ask.holder] = grants.get((*place, ask.holder), 0) + amount
                lent.append(_lent(ask, period, amount, account, now))
            self._grant(connection, grants)
        return lent

    def take_back(self, given: Iterable[Given]) -> None:
        """Takes back what holders give; once only, so it raises what the database does only when nothing was done.

        When the connection breaks while it commits, nobody knows; then the lease may stay the holder's until its end.
        """
        sums: dict[tuple[str, int, str], int] = {}
        for each in given:
            place = (each.id, each.period, each.holder)
            sums[place] = sums.get(place, 0) + max(0, each.amount)
        if not sums:
            return
        is_done = False
        try:
            with self._database.add() as connection:
                names = ("limit", "period", "holder", "amount")
                rows = [dict(zip(names, (*place, sums[place]), strict=True)) for place in sorted(sums)]
                connection.execute(_TAKE_BACK, rows)
                is_done = True
        except Exception:
            if not is_done:
                raise

    def release(self, holder: str) -> None:
        """A holder is gone, and all that it has journaled is in the ledger: what it has not spent is free again."""
        with self._database.add() as connection:
            connection.execute(leases.delete().where(leases.c.holder == holder, leases.c.holder != NOBODY))

    def holders(self) -> set[str]:
        """Whom this machine has lent to."""
        query = sa.select(leases.c.holder).where(leases.c.node == self._node, leases.c.holder != NOBODY).distinct()
        with self._database.read() as connection:
            return set(connection.execute(query).scalars())

    def release_others(self, kept: Iterable[str]) -> int:
        """Frees what this machine's holders have but those that still have a journal; how many leases that were.

        For what was lent in the moment in which its holder died, or to one whose journal somebody has deleted.
        """
        mine = (leases.c.node == self._node, leases.c.holder.not_in([NOBODY, *sorted(kept)]))
        with self._database.add() as connection:
            return int(connection.execute(leases.delete().where(*mine)).rowcount)

    def release_lost(self, nodes: Iterable[str]) -> int:
        """Frees what holders on machines have that are given up; how many leases that were.

        Not those whose reservations are still open: what these come to is not in the ledger yet.
        """
        is_open = sa.exists().where(reservations.c.owner == leases.c.holder, reservations.c.expired.is_(None))
        lost = leases.delete().where(leases.c.node.in_(sorted(nodes)), leases.c.holder != NOBODY, ~is_open)
        with self._database.add() as connection:
            return int(connection.execute(lost).rowcount)

    def prune(self) -> int:
        """Drops this machine's leases that are spent to the end, and the locks of what nobody holds; how many."""
        key = (leases.c.limit_id, leases.c.period, leases.c.holder)
        query = sa.select(*key).where(leases.c.node == self._node, leases.c.granted <= leases.c.consumed).order_by(*key)
        other = leases.alias()
        same = (other.c.limit_id == leases.c.limit_id, other.c.period == leases.c.period)
        is_held = sa.exists().where(*same, other.c.holder != NOBODY)
        locks = sa.select(*key).where(leases.c.holder == NOBODY, ~is_held).order_by(*key)
        with self._database.read() as connection:
            rows = [*connection.execute(query), *connection.execute(locks)]
        for row in rows:
            # One row in a transaction: who holds a single lock never waits in a circle.
            at = [column == value for column, value in zip(key, row, strict=True)]
            with self._database.add() as connection:
                connection.execute(leases.delete().where(*at, leases.c.granted <= leases.c.consumed))
        return len(rows)

    def outstanding(self, limit: str, period: int) -> int:
        """What all holders together may still spend of a limit's period."""
        held = sa.select(_left()).where(leases.c.limit_id == limit, leases.c.period == period)
        with self._database.read() as connection:
            return sum(int(each) for each in connection.execute(held).scalars())

    def close(self) -> None:
        """Closes the connections, where they are nobody else's."""
        self._database.close()

    def _lock(self, connection: sa.Connection, places: set[Place]) -> None:
        """Makes everybody else wait who lends of these, until the transaction ends."""
        if self._needs_locks and places:
            connection.execute(_LOCK, [{"limit": limit, "period": period} for limit, period in sorted(places)])

    def _grant(self, connection: sa.Connection, grants: dict[tuple[str, int, str], int]) -> None:
        if grants:
            names = ("limit", "period", "holder", "node", "granted")
            rows = [(*place, self._node, grants[place]) for place in sorted(grants)]
            connection.execute(_GRANT, [dict(zip(names, row, strict=True)) for row in rows])


_LOCK: Final = sa.text(
    "INSERT INTO leases (limit_id, period, holder, node, granted, consumed) VALUES (:limit, :period, '', '-', 0, 0) "
    # A row that is there is written again, which locks it; one that is deleted meanwhile is made anew.
    "ON CONFLICT (limit_id, period, holder) DO UPDATE SET granted = 0"
)
_GRANT: Final = sa.text(
    "INSERT INTO leases (limit_id, period, holder, node, granted, consumed) "
    "VALUES (:limit, :period, :holder, :node, :granted, 0) "
    "ON CONFLICT (limit_id, period, holder) DO UPDATE SET granted = leases.granted + excluded.granted"
)
_TAKE_BACK: Final = sa.text(
    "UPDATE leases SET granted = CASE WHEN granted > :amount THEN granted - :amount ELSE 0 END "
    "WHERE limit_id = :limit AND period = :period AND holder = :holder"
)
_COLUMNS: Final = {
    Measure.USD: ("charged", "withheld"),
    Measure.REQUESTS: ("calls",),
    Measure.INPUT_TOKENS: ("input_tokens",),
    Measure.OUTPUT_TOKENS: ("output_tokens",),
    Measure.TOKENS: ("input_tokens", "output_tokens"),
}
_RUN_COLUMNS: Final = {
    **_COLUMNS,
    Measure.INPUT_TOKENS: _RUN_INPUT,
    Measure.OUTPUT_TOKENS: _RUN_OUTPUT,
    Measure.TOKENS: (*_RUN_INPUT, *_RUN_OUTPUT),
}
_LATER_THAN_ALL: Final = 2**31


@functools.cache
def _sums(measure: Measure, *, per_run: bool, is_prepaid: bool) -> sa.TextClause:
    """One statement for what a limit's period has, and who holds what of it. All that is put together is ours."""
    left = "CASE WHEN granted > consumed THEN granted - consumed ELSE 0 END"
    total = " + ".join((_RUN_COLUMNS if per_run else _COLUMNS)[measure])
    held = f"SELECT {_HELD} AS part, holder, {left} AS value FROM leases WHERE limit_id = :limit AND period = :period"  # noqa: S608 - names of ours
    spent = f"SELECT {_SPENT}, '', COALESCE(SUM({total}), 0) FROM "  # noqa: S608 - the same
    if per_run:
        spent += "runs WHERE key = :key AND run = :run"
    else:
        spent += "spend WHERE scope = :scope AND subject = :subject AND grain = :grain "
        spent += "AND bucket >= :first AND bucket < :end"
    parts = [held, spent]
    if is_prepaid:
        taken = "SELECT COALESCE(SUM(amount), 0) FROM transfers WHERE project = :subject AND debit = :wallet"
        credited = f"SELECT {_AMOUNT}, '', COALESCE(SUM(credits), 0) - ({taken}) FROM balances"  # noqa: S608 - the same
        parts.append(f"{credited} WHERE account = :wallet")
    return sa.text(" UNION ALL ".join(parts))


def _account(connection: sa.Connection, ask: Ask, place: Place, now: float) -> _Account:
    """What a limit's period has, and who holds what of it."""
    limit = ask.limit
    is_prepaid = limit.is_credits
    values: dict[str, object] = {"limit": place[0], "period": place[1]}
    if limit.per_run:
        values |= {"key": ask.key_id, "run": ask.run}
    else:
        buckets = buckets_of(limit, now)
        values |= {"scope": limit.scope.value, "subject": limit.subject, "grain": buckets.grain}
        values |= {"first": buckets.first, "end": _LATER_THAN_ALL if buckets.end is None else buckets.end}
    if is_prepaid:
        values["wallet"] = WALLET + limit.subject
    account = _Account(limit.amount)
    statement = _sums(limit.measure, per_run=limit.per_run, is_prepaid=is_prepaid)
    for part, holder, value in connection.execute(statement, values):
        if part == _HELD:
            account.held[holder] = int(value)
        elif part == _SPENT:
            account.spent = int(value)
        else:
            account.amount = int(value)
    return account


def _left() -> sa.ColumnElement[int]:
    """What a holder may still spend."""
    return sa.case((leases.c.granted > leases.c.consumed, leases.c.granted - leases.c.consumed), else_=0)


def _lent(ask: Ask, period: Period, amount: int, account: _Account, now: float) -> Lent:
    elsewhere = account.elsewhere(ask.holder)
    wait = 0.0
    if amount < ask.least:
        if elsewhere:
            wait = AGAIN_SECONDS
        elif ask.limit.rolling:
            wait = next_bucket(ask.limit, now) - now
    return Lent(amount, max(0, account.remaining), period.number, period.begins, period.ends, wait, elsewhere)
