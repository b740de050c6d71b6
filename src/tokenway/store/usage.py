"""Questions to the ledger: what was used, by whom, at what price and speed.

A report is made of the roll-ups: of whole days where it can, of hours and minutes at its edge. Only what these do not
say comes from the entries: runs, and part of a minute. Grouped by endpoint, tokens and money stand with the
endpoint that made them, and a request with the one that answered it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from tokenway.metering.stamps import mean_speed, mean_ttft
from tokenway.model.limits import Scope
from tokenway.model.usage import BUCKETS, Usage
from tokenway.store.base import StoreError
from tokenway.store.database import Database
from tokenway.store.generation import generation
from tokenway.store.recount import rolled
from tokenway.store.retention import Kept, kept_since
from tokenway.store.schema import SUMS, entries, exchanges, facets, kinds, rollups, spend
from tokenway.store.sums import DAY, HOUR, MINUTE

DIMENSIONS: Final = ("model", "key", "project", "user", "run", "endpoint", "day")

_EPOCH: Final = date(1970, 1, 1)
_COLUMNS: Final = {"user": "user_id"}
"""The names of dimensions whose column is called otherwise."""

Group = tuple[str, ...]
Span = tuple[int, float, float | None]
"""A grain (0 for the entries), and the Unix times that its buckets are of."""


class UsageRow(msgspec.Struct):
    """One line of a usage report.

    `group` has a text for each dimension asked for. `usage` are the summed buckets, `charged` what keys pay and
    `cost` what providers bill, in nano-dollars; `absorbed` is the part of `cost` that nobody is charged for, and
    `withheld` what budgets keep back beyond `charged`. `ttft` is in seconds and `output_speed` in tokens per second,
    means (see `metering.stamps`), None when nothing was measured. `unmetered` attempts were delivered, or are billed by
    the provider, and gave no usage. `unpriced` ones gave usage, and nobody knows what it costs.
    """

    group: Group
    requests: int = 0
    attempts: int = 0
    errors: int = 0
    expired: int = 0
    slow: int = 0
    unmetered: int = 0
    unpriced: int = 0
    charged: int = 0
    withheld: int = 0
    cost: int = 0
    absorbed: int = 0
    usage: Usage = Usage()
    ttft: float | None = None
    output_speed: float | None = None


class Sums(msgspec.Struct):
    """Nano-dollars: in all, and in this UTC day, week (from Monday) and month."""

    total: int = 0
    day: int = 0
    week: int = 0
    month: int = 0


class KeyUsage(Sums):
    """What somebody has spent, and what budgets keep back beyond it."""

    requests: int = 0
    last_used: float | None = None
    withheld: Sums = msgspec.field(default_factory=Sums)


class SqlUsage:
    """Reads the ledger in a database."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def report(
        self,
        by: Sequence[str] = ("model",),
        *,
        since: float | None = None,
        until: float | None = None,
        project: str | None = None,
    ) -> list[UsageRow]:
        """Usage in [since, until) (Unix times) grouped by `by` (see DIMENSIONS), the most expensive group first.

        Where finer sums and entries are not kept any more, it begins with the hour, or day, that `since` is in.
        Raises StoreError for a dimension that does not exist.
        """
        unknown = [name for name in by if name not in DIMENSIONS]
        if unknown:
            raise StoreError(f"cannot group by {unknown[0]!r}; choose from {', '.join(DIMENSIONS)}")
        sums: dict[Group, list[int]] = {}
        with self._database.read() as connection:
            kept = kept_since(connection)
            is_by_run = "run" in by
            for grain, begins, ends in [(0, since or 0.0, until)] if is_by_run else _spans(since or 0.0, until, kept):
                source = _of_rollups(grain, begins, ends) if grain else _of_entries(begins, ends, by_run=is_by_run)
                for group, values in _grouped(connection, source, by, project):
                    known = sums.get(group)
                    sums[group] = values if known is None else [a + b for a, b in zip(known, values, strict=True)]
        rows = [_row(group, values) for group, values in sums.items() if any(values)]
        return sorted(rows, key=lambda row: (-row.charged, -row.requests, row.group))

    def generation(self, exchange: str, key: str) -> dict[str, Any] | None:
        """One exchange of this key in the fields of OpenRouter's `GET /generation`; None when there is none."""
        found = sa.select(exchanges, kinds).join(kinds, kinds.c.id == exchanges.c.kind)
        lines = sa.select(entries).where(entries.c.exchange == exchange).order_by(entries.c.attempt)
        with self._database.read() as connection:
            row = connection.execute(found.where(exchanges.c.id == exchange, kinds.c.key == key)).mappings().first()
            if row is None:
                return None
            return generation(dict(row), [dict(line) for line in connection.execute(lines).mappings()])

    def key_usage(self, key: str) -> KeyUsage:
        """What this key has spent."""
        return self.scope_usage(Scope.KEY, key)

    def scope_usage(self, scope: Scope, subject: str) -> KeyUsage:
        """What a key, project or user has spent, or what was spent on a model."""
        return self._spent(scope, spend.c.subject == subject).get(subject, KeyUsage())

    def spent(self, scope: Scope = Scope.KEY) -> dict[str, KeyUsage]:
        """What each key, or whatever the scope is of, has spent that was ever used."""
        return self._spent(scope, sa.true())

    def _spent(self, scope: Scope, condition: sa.ColumnElement[bool]) -> dict[str, KeyUsage]:
        today = datetime.fromtimestamp(self._clock(), UTC).date()
        day = (today - _EPOCH).days
        week = day - today.weekday()
        month = (today.replace(day=1) - _EPOCH).days
        used: dict[str, KeyUsage] = {}
        with self._database.read() as connection:
            table = spend.c
            by_day = sa.select(table.subject, table.bucket, table.calls, table.charged, table.withheld, table.last_used)
            by_day = by_day.where(table.scope == scope.value, table.grain == DAY, condition)
            for subject, at, requests, charged, withheld, last in connection.execute(by_day):
                row = used.setdefault(subject, KeyUsage())
                row.requests += requests
                for sums, amount in ((row, charged), (row.withheld, withheld)):
                    sums.total += amount
                    sums.day += amount if at >= day else 0
                    sums.week += amount if at >= week else 0
                    sums.month += amount if at >= month else 0
                row.last_used = max(last, row.last_used or last)
        return used


