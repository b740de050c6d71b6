"""When limits start anew, and how much of one is lent at a time: arithmetic, in UTC.

A *period* is one stretch of a limit's term. Its number is the Unix day on which it begins, for a minute the number of
the minute; what never starts anew, or rolls, has one period, 0. A rolling term is counted in buckets: the one in which
it begins is counted whole, so that no stretch of that length ever holds more than the limit.

Nothing here remembers anything, so a clock that steps back finds the earlier period again, and what was counted for it.
"""

from __future__ import annotations

import hashlib
from calendar import monthrange
from datetime import date
from typing import Final

import msgspec

from tokenway.model.limits import Limit, Term

MINUTE: Final = 60
HOUR: Final = 3_600
DAY: Final = 86_400
ALL_TIME: Final = 0
"""The grain of a bucket that holds everything."""
ROLLING_SECONDS: Final = {Term.MINUTE: MINUTE, Term.DAY: DAY, Term.WEEK: 7 * DAY, Term.MONTH: 30 * DAY}
_GRAINS: Final = {Term.DAY: HOUR, Term.WEEK: DAY, Term.MONTH: DAY}
"""What a rolling term is counted in."""
_EPOCH: Final = date(1970, 1, 1).toordinal()
_FIRST_DAY: Final = date.min.toordinal() - _EPOCH
_LAST_DAY: Final = date.max.toordinal() - _EPOCH
"""Where the calendar ends, in the year 9999; for a clock beyond either end it is always that day."""

CHUNK_SHARE: Final = 40
"""A lease is at most this part of its limit, over all holders: with what is asked for ahead, less than 5 % lie idle."""
CHUNKS_LEFT: Final = 4
"""A lease is at most this part of what remains, over all holders: the last of it goes in small pieces."""


class Period(msgspec.Struct, frozen=True):
    """One stretch of a term: its number, and Unix times from and before which it is; 0.0 for without end."""

    number: int
    begins: float = 0.0
    ends: float = 0.0


class Buckets(msgspec.Struct, frozen=True):
    """What is added up for a period: the buckets of `grain` seconds from `first` to before `end`, None for no end."""

    grain: int
    first: int = 0
    end: int | None = None


ALWAYS: Final = Period(0)


def calendar_period(term: Term, now: float) -> Period:
    """The period of the calendar that the Unix time `now` is in."""
    if term is Term.TOTAL:
        return ALWAYS
    if term is Term.MINUTE:
        number = int(now // MINUTE)
        return Period(number, float(number * MINUTE), float((number + 1) * MINUTE))
    first, days = max(_FIRST_DAY, min(_LAST_DAY, int(now // DAY))), 1
    today = date.fromordinal(first + _EPOCH)
    if term is Term.WEEK:
        first, days = first - today.weekday(), 7
    elif term is Term.MONTH:
        first, days = first - (today.day - 1), monthrange(today.year, today.month)[1]
    return Period(first, float(first * DAY), float((first + days) * DAY))


def period_of(limit: Limit, now: float) -> Period:
    """The period of a limit that `now` is in; a limit for each run lasts as long as its run."""
    return ALWAYS if limit.rolling or limit.per_run else calendar_period(limit.term, now)


def buckets_of(limit: Limit, now: float) -> Buckets:
    """What was spent of a limit by `now` is the sum of these buckets; not for limits that are counted by minutes.

    A rolling term counts what a clock that has stepped back left ahead of it, too.
    """
    if limit.term is Term.TOTAL:
        return Buckets(ALL_TIME)
    if limit.rolling:
        grain = _GRAINS[limit.term]
        return Buckets(grain, int((now - ROLLING_SECONDS[limit.term]) // grain))
    period = calendar_period(limit.term, now)
    return Buckets(DAY, period.number, int(period.ends) // DAY)


def next_bucket(limit: Limit, now: float) -> float:
    """When the oldest bucket of a rolling limit is counted no more, as a Unix time."""
    grain = _GRAINS[limit.term]
    return float((int(now // grain) + 1) * grain)


def chunk(amount: int, remaining: int, least: int, holders: int) -> int:
    """How much of a limit of `amount` to lend one of so many holders, when nobody holds `remaining` of it.

    At least what is needed, if there is so much; beyond that a share which leaves something for every other.
    """
    holders = max(1, holders)
    share = min(remaining // (CHUNKS_LEFT * holders), amount // (CHUNK_SHARE * holders))
    return max(0, min(remaining, max(least, share)))


def run_limit(limit: str, key_id: str, run: str) -> str:
    """The id of a limit for one run: a run's own id means something only together with its key."""
    whose = f"{key_id}\0{run}"
    return f"{limit}@{hashlib.sha256(whose.encode()).hexdigest()[:16]}"


def base_limit(limit: str) -> str:
    """The id of the limit that holds for each run, of which `limit` may be one run's."""
    return limit.partition("@")[0]
