"""The sums as the entries say them: what `store.sums` adds up batch by batch, made of the tables by one query.

It is said a second time on purpose, in another language and from what is stored, so that the ledger can be proved
against it (`store.verify`). Whole numbers are made by cutting, as there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from tokenway.metering.ledger import Settlement
from tokenway.metering.runs import ANSWERS, GOES_ON, MAIN
from tokenway.metering.stamps import MICROSECONDS
from tokenway.model.usage import BUCKETS
from tokenway.store.calls import BAD_STATUS, CLIENT_GONE
from tokenway.store.schema import EXPIRED_ATTEMPT, INLINE_BUCKETS, attempts, exchanges, kinds
from tokenway.store.sums import PAYABLE

TIMES: Final = ("ttft_us", "first_tokens", "timed_tokens", "timed_us", "duration_us")
SPENT: Final = ("calls", "charged", "withheld", "input_tokens", "output_tokens")

_PAYABLE: Final = tuple(settlement.value for settlement in PAYABLE)
_INPUT: Final = ("input_uncached", "cache_read", "cache_write_5m", "cache_write_1h", "audio_in", "image_in")
_OUTPUT: Final = ("output_text", "reasoning", "audio_out", "image_out")
_SEEN: Final = ("output_text", "audio_out", "image_out")

Column = sa.ColumnElement[Any]


class whole(FunctionElement[int]):  # noqa: N801 - it is written like a function of the database
    """A number without its fraction. Casts alone will not do: SQLite's cuts, and PostgreSQL's rounds."""

    type = sa.BigInteger()
    inherit_cache = True


@compiles(whole)
def _whole(element: Any, compiler: Any, **options: Any) -> str:
    return f"CAST(TRUNC({compiler.process(element.clauses, **options)}) AS BIGINT)"


@compiles(whole, "sqlite")
def _whole_in_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    return f"CAST({compiler.process(element.clauses, **options)} AS BIGINT)"


def bucket(at: Column, grain: int) -> Column:
    """The number of the bucket that a moment is in; written out, as an expression that is grouped by must be."""
    return whole(at) // sa.literal_column(str(grain), sa.BigInteger())


def rolled(grain: int, since: float, until: float | None = None, *extra: sa.ColumnElement[Any]) -> list[sa.Select[Any]]:
    """`bucket`, `schema.FACET_FIELDS`, `schema.SUMS` of exchanges and attempts in [since, until); to be added up.

    `extra` are columns of `exchanges` to tell them apart by, as by their run.
    """
    ends = [] if until is None else [exchanges.c.at < until]
    return [
        _rolled_calls(grain, (exchanges.c.at >= since, *ends), extra),
        _rolled_attempts(grain, since, extra).where(*ends),
    ]


def _rolled_calls(grain: int, when: Sequence[Column], extra: Sequence[Column]) -> sa.Select[Any]:
    x, k = exchanges.c, kinds.c
    part = (
        sa.select(
            bucket(x.at, grain).label("bucket"),
            x.kind,
            *extra,
            sa.func.count().label("calls"),
            sa.func.count(x.cost).label("priced"),
            *(sa.func.sum(value).label(name) for name, value in _figures().items()),
        )
        .where(*when)
        .group_by(bucket(x.at, grain), x.kind, *extra)
        .subquery()
        .c
    )
    none = sa.literal(0)
    is_inline = k.inline_attempt.is_not(None)
    values = {
        "calls": part.calls,
        "attempts": sa.case((is_inline, part.calls), else_=0),
        "errors": sa.case((_is_error(), part.calls), else_=0),
        "slow": k.slow * part.calls,
        "unmetered": none,
        "unpriced": sa.case((is_inline, part.calls - part.priced), else_=0),
        "expired": sa.case((k.settlement == Settlement.EXPIRED.value, part.calls), else_=0),
        "charged": sa.case((is_inline | (k.attempts == 0), part.charged), else_=0),
        "withheld": part.withheld,
        "cost": part.cost,
        "absorbed": sa.case((k.settlement == Settlement.ABSORBED.value, part.cost), else_=0),
        **{name: part[name] if name in INLINE_BUCKETS else none for name in BUCKETS},
        **{name: part[name] for name in TIMES},
    }
    columns = (value.label(name) for name, value in values.items())
    facet = (k.key, k.project, k.user_id, k.model, k.endpoint)
    told = (part[str(column.key)] for column in extra)
    return sa.select(part.bucket, *facet, *columns, *told).join(kinds, k.id == part.kind)


def _rolled_attempts(grain: int, since: float, extra: Sequence[Column]) -> sa.Select[Any]:
    x, k, a = exchanges.c, kinds.c, attempts.c
    none = sa.literal(0)
    is_known = a.input_uncached.is_not(None)
    values = {
        "calls": none,
        "attempts": sa.literal(1),
        "errors": none,
        "slow": none,
        "unmetered": sa.case((a.settlement.in_(_PAYABLE) & ~is_known, 1), else_=0),
        "unpriced": sa.case((is_known & a.cost.is_(None) & (a.absurd == 0), 1), else_=0),
        "expired": none,
        "charged": a.charged,
        "withheld": none,
        "cost": sa.func.coalesce(a.cost, 0),
        "absorbed": sa.case((a.settlement == Settlement.ABSORBED.value, sa.func.coalesce(a.cost, 0)), else_=0),
        **{name: _believed(name) for name in BUCKETS},
        **dict.fromkeys(TIMES, none),
    }
    facet = (k.key, k.project, k.user_id, k.model, a.endpoint)
    return _apart(since).with_only_columns(
        bucket(x.at, grain).label("bucket"), *facet, *(value.label(name) for name, value in values.items()), *extra
    )


def spent(grain: int, since: float) -> list[sa.Select[Any]]:
    """`bucket`, `kind`, SPENT and `last_used` of exchanges since then that were settled; to be added up."""
    x, k = exchanges.c, kinds.c
    is_paid = k.settlement.in_(_PAYABLE)
    inline = (
        sa.select(
            bucket(x.at, grain).label("bucket"),
            x.kind,
            sa.literal(1).label("calls"),
            x.charged,
            sa.func.coalesce(x.withheld, 0).label("withheld"),
            sa.case((is_paid, sa.func.coalesce(x.input_uncached + x.cache_read, 0)), else_=0).label("input_tokens"),
            sa.case((is_paid, sa.func.coalesce(x.output_text + x.reasoning, 0)), else_=0).label("output_tokens"),
            x.at.label("last_used"),
        )
        .join(kinds, k.id == x.kind)
        .where(x.at >= since, k.settlement != Settlement.EXPIRED.value)
    )
    none = sa.literal(0)
    counted = (
        _apart(since)
        .where(attempts.c.settlement.in_(_PAYABLE))
        .with_only_columns(
            bucket(x.at, grain).label("bucket"),
            x.kind,
            none.label("calls"),
            none.label("charged"),
            none.label("withheld"),
            _total(_believed(name) for name in _INPUT).label("input_tokens"),
            _total(_believed(name) for name in _OUTPUT).label("output_tokens"),
            x.at.label("last_used"),
        )
    )
    return [inline, counted]


def of_agents(since: float) -> list[sa.Select[Any]]:
    """`key`, `run`, `agent`, `started`, `ended` and `schema.RUN_SUMS` of exchanges since then; to be added up."""
    x, k, a = exchanges.c, kinds.c, attempts.c
    agent = sa.func.coalesce(x.agent, "")
    place = (k.key.label("key"), x.run.label("run"), agent.label("agent"))
    is_shown = (
        (k.settlement == Settlement.DELIVERED.value)
        & k.operation.in_(sorted(ANSWERS))
        & k.finish_reason.not_in(sorted(GOES_ON))
        & sa.func.coalesce(x.request_class, "").in_(("", MAIN))
    )
    figures = _figures()
    none = sa.literal(0)
    values = {
        "calls": sa.literal(1),
        "shown": sa.case((is_shown, 1), else_=0),
        "shown_tokens": sa.case((is_shown, sa.func.coalesce(x.output_text, _answer(_SEEN, _IS_DELIVERED), 0)), else_=0),
        "errors": sa.case((_is_error(), 1), else_=0),
        "slow": k.slow,
        **{name: figures[name] for name in ("charged", "withheld", "cost")},
        **{name: figures[name] if name in INLINE_BUCKETS else none for name in BUCKETS},
        **{name: figures[name] for name in TIMES},
    }
    moments = (x.at.label("started"), (x.at + sa.func.coalesce(x.duration, 0.0)).label("ended"))
    calls = (
        sa.select(*place, *moments, *(value.label(name) for name, value in values.items()))
        .join_from(exchanges, kinds, k.id == x.kind)
        .where(x.at >= since, x.run.is_not(None))
    )
    values |= dict.fromkeys(values, none)
    values |= {"cost": sa.func.coalesce(a.cost, 0), **{name: _believed(name) for name in BUCKETS}}
    tried = _apart(since).where(x.run.is_not(None))
    return [calls, tried.with_only_columns(*place, *moments, *(value.label(name) for name, value in values.items()))]


def _figures() -> dict[str, Column]:
    """What an exchange's own row adds to each sum."""
    x = exchanges.c
    tokens = sa.func.coalesce(x.output_text + x.reasoning, _answer(_OUTPUT, _IS_COUNTED))
    is_timed = x.output_speed.is_not(None)
    return {
        "charged": x.charged,
        "withheld": sa.func.coalesce(x.withheld, 0),
        "cost": sa.func.coalesce(x.cost, 0),
        **{name: sa.func.coalesce(x[name], 0) for name in INLINE_BUCKETS},
        "ttft_us": sa.func.coalesce(whole(x.ttft * MICROSECONDS), 0),
        "first_tokens": sa.case((x.ttft.is_not(None), 1), else_=0),
        "timed_tokens": sa.case((is_timed, tokens - 1), else_=0),
        "timed_us": sa.case((is_timed, whole((tokens - 1) / x.output_speed * MICROSECONDS)), else_=0),
        "duration_us": sa.func.coalesce(whole(x.duration * MICROSECONDS), 0),
    }