def _spans(
    begins: float, ends: float | None, kept: Kept, grains: Sequence[int] = (DAY, HOUR, MINUTE, 0)
) -> Iterator[Span]:
    """A time in parts: whole days, and at its edges hours, minutes, and entries; what is not kept there is left out.

    With nothing finer to make an edge of, the buckets that it is in count whole.
    """
    kept_from = {HOUR: kept.hours, MINUTE: kept.minutes, 0: kept.entries}
    grain, finer = grains[0], [each for each in grains[1:] if kept_from[each] <= begins]
    if not grain:
        yield 0, begins, ends
    elif not finer:
        yield grain, begins // grain * grain, None if ends is None else -(-ends // grain) * grain
    else:
        first, last = -(-begins // grain) * grain, None if ends is None else ends // grain * grain
        if last is not None and first >= last:
            yield from _spans(begins, ends, kept, finer)
            return
        if begins < first:
            yield from _spans(begins, first, kept, finer)
        yield grain, first, last
        if ends is not None and last is not None and last < ends:
            yield from _spans(last, ends, kept, finer)


def _of_rollups(grain: int, begins: float, ends: float | None) -> sa.Subquery:
    """The roll-ups of a part."""
    table = rollups.c
    day = (table.bucket * grain // DAY).label("day")
    query = sa.select(day, facets, *(table[name] for name in SUMS)).join(facets, facets.c.id == table.facet)
    query = query.where(table.grain == grain, table.bucket >= int(begins // grain))
    return (query if ends is None else query.where(table.bucket < int(ends // grain))).subquery()


def _of_entries(begins: float, ends: float | None, *, by_run: bool) -> sa.Subquery:
    """The same sums of the entries of a part, with the run where it is asked for."""
    extra = (sa.func.coalesce(exchanges.c.run, "").label("run"),) if by_run else ()
    counted = sa.union_all(*rolled(DAY, begins, ends, *extra)).subquery()
    return sa.select(counted.c.bucket.label("day"), *(c for c in counted.c if c.key != "bucket")).subquery()


def _grouped(
    connection: sa.Connection, source: sa.Subquery, by: Sequence[str], project: str | None
) -> Iterator[tuple[Group, list[int]]]:
    """The groups of a source, and their sums in the order of SUMS."""
    groups = [source.c[_COLUMNS.get(name, name)] for name in by]
    query = sa.select(*groups, *(sa.func.coalesce(sa.func.sum(source.c[name]), 0) for name in SUMS))
    if project is not None:
        query = query.where(source.c.project == project)
    for row in connection.execute(query.group_by(*groups) if groups else query):
        # PostgreSQL's sums are of a type of their own, so that they cannot overflow.
        yield tuple(map(_text, row[: len(by)])), [int(value) for value in row[len(by) :]]


def _text(value: object) -> str:
    if isinstance(value, int):
        return (_EPOCH + timedelta(days=value)).isoformat()
    return "" if value is None else str(value)


def _row(group: Group, values: Sequence[int]) -> UsageRow:
    sums = dict(zip(SUMS, values, strict=True))
    usage = Usage(**{name: sums[name] for name in BUCKETS})
    told = {name: sums[name] for name in UsageRow.__struct_fields__ if name in sums and name not in BUCKETS}
    first = mean_ttft(sums["ttft_us"], sums["first_tokens"])
    speed = mean_speed(sums["timed_tokens"], sums["timed_us"])
    return UsageRow(group, sums["calls"], usage=usage, ttft=first, output_speed=speed, **told)
