"""Questions to the ledger: what was used, by whom, at what price and speed.

Sums of tokens and money come from the entries, counts and medians from the exchanges. Grouped by endpoint,
tokens and money stand with the endpoint that made them, and a request with the one that answered it.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from msgspec.structs import astuple
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from tokenway.metering.ledger import Settlement
from tokenway.model.money import NANO_PER_USD
from tokenway.model.usage import BUCKETS, PIECES, Usage
from tokenway.store.base import StoreError
from tokenway.store.database import Database
from tokenway.store.schema import (
    EXPIRED_ATTEMPT,
    INLINE_BUCKETS,
    attempts,
    entries,
    exchanges,
    kinds,
    spend,
)
from tokenway.store.sums import DAY

DIMENSIONS: Final = ("model", "key", "project", "run", "endpoint", "day")
CLIENT_GONE: Final = 499
"""The status of an exchange whose client left before the answer was whole."""

_ANSWERED: Final = (Settlement.DELIVERED.value, Settlement.UPSTREAM_BILLED.value)
"""How attempts are settled that a provider worked for to the end, or until the caller left."""
_FETCHED: Final = 1_000
"""Rows that are fetched at a time."""
_EPOCH: Final = date(1970, 1, 1)


class _UnixDay(FunctionElement[int]):
    """The day of a Unix time. SQLite cuts a time where it becomes a whole number, PostgreSQL would round it."""

    name = "unix_day"
    type = sa.BigInteger()
    inherit_cache = True


@compiles(_UnixDay)
def _unix_day(element: _UnixDay, compiler: SQLCompiler, **options: Any) -> str:
    time = compiler.process(element.clauses, **options)
    return f"CAST({time} AS BIGINT) / {DAY}"


@compiles(_UnixDay, "postgresql")
def _unix_day_in_postgres(element: _UnixDay, compiler: SQLCompiler, **options: Any) -> str:
    time = compiler.process(element.clauses, **options)
    return f"CAST(floor({time}) AS BIGINT) / {DAY}"


_DAY: Final = _UnixDay(exchanges.c.at)

Group = tuple[str, ...]


class UsageRow(msgspec.Struct):
    """One line of a usage report.

    `group` has a text for each dimension asked for. `usage` are the summed buckets, `charged` what keys pay and
    `cost` what providers bill, in nano-dollars. `ttft` is in seconds and `output_speed` in tokens per second,
    both medians, None when nothing was measured. `unmetered` attempts were delivered, or are billed by the provider,
    and gave no usage. `unpriced` ones gave usage, and nobody knows what it costs.
    """

    group: Group
    requests: int = 0
    attempts: int = 0
    expired: int = 0
    slow: int = 0
    unmetered: int = 0
    unpriced: int = 0
    charged: int = 0
    cost: int = 0
    usage: Usage = Usage()
    ttft: float | None = None
    output_speed: float | None = None


class KeyUsage(msgspec.Struct):
    """What a key has spent, in nano-dollars: in all, and in this UTC day, week (from Monday) and month."""

    requests: int = 0
    total: int = 0
    day: int = 0
    week: int = 0
    month: int = 0
    last_used: float | None = None


class SqlUsage:
    """Reads the ledger in a database."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def report(self, by: Sequence[str] = ("model",), *, since: float | None = None) -> list[UsageRow]:
        """Usage grouped by `by` (see DIMENSIONS) since a Unix time, the most expensive group first.

        Raises StoreError for a dimension that does not exist.
        """
        unknown = [name for name in by if name not in DIMENSIONS]
        if unknown:
            raise StoreError(f"cannot group by {unknown[0]!r}; choose from {', '.join(DIMENSIONS)}")
        rows: dict[Group, UsageRow] = {}
        with self._database.read() as connection:
            for query in (_inline_sums(by, since), _apart_sums(by, since)):
                for group, (attempts, unmetered, unpriced, charged, cost, *buckets) in _grouped(
                    connection, query, len(by)
                ):
                    row = rows.setdefault(group, UsageRow(group))
                    row.attempts += attempts or 0
                    row.unmetered += unmetered or 0
                    row.unpriced += unpriced or 0
                    row.charged += charged or 0
                    row.cost += cost or 0
                    row.usage = Usage(*(had + (new or 0) for had, new in zip(astuple(row.usage), buckets, strict=True)))
            for group, (requests, expired, slow) in _grouped(connection, _counts(by, since), len(by)):
                row = rows.setdefault(group, UsageRow(group))
                row.requests, row.expired, row.slow = requests, expired or 0, slow or 0
            for group, (firsts, speeds) in _measured(connection, by, since).items():
                rows[group].ttft, rows[group].output_speed = _median(firsts), _median(speeds)
        return sorted(rows.values(), key=lambda row: (-row.charged, -row.requests, row.group))

    def generation(self, exchange: str, key: str) -> dict[str, Any] | None:
        """One exchange of this key in the fields of OpenRouter's `GET /generation`; None when there is none.

        Money is in dollars and durations in milliseconds, as there. What is not known is None, and what no
        provider reported is not invented.
        """
        found = sa.select(exchanges, kinds).join(kinds, kinds.c.id == exchanges.c.kind)
        lines = sa.select(entries).where(entries.c.exchange == exchange).order_by(entries.c.attempt)
        with self._database.read() as connection:
            row = connection.execute(found.where(exchanges.c.id == exchange, kinds.c.key == key)).mappings().first()
            if row is None:
                return None
            return _generation(dict(row), [dict(line) for line in connection.execute(lines).mappings()])

    def key_usage(self, key: str) -> KeyUsage:
        """What this key has spent."""
        return self._spent(spend.c.subject == key).get(key, KeyUsage())

    def spent(self) -> dict[str, KeyUsage]:
        """What each key has spent that was ever used."""
        return self._spent(sa.true())

    def _spent(self, condition: sa.ColumnElement[bool]) -> dict[str, KeyUsage]:
        today = datetime.fromtimestamp(self._clock(), UTC).date()
        day = (today - _EPOCH).days
        week = day - today.weekday()
        month = (today.replace(day=1) - _EPOCH).days
        used: dict[str, KeyUsage] = {}
        with self._database.read() as connection:
            table = spend.c
            by_day = sa.select(table.subject, table.bucket, table.calls, table.charged, table.last_used)
            by_day = by_day.where(table.scope == "key", table.grain == DAY, condition)
            for key, at, requests, charged, last in connection.execute(by_day):
                row = used.setdefault(key, KeyUsage())
                row.requests += requests
                row.total += charged
                row.day += charged if at >= day else 0
                row.week += charged if at >= week else 0
                row.month += charged if at >= month else 0
                row.last_used = max(last, row.last_used or last)
        return used