_IS_COUNTED: Final = attempts.c.settlement.in_(_PAYABLE)
_IS_DELIVERED: Final = (
    (attempts.c.settlement == Settlement.DELIVERED.value)
    & (attempts.c.absurd == 0)
    & attempts.c.input_uncached.is_not(None)
)


def _answer(names: Sequence[str], condition: Column) -> Column:
    """The tokens of these buckets in the first such attempt, of an exchange whose attempts have rows of their own."""
    a = attempts.c
    query = sa.select(_total(a[name] for name in names)).where(a.exchange == exchanges.c.id, condition)
    return query.order_by(a.attempt).limit(1).correlate(exchanges).scalar_subquery()


def _apart(since: float) -> sa.Select[Any]:
    """Attempts with rows of their own; the columns are to be chosen."""
    x, a = exchanges.c, attempts.c
    query = sa.select(a.exchange).join_from(attempts, exchanges, x.id == a.exchange).join(kinds, kinds.c.id == x.kind)
    return query.where(x.at >= since, a.attempt != EXPIRED_ATTEMPT)


def _believed(name: str) -> Column:
    return sa.case((attempts.c.absurd == 0, sa.func.coalesce(attempts.c[name], 0)), else_=0)


def _is_error() -> Column:
    k = kinds.c
    return ((k.status >= BAD_STATUS) | (k.error_type != "")) & (k.status != CLIENT_GONE)


def _total(values: Any) -> Column:
    first, *rest = values
    for value in rest:
        first = first + value
    return first  # type: ignore[no-any-return]
