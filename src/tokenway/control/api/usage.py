"""Usage: tokens, money and speed by whatever is asked for, from the roll-ups."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Final, Literal

import msgspec
from fastapi import APIRouter, Query
from pydantic import Field

from tokenway.control.api.callers import Caller, Gateway, Guarded, Who
from tokenway.control.api.paging import LIMIT, Cursor, Cursors, Limit, Page
from tokenway.control.api.types import IDENTITY, Shown, Time, moment_of, shown_moment, shown_time, usd
from tokenway.metering.stamps import MICROSECONDS, mean_speed, mean_ttft
from tokenway.model.usage import BUCKETS
from tokenway.store.reports import ReportFilter, ReportRow, period_of

router = APIRouter(route_class=Guarded, tags=["usage"])

Dimension = Literal["model", "key", "project", "user", "endpoint"]
Interval = Literal["minute", "hour", "day"]
By = Annotated[list[Dimension], Query(max_length=5, description="What to group by; say it once for each.")]
_COLUMNS: Final = {"user": "user_id"}


class UsageShown(Shown):
    """What one group used."""

    group: dict[str, str]
    begins: str | None = Field(description="When the interval begins; null without intervals.")
    calls: int
    attempts: int
    errors: int
    slow: int
    unmetered: int = Field(description="Attempts that were delivered, or are billed, without any usage.")
    unpriced: int
    expired: int
    charged: str = Field(description="What keys pay, USD.")
    withheld: str = Field(description="What budgets keep back beyond it, USD.")
    cost: str | None = Field(description="What providers bill, USD; null for who is no admin.")
    absorbed: str | None = Field(description="The part of the cost that nobody pays, USD; null for who is no admin.")
    tokens: dict[str, int] = Field(description="By bucket; those that hold nothing are left out.")
    ttft_seconds: float | None = Field(description="Mean time to the first token of streams.")
    output_tps: float | None = Field(
        description="Tokens of output per second, of all the time in which they were made."
    )
    seconds: float | None = Field(description="Mean duration of a call.")


class UsageReport(Page[UsageShown]):
    """A page of a report, and the period that it is really of: whole minutes, hours or days."""

    since: str | None
    until: str | None


@router.get("/usage")
async def report_usage(
    who: Who,
    services: Gateway,
    by: By = [],  # noqa: B006 - FastAPI copies it
    interval: Annotated[Interval | None, Query(description="Also by minute, hour or day.")] = None,
    since: Annotated[Time | None, Query()] = None,
    until: Annotated[Time | None, Query()] = None,
    project: Annotated[str | None, Query(pattern=IDENTITY)] = None,
    key: Annotated[str | None, Query(max_length=200)] = None,
    user: Annotated[str | None, Query(max_length=200)] = None,
    model: Annotated[str | None, Query(max_length=200)] = None,
    endpoint: Annotated[str | None, Query(max_length=400)] = None,
    limit: Limit = LIMIT,
    cursor: Cursor = None,
) -> UsageReport:
    """What was used in a period. Who is no admin sees their own projects'."""
    which = ReportFilter(
        projects=visible(who, project),
        key=key,
        user_id=user,
        model=model,
        endpoint=endpoint,
        since=None if since is None else moment_of(since),
        until=None if until is None else moment_of(until),
    )
    dimensions = list(dict.fromkeys(_COLUMNS.get(name, name) for name in by))
    cursors, listed = Cursors(services.seal), f"usage {dimensions} {interval} {which}"
    after = cursors.read(listed, cursor)
    report = partial(
        services.store.reports.usage,
        dimensions,
        which,
        interval=interval,
        after=None if after is None else msgspec.json.decode(after, type=list[str | int]),
        count=limit + 1,
    )
    await services.run(services.drain)
    rows: list[ReportRow] = await services.run(report)
    more = None
    if len(rows) > limit:
        more = cursors.make(listed, _place(rows[limit - 1], interval, which))
    period = period_of(which, interval)
    names = [name.removesuffix("_id") for name in dimensions]
    return UsageReport(
        data=[_shown(row, names, who) for row in rows[:limit]],
        next_cursor=more,
        since=shown_moment(period.since),
        until=shown_moment(period.until),
    )


def visible(who: Caller, project: str | None) -> tuple[str, ...] | None:
    """The projects that a list may be of; None for all. Raises Problem for one that the caller may not know of."""
    if project is not None:
        who.reach(project)
        return (project,)
    mine = who.projects()
    return None if mine is None else tuple(mine)


def _place(row: ReportRow, interval: str | None, which: ReportFilter) -> str:
    """What a row is found by: its bucket, where there are intervals, and its group."""
    bucket = [] if row.begins is None else [int(row.begins // period_of(which, interval).grain)]
    return msgspec.json.encode([*bucket, *row.group]).decode()


def _shown(row: ReportRow, names: list[str], who: Caller) -> UsageShown:
    sums = row.sums
    return UsageShown(
        group=dict(zip(names, row.group, strict=True)),
        begins=None if row.begins is None else shown_time(row.begins),
        charged=usd(sums["charged"]),
        withheld=usd(sums["withheld"]),
        cost=usd(sums["cost"]) if who.is_admin else None,
        absorbed=usd(sums["absorbed"]) if who.is_admin else None,
        tokens={name: sums[name] for name in BUCKETS if sums[name]},
        ttft_seconds=_rounded(mean_ttft(sums["ttft_us"], sums["first_tokens"])),
        output_tps=_rounded(mean_speed(sums["timed_tokens"], sums["timed_us"])),
        seconds=_rounded(sums["duration_us"] / sums["calls"] / MICROSECONDS if sums["calls"] else None),
        **{name: sums[name] for name in ("calls", "attempts", "errors", "slow", "unmetered", "unpriced", "expired")},
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