def _grouped(connection: sa.Connection, query: sa.Select[Any], width: int) -> Iterable[tuple[Group, tuple[Any, ...]]]:
    for row in connection.execute(query):
        # PostgreSQL's sums are of a type of their own, so that they cannot overflow.
        yield tuple(_text(value) for value in row[:width]), tuple(value and int(value) for value in row[width:])


def _text(value: object) -> str:
    if isinstance(value, int):
        return (_EPOCH + timedelta(days=value)).isoformat()
    return "" if value is None else str(value)


def _raw(by: Sequence[str], since: float | None, *values: sa.ColumnElement[Any]) -> sa.Select[Any]:
    """`values` of the exchanges since then, with the kind and whatever else it takes to group them by `by`.

    Exchanges are first grouped by the number of their kind, because numbers are compared faster than texts, and
    there are few kinds.
    """
    columns: list[sa.ColumnElement[Any]] = [exchanges.c.kind]
    if "run" in by:
        columns.append(exchanges.c.run)
    if "day" in by:
        columns.append(_DAY.label("day"))
    query = sa.select(*columns, *values).select_from(exchanges)
    return query if since is None else query.where(exchanges.c.at >= since)


def _by_kind(by: Sequence[str], since: float | None, **sums: sa.ColumnElement[Any]) -> sa.Subquery:
    """`sums` over the exchanges of each kind."""
    query = _raw(by, since, *(value.label(name) for name, value in sums.items()))
    return query.group_by(*query.selected_columns[: len(query.selected_columns) - len(sums)]).subquery()


