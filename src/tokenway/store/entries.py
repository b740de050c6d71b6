"""The entries of the ledger, exchange by exchange, in the order of their ids: by day, then by who made them.

A page is a walk along the primary key, so the millionth page is as fast as the first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from tokenway.model.identity import day_of, ids_of_day
from tokenway.model.usage import BUCKETS, Usage
from tokenway.store.database import Database
from tokenway.store.schema import INLINE_BUCKETS, attempts, exchanges, kinds

_IDS_PER_QUERY: Final = 500
_KIND: Final = (
    "key",
    "project",
    "user_id",
    "model",
    "operation",
    "stream",
    "settlement",
    "status",
    "finish_reason",
    "error_type",
    "slow",
)


class EntryFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which exchanges are listed: those that fit everything that is said. `since` is inside, `until` is not."""

    projects: tuple[str, ...] | None = None
    key: str | None = None
    user_id: str | None = None
    model: str | None = None
    endpoint: str | None = None
    run: str | None = None
    settlement: str | None = None
    since: float | None = None
    until: float | None = None


class EntryLine(msgspec.Struct, frozen=True):
    """What one attempt came to; `usage` and `cost` are None where no provider told them."""

    attempt: int
    endpoint: str
    settlement: str
    status: int
    fault: str
    charged: int
    cost: int | None
    usage: Usage | None


class Entry(msgspec.Struct, frozen=True):
    """One exchange with its lines. Money is in nano-dollars, times are in seconds."""

    id: str
    at: float
    run: str | None
    charged: int
    withheld: int
    ttft: float | None
    duration: float | None
    speed: float | None
    key: str
    project: str
    user_id: str
    model: str
    operation: str
    stream: bool
    settlement: str
    status: int
    finish_reason: str
    error_type: str
    slow: bool
    lines: tuple[EntryLine, ...]


class SqlEntries:
    """Reads the entries in a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(
        self, which: EntryFilter, *, after: str | None = None, count: int = 100, newest: bool = True
    ) -> list[Entry]:
        """Exchanges behind the one with the id `after`, the newest days first, or the oldest."""
        order = exchanges.c.id.desc() if newest else exchanges.c.id
        query = (
            sa.select(exchanges, kinds)
            .join(kinds, kinds.c.id == exchanges.c.kind)
            .where(*_conditions(which))
            .order_by(order)
            .limit(count)
        )
        if after is not None:
            query = query.where(exchanges.c.id < after if newest else exchanges.c.id > after)
        # Both tables have an `id`; the exchange's is the one.
        columns = [each for each in query.selected_columns if each is not kinds.c.id]
        with self._database.read() as connection:
            rows = [dict(row) for row in connection.execute(query.with_only_columns(*columns)).mappings()]
            apart = _apart(connection, [row["id"] for row in rows if row["inline_attempt"] is None])
        return [_entry(row, apart) for row in rows]


def _conditions(which: EntryFilter) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    if which.projects is not None:
        found.append(kinds.c.project.in_(which.projects))
    for name in ("key", "user_id", "model", "endpoint", "settlement"):
        value = getattr(which, name)
        if value is not None:
            found.append(kinds.c[name] == value)
    if which.run is not None:
        found.append(exchanges.c.run == which.run)
    # An id begins with the day on which its exchange began, which may be the one before it was admitted.
    if which.since is not None:
        found += [exchanges.c.at >= which.since, exchanges.c.id >= ids_of_day(day_of(which.since) - 1)]
    if which.until is not None:
        found += [exchanges.c.at < which.until, exchanges.c.id < ids_of_day(day_of(which.until) + 1)]
    return found


def _apart(connection: sa.Connection, ids: list[str]) -> dict[str, list[Mapping[str, Any]]]:
    """The attempts that have rows of their own, by exchange."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for start in range(0, len(ids), _IDS_PER_QUERY):
        mine = attempts.c.exchange.in_(ids[start : start + _IDS_PER_QUERY])
        for row in connection.execute(sa.select(attempts).where(mine).order_by(attempts.c.attempt)).mappings():
            found.setdefault(row["exchange"], []).append(dict(row))
    return found


def _entry(row: Mapping[str, Any], apart: Mapping[str, list[Mapping[str, Any]]]) -> Entry:
    kind = {name: row[name] for name in _KIND}
    kind |= {"stream": bool(row["stream"]), "slow": bool(row["slow"])}
    if row["inline_attempt"] is None:
        lines = tuple(_line(each, BUCKETS) for each in apart.get(row["id"], ()))
    else:
        lines = (_line({**row, "attempt": row["inline_attempt"], "fault": "", "absurd": 0}, INLINE_BUCKETS),)
    return Entry(
        id=row["id"],
        at=row["at"],
        run=row["run"],
        charged=row["charged"],
        withheld=row["withheld"] or 0,
        ttft=row["ttft"],
        duration=row["duration"],
        speed=row["output_speed"],
        lines=lines,
        **kind,
    )


def _line(row: Mapping[str, Any], buckets: tuple[str, ...]) -> EntryLine:
    is_told = row["input_uncached"] is not None and not row["absurd"]
    return EntryLine(
        attempt=row["attempt"],
        endpoint=row["endpoint"],
        settlement=row["settlement"],
        status=row["status"],
        fault=row["fault"],
        charged=row["charged"],
        cost=row["cost"],
        usage=Usage(**{name: row[name] for name in buckets}) if is_told else None,
    )
