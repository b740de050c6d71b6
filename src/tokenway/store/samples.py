"""The latest exchanges of the ledger as samples, so that a gateway that starts knows how its endpoints were.

The ledger has times for an exchange and not for each of its attempts. An exchange with one attempt gives its times;
of one with several, only how each of them ended is told. It has no codes of errors: a spent account that is told with
status 400, as Anthropic's is, counts as a caller's mistake here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import sqlalchemy as sa

from tokenway.metering.ledger import Settlement
from tokenway.model import probe
from tokenway.model.identity import COUNT_DIGITS, PREFIX, day_in, day_of, ids_of_day
from tokenway.model.sample import Outcome, Sample
from tokenway.model.usage import BUCKETS, Usage
from tokenway.routing.retry import outcome
from tokenway.store.database import Database
from tokenway.store.schema import EXPIRED_ATTEMPT, entries, exchanges, kinds

PAGE: Final = 500
"""Exchanges that are fetched at a time."""
LIVES_MAX: Final = 64
"""Lives of workers that are looked through."""


class SqlSamples:
    """Reads the ledger in a database."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def latest(self, since: float, most: int) -> list[Sample]:
        """The attempts of at most `most` exchanges that ended since then (Unix time), in the order of their ends."""
        found: list[Sample] = []
        with self._database.read() as connection:
            for page in _pages(connection, since, self._clock(), most):
                ids = [row["id"] for row in page]
                lines: dict[str, list[dict[str, Any]]] = {}
                made = sa.select(entries).where(entries.c.exchange.in_(ids), entries.c.attempt != EXPIRED_ATTEMPT)
                for line in connection.execute(made).mappings():
                    lines.setdefault(line["exchange"], []).append(dict(line))
                for row in page:
                    found += _samples(row, lines.get(row["id"], ()))
        return sorted(found, key=lambda sample: sample.at)


def _pages(connection: sa.Connection, since: float, now: float, most: int) -> Iterator[list[dict[str, Any]]]:
    """Exchanges since then, by their ids backwards: no index is by time, but within a worker's life ids rise with it.

    Where a life's exchanges of a day become too old, the next life is gone on with, and behind the last one the day
    before. A day's probes stand where its latest life would, and so come first: they are few.
    """
    wanted = ("id", "at", "ttft", "duration", "output_speed", "overhead")
    columns = [exchanges.c[name] for name in wanted]
    query = sa.select(*columns, kinds.c.model).join(kinds, kinds.c.id == exchanges.c.kind)
    # Another machine's clock may be a little ahead. No id is older than what it begins with.
    below, first = ids_of_day(day_of(now) + 2), ids_of_day(day_of(since)) if since > 0 else PREFIX
    lives = 0
    while most > 0 and lives < LIVES_MAX:
        size = min(PAGE, most)
        newest = query.where(exchanges.c.id < below, exchanges.c.id >= first).order_by(exchanges.c.id.desc())
        rows = [dict(row) for row in connection.execute(newest.limit(size)).mappings()]
        old = next((place for place, row in enumerate(rows) if row["at"] < since), len(rows))
        if old:
            yield rows[:old]
        most -= old
        if old < len(rows):
            below = _life_of(rows[old]["id"])
            lives += 1
        elif len(rows) < size:
            return
        else:
            below = rows[-1]["id"]


def _life_of(identity: str) -> str:
    """What an id has in common with those that were numbered by the same worker on the same day."""
    if probe.is_id(identity):
        return probe.ids_of(day_in(identity) or 0)
    return identity[:-COUNT_DIGITS]


def _samples(row: dict[str, Any], lines: Sequence[dict[str, Any]]) -> Iterator[Sample]:
    """What an exchange says of each endpoint that it tried."""
    for line in lines:
        is_answered = line["settlement"] == Settlement.DELIVERED.value
        ended = Outcome.ANSWERED if is_answered else outcome(line["fault"], line["status"])
        if len(lines) > 1:
            yield Sample(line["endpoint"], row["model"], row["at"], ended)
            continue
        usage = Usage()
        if line["input_uncached"] is not None and not line["absurd"]:
            usage = Usage(*(line[name] for name in BUCKETS))
        tokens, speed = usage.output_tokens, row["output_speed"]
        yield Sample(
            line["endpoint"],
            row["model"],
            row["at"],
            ended,
            took=_since_the_attempt(row["duration"], row),
            ttft=_since_the_attempt(row["ttft"], row),
            span=(tokens - 1) / speed if speed and tokens > 1 else 0.0,
            prompt=usage.input_tokens - usage.cache_read,
            cached=usage.cache_read,
            tokens=tokens if is_answered else 0,  # as in `edge.sampling`
        )


def _since_the_attempt(seconds: float | None, row: dict[str, Any]) -> float:
    """A time that was counted from the request on; 0.0 where it is not known."""
    return 0.0 if seconds is None else max(0.0, seconds - row["overhead"])