def _of_kind(by: Sequence[str], part: sa.FromClause) -> list[sa.ColumnElement[Any]]:
    """The columns to group by: of the subquery where it has them, else of its kind."""
    return [(part.c[name] if name in {"run", "day"} else kinds.c[name]) for name in by]


def _group(by: Sequence[str], part: sa.Subquery, *values: sa.ColumnElement[Any]) -> sa.Select[Any]:
    groups = _of_kind(by, part)
    query = sa.select(*groups, *values).join_from(part, kinds, kinds.c.id == part.c.kind)
    return query.group_by(*groups) if groups else query


def _inline_sums(by: Sequence[str], since: float | None) -> sa.Select[Any]:
    """Per group, of attempts in their exchange's row: all, unmetered (none), unpriced, money, every bucket."""
    part = _by_kind(
        by,
        since,
        many=sa.func.count(),
        priced=sa.func.count(exchanges.c.cost),
        charged=sa.func.sum(exchanges.c.charged),
        cost=sa.func.sum(exchanges.c.cost),
        **{name: sa.func.sum(exchanges.c[name]) for name in INLINE_BUCKETS},
    )
    buckets = (sa.func.sum(part.c[name]) if name in INLINE_BUCKETS else sa.literal(0) for name in BUCKETS)
    sums = (sa.func.sum(part.c.charged), sa.func.sum(part.c.cost), *buckets)
    unpriced = sa.func.sum(part.c.many - part.c.priced)
    query = _group(by, part, sa.func.sum(part.c.many), sa.literal(0), unpriced, *sums)
    return query.where(kinds.c.inline_attempt.is_not(None))


def _apart_sums(by: Sequence[str], since: float | None) -> sa.Select[Any]:
    """The same of attempts with a row of their own, whose endpoint is the attempt's; without absurd usage."""
    is_attempt = attempts.c.attempt != EXPIRED_ATTEMPT
    is_believed = attempts.c.absurd == 0
    is_unmetered = attempts.c.settlement.in_(_ANSWERED) & attempts.c.input_uncached.is_(None)
    is_unpriced = attempts.c.input_uncached.is_not(None) & attempts.c.cost.is_(None) & is_believed
    own = {"run": exchanges.c.run, "day": _DAY, "endpoint": attempts.c.endpoint}
    groups = [own[name] if name in own else kinds.c[name] for name in by]
    query = (
        sa.select(
            *groups,
            sa.func.sum(sa.case((is_attempt, 1), else_=0)),
            sa.func.sum(sa.case((is_unmetered, 1), else_=0)),
            sa.func.sum(sa.case((is_unpriced, 1), else_=0)),
            sa.func.sum(attempts.c.charged),
            sa.func.sum(attempts.c.cost),
            *(sa.func.sum(sa.case((is_believed, attempts.c[name]))) for name in BUCKETS),
        )
        .join_from(attempts, exchanges, exchanges.c.id == attempts.c.exchange)
        .join(kinds, kinds.c.id == exchanges.c.kind)
    )
    if since is not None:
        query = query.where(exchanges.c.at >= since)
    return query.group_by(*groups) if groups else query


def _counts(by: Sequence[str], since: float | None) -> sa.Select[Any]:
    """Per group: requests, those that expired, those that were slow."""
    part = _by_kind(by, since, many=sa.func.count())
    is_expired = kinds.c.settlement == Settlement.EXPIRED.value
    return _group(
        by,
        part,
        sa.func.sum(part.c.many),
        sa.func.sum(sa.case((is_expired, part.c.many), else_=0)),
        sa.func.sum(kinds.c.slow * part.c.many),
    )


