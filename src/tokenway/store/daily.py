"""What was used day by day, for whoever looks at how it grows: straight from the roll-ups by day and by hour.

Days and hours are UTC and told by their dates and Unix times. Calls that the gateway makes by itself to see whether an
endpoint answers are nobody's demand and left out.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from tokenway.model.probe import PROBE
from tokenway.model.usage import BUCKETS, Usage
from tokenway.store.database import Database
from tokenway.store.recount import bucket
from tokenway.store.schema import facets, rollups, runs
from tokenway.store.sums import DAY, HOUR

TOKENS: Final = (
    *("input_uncached", "cache_read", "cache_write_5m", "cache_write_1h", "output_text", "reasoning"),
    *("audio_in", "audio_out", "image_in", "image_out"),
)
"""The buckets that count tokens."""


class DayOfModel(NamedTuple):
    """What a model was used for on a day."""

    day: date
    model: str
    calls: int
    usage: Usage


class DayOfPeople(NamedTuple):
    """How many used the gateway on a day: users, and keys of nobody's; and what the runs that began on it came to."""

    day: date
    people: int
    calls: int
    runs: int = 0
    run_calls: int = 0
    run_answers: int = 0
    """Calls whose answer a user saw."""


class HourOfTokens(NamedTuple):
    """All tokens of an hour, by the Unix time at which it begins."""

    at: int
    tokens: int


class SqlDaily:
    """Reads the days in a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def models(
        self, *, since: float | None = None, until: float | None = None, project: str | None = None
    ) -> list[DayOfModel]:
        """Use by day and model of the days that begin in [since, until), in their order."""
        groups = (rollups.c.bucket, facets.c.model)
        sums = (sa.func.sum(rollups.c[name]) for name in ("calls", *BUCKETS))
        rows = self._rows(_rolled(DAY, since, until, project).with_only_columns(*groups, *sums).group_by(*groups))
        return sorted(DayOfModel(_date(row[0]), row[1], int(row[2]), Usage(*map(int, row[3:]))) for row in rows)

    def people(
        self, *, since: float | None = None, until: float | None = None, project: str | None = None
    ) -> list[DayOfPeople]:
        """Who there was by day, and the runs of the day; a day on which nobody called is left out."""
        who = sa.func.coalesce(sa.func.nullif(facets.c.user_id, ""), facets.c.key)
        days = _rolled(DAY, since, until, project).where(rollups.c.calls > 0)
        counts = (sa.func.count(who.distinct()), sa.func.sum(rollups.c.calls))
        query = days.with_only_columns(rollups.c.bucket, *counts).group_by(rollups.c.bucket)
        began = bucket(runs.c.started, DAY)
        sums = (sa.func.count(), sa.func.sum(runs.c.calls), sa.func.sum(runs.c.shown))
        of_runs: sa.Select[*tuple[Any, ...]] = (
            sa.select(began, *sums).where(*_within(runs.c.started, since, until)).group_by(began)
        )
        of_runs = of_runs.where(runs.c.project != PROBE if project is None else runs.c.project == project)
        known = {int(row[0]): tuple(map(int, row[1:])) for row in self._rows(of_runs)}
        return sorted(
            DayOfPeople(_date(row[0]), int(row[1]), int(row[2]), *known.get(int(row[0]), (0, 0, 0)))
            for row in self._rows(query)
        )

    def hours(
        self, *, since: float | None = None, until: float | None = None, project: str | None = None
    ) -> list[HourOfTokens]:
        """Tokens by hour, as far back as hours are kept; an hour without any is left out."""
        counted = sum((rollups.c[name] for name in TOKENS[1:]), start=rollups.c[TOKENS[0]])
        query = _rolled(HOUR, since, until, project).with_only_columns(rollups.c.bucket, sa.func.sum(counted))
        rows = self._rows(query.group_by(rollups.c.bucket))
        return sorted(HourOfTokens(row[0] * HOUR, int(row[1])) for row in rows)

    def _rows(self, query: sa.Select[*tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        with self._database.read() as connection:
            return [tuple(row) for row in connection.execute(query)]


def tokens_of(usage: Usage) -> int:
    """All tokens, in and out."""
    return usage.input_tokens + usage.output_tokens


def _rolled(grain: int, since: float | None, until: float | None, project: str | None) -> sa.Select[Any]:
    query = sa.select(rollups).join(facets, facets.c.id == rollups.c.facet).where(rollups.c.grain == grain)
    query = query.where(facets.c.project != PROBE if project is None else facets.c.project == project)
    return query.where(*_within(rollups.c.bucket * grain, since, until))


def _within(moment: sa.ColumnElement[Any], since: float | None, until: float | None) -> list[sa.ColumnElement[bool]]:
    return [*([] if since is None else [moment >= since]), *([] if until is None else [moment < until])]


def _date(day: int) -> date:
    return datetime.fromtimestamp(day * DAY, UTC).date()
