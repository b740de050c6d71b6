"""What was used, by whom and where, in any period: from the roll-ups, so it takes as long in a ledger of any size.

Roll-ups know minutes, hours and days. A period is widened to whole ones of those that it is made of: to days where it
begins and ends with one, else to hours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from tokenway.store.database import Database
from tokenway.store.schema import FACET_FIELDS, SUMS, facets, rollups

GRAINS: Final = {"minute": 60, "hour": 3600, "day": 86400}
DIMENSIONS: Final = FACET_FIELDS


class ReportFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What is counted: all that fits everything that is said. `projects` None is all; times are Unix seconds."""

    projects: tuple[str, ...] | None = None
    key: str | None = None
    user_id: str | None = None
    model: str | None = None
    endpoint: str | None = None
    since: float | None = None
    until: float | None = None


class ReportRow(msgspec.Struct, frozen=True):
    """The sums of one group: a text for each dimension, and when its interval begins, None without intervals."""

    group: tuple[str, ...]
    begins: float | None
    sums: dict[str, int]


class Period(msgspec.Struct, frozen=True):
    """What is really counted: whole buckets of `grain` seconds, `since` inside and `until` not."""

    grain: int
    since: float | None
    until: float | None


def period_of(which: ReportFilter, interval: str | None) -> Period:
    """The period, widened to whole buckets."""
    ends = [each for each in (which.since, which.until) if each is not None]
    grain = GRAINS[interval] if interval is not None else 86400 if all(each % 86400 == 0 for each in ends) else 3600
    since = None if which.since is None else which.since // grain * grain
    until = None if which.until is None else -(-which.until // grain) * grain
    return Period(grain, since, until)


class SqlReports:
    """Reads the roll-ups in a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def usage(
        self,
        by: Sequence[str],
        which: ReportFilter,
        *,
        interval: str | None = None,
        after: Sequence[str | int] | None = None,
        count: int = 100,
    ) -> list[ReportRow]:
        """The sums of each group, in the order of interval and group; of those behind `after` where that is given.

        `by` are some of DIMENSIONS, `interval` one of GRAINS. Groups in which nothing was used are not there.
        """
        period = period_of(which, interval)
        groups = [*([rollups.c.bucket] if interval is not None else []), *(facets.c[name] for name in by)]
        query = (
            sa.select(*groups, *(sa.func.sum(rollups.c[name]).label(name) for name in SUMS))
            .join_from(rollups, facets, facets.c.id == rollups.c.facet)
            .where(rollups.c.grain == period.grain, *_conditions(which, period))
            .limit(count)
        )
        query = query.group_by(*groups).order_by(*groups) if groups else query.having(sa.func.count() > 0)
        if after is not None:
            query = query.where(_behind(groups, after))
        with self._database.read() as connection:
            return [
                _row(row, len(groups), period.grain if interval is not None else 0) for row in connection.execute(query)
            ]


def _conditions(which: ReportFilter, period: Period) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    if period.since is not None:
        found.append(rollups.c.bucket >= int(period.since // period.grain))
    if period.until is not None:
        found.append(rollups.c.bucket < int(period.until // period.grain))
    if which.projects is not None:
        found.append(facets.c.project.in_(which.projects))
    for name in ("key", "user_id", "model", "endpoint"):
        value = getattr(which, name)
        if value is not None:
            found.append(facets.c[name] == value)
    return found


def _behind(groups: Sequence[sa.ColumnElement[Any]], after: Sequence[str | int]) -> sa.ColumnElement[bool]:
    """Whether a group comes later; spelled out, because not every database compares rows with the index."""
    parts: list[sa.ColumnElement[bool]] = []
    for number, column in enumerate(groups):
        same = [groups[each] == after[each] for each in range(number)]
        parts.append(sa.and_(*same, column > after[number]))
    return sa.or_(sa.false(), *parts)


def _row(row: sa.Row[Any], width: int, grain: int) -> ReportRow:
    values = list(row)
    group = values[:width]
    begins = float(group.pop(0) * grain) if grain else None
    sums = {name: int(value or 0) for name, value in zip(SUMS, values[width:], strict=True)}
    return ReportRow(tuple(group), begins, sums)