def _measured(
    connection: sa.Connection, by: Sequence[str], since: float | None
) -> dict[Group, tuple[array[float], array[float]]]:
    """Per group: every first-token time and every output speed.

    A median needs all values. Eight bytes each in memory are cheaper than the windowed sort that SQL has for it.
    """
    names = [name for name in by if name not in {"run", "day"}]
    labels = {
        number: dict(zip(names, values, strict=True))
        for number, *values in connection.execute(sa.select(kinds.c.id, *(kinds.c[name] for name in names)))
    }
    query = _raw(by, since, exchanges.c.ttft, exchanges.c.output_speed).where(exchanges.c.ttft.is_not(None))
    keys = [name for name in ("run", "day") if name in by]
    raw: dict[Any, tuple[array[float], array[float]]] = {}
    for rows in connection.execute(query).partitions(_FETCHED):
        for row in rows:
            key = row[:-2]
            both = raw.get(key)
            if both is None:
                both = raw[key] = (array("d"), array("d"))
            both[0].append(row[-2])
            if row[-1] is not None:
                both[1].append(row[-1])
    found: dict[Group, tuple[array[float], array[float]]] = {}
    for (kind, *rest), (firsts, speeds) in raw.items():
        values = labels[kind] | dict(zip(keys, rest, strict=True))
        all_firsts, all_speeds = found.setdefault(tuple(_text(values[name]) for name in by), (array("d"), array("d")))
        all_firsts.extend(firsts)
        all_speeds.extend(speeds)
    return found


def _median(values: array[float]) -> float | None:
    """The lower median; None when there is no value."""
    return sorted(values)[(len(values) - 1) // 2] if values else None


def _generation(row: dict[str, Any], lines: list[dict[str, Any]]) -> dict[str, Any]:
    answer = next((line for line in lines if line["settlement"] in _ANSWERED), None)
    usage = None
    if answer is not None and answer["input_uncached"] is not None and not answer["absurd"]:
        usage = Usage(*(answer[name] for name in BUCKETS))
    costs = [line["cost"] for line in lines if line["cost"] is not None]
    ttft, duration = row["ttft"], row["duration"]
    charged = row["charged"] / NANO_PER_USD
    started = datetime.fromtimestamp(row["at"] - (duration or 0.0), UTC)
    prompt = usage.input_tokens if usage else None
    completion = usage.output_tokens if usage else None
    return {
        "id": row["id"],
        "request_id": row["id"],
        "upstream_id": None,
        "session_id": row["run"],
        "api_type": row["operation"],
        "model": row["model"],
        "provider_name": row["endpoint"].partition("/")[0] or None,
        "endpoint": row["endpoint"] or None,
        "router": None,
        "streamed": bool(row["stream"]),
        "cancelled": row["settlement"] == Settlement.UPSTREAM_BILLED.value or row["status"] == CLIENT_GONE,
        "created_at": started.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "finish_reason": row["finish_reason"] or None,
        "native_finish_reason": row["finish_reason"] or None,
        "latency": _milliseconds(duration if ttft is None else ttft),
        "generation_time": _milliseconds(duration if ttft is None or duration is None else duration - ttft),
        "moderation_latency": None,
        "tokens_prompt": prompt,
        "tokens_completion": completion,
        "native_tokens_prompt": prompt,
        "native_tokens_completion": completion,
        "native_tokens_reasoning": usage.reasoning if usage else None,
        "native_tokens_cached": usage.cache_read if usage else None,
        "native_tokens_completion_images": usage.image_out if usage else None,
        "num_media_completion": usage.images or None if usage else None,
        "pieces": {name: count for name in PIECES if (count := getattr(usage, name))} if usage else None,
        "usage": charged,
        "total_cost": charged,
        "upstream_inference_cost": sum(costs) / NANO_PER_USD if costs else None,
        "cache_discount": None,
        "is_byok": False,
        "status": row["status"],
        "error_type": row["error_type"] or None,
        "settlement": row["settlement"],
        "service_tier": answer["service"] or None if answer is not None else None,
        "output_tps": row["output_speed"],
        "provider_responses": [
            {
                "provider_name": line["endpoint"].partition("/")[0],
                "endpoint": line["endpoint"],
                "status": line["status"],
                "settlement": line["settlement"],
                "fault": line["fault"] or None,
            }
            for line in lines
            if line["settlement"] != Settlement.EXPIRED.value
        ],
    }


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
