"""Questions to the ledger: what was used, by whom, at what price and speed.

Sums of tokens and money come from the entries, counts and medians from the exchanges. Grouped by endpoint,
tokens and money stand with the endpoint that made them, and a request with the one that answered it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from tokenway.metering.ledger import Settlement
from tokenway.model.money import NANO_PER_USD
from tokenway.model.usage import BUCKETS, Usage
from tokenway.store.base import StoreError
from tokenway.store.database import Database
from tokenway.store.ledger import SECONDS_PER_DAY
from tokenway.store.schema import entries, exchanges, kinds, spend

DIMENSIONS: Final = ("model", "key", "project", "run", "endpoint", "day")
CLIENT_GONE: Final = 499
"""The status of an exchange whose client left before the answer was whole."""

_EPOCH: Final = date(1970, 1, 1)

Group = tuple[str, ...]


class UsageRow(msgspec.Struct):
    """One line of a usage report.

    `group` has a text for each dimension asked for. `usage` are the summed buckets, `charged` what keys pay and
    `cost` what providers bill, in nano-dollars. `ttft` is in seconds and `output_speed` in tokens per second,
    both medians, None when nothing was measured. `unmetered` attempts gave no usage.
    """

    group: Group
    requests: int = 0
    attempts: int = 0
    expired: int = 0
    slow: int = 0
    unmetered: int = 0
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
            for group, values in _grouped(connection, _sums(by, since), len(by)):
                attempts, unmetered, charged, cost, *buckets = values
                rows[group] = UsageRow(
                    group,
                    attempts=attempts or 0,
                    unmetered=unmetered or 0,
                    charged=charged or 0,
                    cost=cost or 0,
                    usage=Usage(*(count or 0 for count in buckets)),
                )
            for group, (requests, expired, slow) in _grouped(connection, _counts(by, since), len(by)):
                row = rows.setdefault(group, UsageRow(group))
                row.requests, row.expired, row.slow = requests, expired or 0, slow or 0
            for group, (value,) in _grouped(connection, _median(by, since, exchanges.c.ttft), len(by)):
                rows[group].ttft = value
            for group, (value,) in _grouped(connection, _median(by, since, exchanges.c.output_speed), len(by)):
                rows[group].output_speed = value
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
        return self._spent(spend.c.key == key).get(key, KeyUsage())

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
            for key, at, requests, charged, last in connection.execute(sa.select(spend).where(condition)):
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
        yield tuple(_text(value) for value in row[:width]), tuple(row[width:])


def _text(value: object) -> str:
    if isinstance(value, int):
        return (_EPOCH + timedelta(days=value)).isoformat()
    return "" if value is None else str(value)


def _day(at: sa.ColumnElement[float]) -> sa.ColumnElement[int]:
    return sa.cast(at, sa.BigInteger) // SECONDS_PER_DAY


def _of_exchange(by: Sequence[str]) -> list[sa.ColumnElement[Any]]:
    columns: dict[str, sa.ColumnElement[Any]] = {
        "model": kinds.c.model,
        "key": kinds.c.key,
        "project": kinds.c.project,
        "endpoint": kinds.c.endpoint,
        "run": exchanges.c.run,
        "day": _day(exchanges.c.at),
    }
    return [columns[name].label(f"by_{name}") for name in by]


def _sums(by: Sequence[str], since: float | None) -> sa.Select[Any]:
    """Per group: attempts, those without usage, money, and every bucket."""
    groups = [(_day(entries.c.at) if name == "day" else entries.c[name]).label(f"by_{name}") for name in by]
    is_attempt = entries.c.settlement != Settlement.EXPIRED.value
    query = sa.select(
        *groups,
        sa.func.sum(sa.case((is_attempt, 1), else_=0)),
        sa.func.sum(sa.case((is_attempt & entries.c.input_uncached.is_(None), 1), else_=0)),
        sa.func.sum(entries.c.charged),
        sa.func.sum(entries.c.cost),
        *(sa.func.sum(entries.c[name]) for name in BUCKETS),
    )
    return _finish(query, groups, entries.c.at, since)


def _counts(by: Sequence[str], since: float | None) -> sa.Select[Any]:
    """Per group: requests, those that expired, those that were slow."""
    groups = _of_exchange(by)
    query = sa.select(
        *groups,
        sa.func.count(),
        sa.func.sum(sa.case((kinds.c.settlement == Settlement.EXPIRED.value, 1), else_=0)),
        sa.func.sum(kinds.c.slow),
    ).join_from(exchanges, kinds, kinds.c.id == exchanges.c.kind)
    return _finish(query, groups, exchanges.c.at, since)


def _median(by: Sequence[str], since: float | None, value: sa.ColumnElement[Any]) -> sa.Select[Any]:
    """Per group: the lower median of what is not NULL. Window functions, because SQLite has no percentile."""
    groups = _of_exchange(by)
    partition = groups or None
    ranked = (
        sa.select(
            *groups,
            value.label("value"),
            sa.func.row_number().over(partition_by=partition, order_by=value).label("place"),
            sa.func.count().over(partition_by=partition).label("many"),
        )
        .join_from(exchanges, kinds, kinds.c.id == exchanges.c.kind)
        .where(value.is_not(None))
    )
    if since is not None:
        ranked = ranked.where(exchanges.c.at >= since)
    inner = ranked.subquery()
    chosen = sa.select(*(inner.c[f"by_{name}"] for name in by), inner.c.value)
    return chosen.where(inner.c.place == (inner.c.many + 1) // 2)


def _finish(
    query: sa.Select[Any], groups: Sequence[sa.ColumnElement[Any]], at: sa.ColumnElement[Any], since: float | None
) -> sa.Select[Any]:
    if since is not None:
        query = query.where(at >= since)
    return query.group_by(*groups) if groups else query


def _generation(row: dict[str, Any], lines: list[dict[str, Any]]) -> dict[str, Any]:
    answer = next((line for line in lines if line["settlement"] in {"delivered", "upstream_billed"}), None)
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
        "usage": charged,
        "total_cost": charged,
        "upstream_inference_cost": sum(costs) / NANO_PER_USD if costs else None,
        "cache_discount": None,
        "is_byok": False,
        "status": row["status"],
        "error_type": row["error_type"] or None,
        "settlement": row["settlement"],
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
