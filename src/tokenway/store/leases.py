"""Leases of budgets, in the database that has the books: hard, however many machines and threads ask at once.

At every moment, for each period of a limit:

    what was spent + the sum over holders of max(0, granted - consumed) <= amount

`spent` and `consumed` rise together, in the transaction that takes a settlement into the ledger; `granted` rises here,
by at most what is left of the amount. Money that was spent without a lease, by calls that began before there was the
limit, is the only thing that can go beyond, and then nothing is lent.

Who lends first takes a lock: SQLite's own for writers, elsewhere the row of nobody in `leases`, one for each period of a
limit. Locks and then rows are taken in the order of their keys, so two machines wait for each other in one
order and never in a circle. What a limit's sums are is read in one statement, which sees one state of the database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from tokenway.metering.terms import Period, buckets_of, chunk, next_bucket, period_of
from tokenway.model.limits import Measure
from tokenway.model.usage import BUCKETS
from tokenway.store.database import Database
from tokenway.store.granting import Ask, Given, Lent
from tokenway.store.schema import balances, leases, reservations, runs, spend

CREDITS: Final = "credits:"
"""What the id of a prepaid project's limit begins with: its amount is all that was ever paid into the wallet."""
WALLET: Final = "wallet:"
NOBODY: Final = ""
"""The holder in whose name a limit's period is locked; it is never granted anything."""
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
        is_sqlite = database.engine.dialect.name == "sqlite"
        self._insert: Callable[..., Any] = sqlite.insert if is_sqlite else postgresql.insert
        self._needs_locks = not is_sqlite

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
                rows = [dict(zip("lpha", (*place, sums[place]), strict=True)) for place in sorted(sums)]
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

    def _lock(self, connection: sa.Connection, places: set[Place]) -> None:
        """Makes everybody else wait who lends of these, until the transaction ends."""
        if self._needs_locks and places:
            rows = [_row(limit, period, NOBODY, NOBODY, 0) for limit, period in sorted(places)]
            lock = self._insert(leases).values(rows)
            # A row that is there is written again, which locks it; one that was deleted meanwhile is made anew.
            connection.execute(lock.on_conflict_do_update(index_elements=_KEY, set_={"granted": 0}))

    def _grant(self, connection: sa.Connection, grants: dict[tuple[str, int, str], int]) -> None:
        if grants:
            rows = [_row(*place, self._node, grants[place]) for place in sorted(grants)]
            add = self._insert(leases)
            added = {"granted": leases.c.granted + add.excluded.granted}
            connection.execute(add.on_conflict_do_update(index_elements=_KEY, set_=added), rows)


_KEY: Final = ("limit_id", "period", "holder")
_TAKE_BACK: Final = (
    leases.update()
    .where(
        leases.c.limit_id == sa.bindparam("l"),
        leases.c.period == sa.bindparam("p"),
        leases.c.holder == sa.bindparam("h"),
    )
    .values(
        granted=sa.case((leases.c.granted > sa.bindparam("a"), leases.c.granted - sa.bindparam("a")), else_=0),
    )
)


def _row(limit: str, period: int, holder: str, node: str, granted: int) -> dict[str, Any]:
    return {"limit_id": limit, "period": period, "holder": holder, "node": node, "granted": granted, "consumed": 0}


def _left() -> sa.ColumnElement[int]:
    """What a holder may still spend."""
    return sa.case((leases.c.granted > leases.c.consumed, leases.c.granted - leases.c.consumed), else_=0)


def _account(connection: sa.Connection, ask: Ask, place: Place, now: float) -> _Account:
    """What a limit's period has, and who holds what of it."""
    parts: list[sa.Select[Any]] = [
        sa.select(sa.literal(_HELD).label("part"), leases.c.holder, _left().label("value")).where(
            leases.c.limit_id == place[0], leases.c.period == place[1]
        ),
        _spent(ask, now),
    ]
    if ask.limit.id.startswith(CREDITS):
        wallet = balances.c.account == WALLET + ask.limit.subject
        parts.append(_part(_AMOUNT, sa.func.sum(balances.c.credits)).where(wallet))
    account = _Account(ask.limit.amount)
    for part, holder, value in connection.execute(sa.union_all(*parts)):
        if part == _HELD:
            account.held[holder] = int(value)
        elif part == _SPENT:
            account.spent = int(value)
        else:
            account.amount = int(value)
    return account


def _part(part: int, value: sa.ColumnElement[Any]) -> sa.Select[Any]:
    zero = sa.cast(0, sa.BigInteger)
    columns: list[sa.ColumnElement[Any]] = [sa.literal(part).label("part"), sa.literal(NOBODY).label("holder")]
    return sa.select(*columns, sa.func.coalesce(value, zero).label("value"))


def _spent(ask: Ask, now: float) -> sa.Select[Any]:
    """What was spent of a limit, in whose period and by whomever."""
    limit = ask.limit
    if limit.per_run:
        total = sum((runs.c[name] for name in _RUN_COLUMNS[limit.measure]), start=sa.literal(0))
        return _part(_SPENT, sa.func.sum(total)).where(runs.c.key == ask.key_id, runs.c.run == ask.run)
    total = sum((spend.c[name] for name in _COLUMNS[limit.measure]), start=sa.literal(0))
    buckets = buckets_of(limit, now)
    query = _part(_SPENT, sa.func.sum(total)).where(
        spend.c.scope == limit.scope.value,
        spend.c.subject == limit.subject,
        spend.c.grain == buckets.grain,
        spend.c.bucket >= buckets.first,
    )
    return query if buckets.end is None else query.where(spend.c.bucket < buckets.end)


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


def _lent(ask: Ask, period: Period, amount: int, account: _Account, now: float) -> Lent:
    elsewhere = account.elsewhere(ask.holder)
    wait = 0.0
    if amount < ask.least:
        if elsewhere:
            wait = AGAIN_SECONDS
        elif ask.limit.rolling:
            wait = next_bucket(ask.limit, now) - now
    return Lent(amount, max(0, account.remaining), period.number, period.begins, period.ends, wait, elsewhere)
