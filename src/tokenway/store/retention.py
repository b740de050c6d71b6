"""What the ledger keeps, and for how long: entries, minutes and hours go, days and balances stay.

Dropping goes in small steps, each a transaction of its own, so that the ingest waits for none of them. Before the first
row goes it is written down from when on all are kept: what is older cannot be counted any more, and whoever compares
sums with entries (`store.verify`) or answers from them looks only at what is newer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from tokenway.store.database import Database
from tokenway.store.schema import attempts, exchanges, reservations, rollups, run_agents, runs, settings, spend
from tokenway.store.sums import DAY, HOUR, MINUTE

PAGE: Final = 1_000
"""Exchanges that are looked at in a step, and buckets of roll-ups that are dropped in one."""
BUDGET_SECONDS: Final = 2 * DAY
"""For how long budgets need hours, which they add up for the day that lies just behind."""
_PREFIX: Final = "kept."


class Kept(msgspec.Struct, frozen=True):
    """From when on all entries, all minutes and all hours are there (Unix time); 0.0 for ever."""

    entries: float = 0.0
    minutes: float = 0.0
    hours: float = 0.0


def kept_since(connection: sa.Connection) -> Kept:
    """What is there."""
    query = sa.select(settings.c.key, settings.c.value).where(settings.c.key.like(_PREFIX + "%"))
    return Kept(**{key.removeprefix(_PREFIX): float(value) for key, value in connection.execute(query)})


class Ages(msgspec.Struct, frozen=True):
    """How many seconds each is kept; None for ever."""

    entries: float | None = None
    minutes: float | None = None
    hours: float | None = None


class SqlRetention:
    """Drops what is older than `ages`. `drop_entries` is a database's own way to drop all entries before a moment."""

    def __init__(
        self,
        database: Database,
        clock: Callable[[], float],
        ages: Ages,
        *,
        drop_entries: Callable[[float], object] | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._ages = ages
        self._drop_entries = drop_entries
        self._page_after: str | None = None
        """The id up to which entries were looked at; None when all were."""
        self._day = -1

    def step(self) -> bool:
        """Does a little; whether there is more to do today."""
        today = int(self._clock() // DAY)
        if today != self._day:
            self._day, self._page_after = today, ""
            self._promise()
        kept = self._kept()
        if self._page_after is not None:
            self._page(kept.entries)
            return True
        return self._drop_buckets(MINUTE, kept.minutes) or self._drop_buckets(HOUR, kept.hours)

    def run(self) -> None:
        """Does all that there is to do."""
        while self.step():
            pass

    def _kept(self) -> Kept:
        with self._database.read() as connection:
            return kept_since(connection)

    def _promise(self) -> None:
        """Writes down what is kept from now on: whole days, and never more than was promised before."""
        before = self._kept()
        with self._database.write() as connection:
            for name in Kept.__struct_fields__:
                age = getattr(self._ages, name)
                since = 0.0 if age is None else max(0.0, (self._clock() - age) // DAY * DAY)
                if since > getattr(before, name):
                    connection.execute(settings.delete().where(settings.c.key == _PREFIX + name))
                    connection.execute(settings.insert().values(key=_PREFIX + name, value=repr(since)))

    def _page(self, since: float) -> None:
        """Looks at the next entries, in the order of their ids, and drops what is too old."""
        if self._drop_entries is not None:
            self._drop_entries(since)
            ids: list[Any] = []
        else:
            ids = self._drop_page(since)
        if len(ids) < PAGE:
            self._page_after = None
            self._drop_runs(since)
        else:
            self._page_after = ids[-1]

    def _drop_page(self, since: float) -> list[str]:
        x = exchanges.c
        page = sa.select(x.id, x.at).where(x.id > self._page_after).order_by(x.id).limit(PAGE)
        with self._database.read() as connection:
            rows = connection.execute(page).all()
        old = [row.id for row in rows if row.at < since]
        if old:
            with self._database.write() as connection:
                connection.execute(attempts.delete().where(attempts.c.exchange.in_(old)))
                connection.execute(exchanges.delete().where(x.id.in_(old)))
        return [row.id for row in rows]

    def _drop_runs(self, since: float) -> None:
        """Runs that ended before the entries that are kept, and reservations that expired before them."""
        r = reservations.c
        over = sa.select(runs.c.key, runs.c.run).where(runs.c.ended < since).limit(PAGE)
        with self._database.write() as connection:
            connection.execute(reservations.delete().where(r.expired.is_not(None), r.at < since))
            while places := connection.execute(over).all():
                for key, run in places:
                    for table in (run_agents, runs):
                        connection.execute(table.delete().where(table.c.key == key, table.c.run == run))

    def _drop_buckets(self, grain: int, since: float) -> bool:
        """Drops the oldest buckets of this grain; whether there were any."""
        table, end = rollups.c, int(since // grain)
        oldest = sa.select(sa.func.min(table.bucket)).where(table.grain == grain)
        with self._database.write() as connection:
            first = connection.execute(oldest).scalar()
            if first is None or first >= end:
                return False
            last = min(first + PAGE, end)
            connection.execute(rollups.delete().where(table.grain == grain, table.bucket < last))
            if grain == HOUR:
                # What limits that roll over a day count, however short hours are kept.
                needed = int((self._clock() - BUDGET_SECONDS) // HOUR)
                old = spend.c.bucket < min(last, needed)
                connection.execute(spend.delete().where(spend.c.grain == grain, old))
        return True
