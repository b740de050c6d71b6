"""Terms: where periods begin and end, what is added up for them, and how much is lent at a time."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tokenway.metering.terms import (
    ALWAYS,
    DAY,
    ROLLING_SECONDS,
    Buckets,
    Period,
    base_limit,
    buckets_of,
    calendar_period,
    chunk,
    next_bucket,
    period_of,
    run_limit,
)
from tokenway.model.limits import Limit, Measure, Scope, Term

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TERMS = (Term.MINUTE, Term.DAY, Term.WEEK, Term.MONTH)
SECONDS = st.integers(-(10**10), 2 * 10**11)
"""From the year 1653 to 8307."""
AMOUNTS = st.integers(0, 2**62)


def limit(term: Term, *, rolling: bool = False, per_run: bool = False) -> Limit:
    """A limit in money."""
    return Limit("lim_1", Scope.KEY, "key_1", Measure.USD, 100, term, rolling, per_run)


def at(text: str) -> float:
    """A Unix time."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("term", "now", "begins", "ends"),
    [
        (Term.MINUTE, "2026-03-01T12:00:59.999", "2026-03-01T12:00", "2026-03-01T12:01"),
        (Term.DAY, "2026-03-01T00:00", "2026-03-01", "2026-03-02"),
        (Term.DAY, "2026-02-28T23:59:59.999", "2026-02-28", "2026-03-01"),
        (Term.WEEK, "2026-03-01T12:00", "2026-02-23", "2026-03-02"),
        (Term.WEEK, "2026-03-02T00:00", "2026-03-02", "2026-03-09"),
        (Term.WEEK, "1970-01-01T00:00", "1969-12-29", "1970-01-05"),
        (Term.MONTH, "2024-02-29T23:59:59", "2024-02-01", "2024-03-01"),
        (Term.MONTH, "2023-02-28T23:59:59", "2023-02-01", "2023-03-01"),
        (Term.MONTH, "2100-02-28T12:00", "2100-02-01", "2100-03-01"),
        (Term.MONTH, "2000-02-29T12:00", "2000-02-01", "2000-03-01"),
        (Term.MONTH, "2026-12-31T23:59:59.999", "2026-12-01", "2027-01-01"),
        (Term.MONTH, "1970-01-01T00:00", "1970-01-01", "1970-02-01"),
    ],
)
def test_a_period_of_the_calendar(term: Term, now: str, begins: str, ends: str) -> None:
    """In UTC, weeks from Monday; its number is the day on which it begins, or the minute."""
    unit = 60 if term is Term.MINUTE else DAY
    assert calendar_period(term, at(now)) == Period(int(at(begins)) // unit, at(begins), at(ends))


@given(term=st.sampled_from(TERMS), now=SECONDS, part=st.floats(0, 0.999))
def test_periods_hold_their_moments_and_follow_each_other(term: Term, now: int, part: float) -> None:
    """Every moment is in its period, whose last one is in it too, and whose end is in the next one."""
    period = calendar_period(term, now + part)
    assert period.begins <= now + part < period.ends
    assert calendar_period(term, period.begins) == period
    assert calendar_period(term, period.ends - 0.001) == period
    following = calendar_period(term, period.ends)
    assert following.begins == period.ends
    assert following.number > period.number


@given(now=SECONDS)
def test_months_are_those_of_the_calendar(now: int) -> None:
    """They begin on a first at midnight, which the standard library's calendar says too."""
    begins = EPOCH + timedelta(seconds=calendar_period(Term.MONTH, now).begins)
    moment = EPOCH + timedelta(seconds=now)
    assert begins == moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    monday = EPOCH + timedelta(seconds=calendar_period(Term.WEEK, now).begins)
    assert monday.weekday() == 0


@pytest.mark.parametrize("now", [-1e15, 1e15, 253402300799.0])
@pytest.mark.parametrize("term", [Term.DAY, Term.WEEK, Term.MONTH])
def test_beyond_the_calendar_time_stands_still(term: Term, now: float) -> None:
    """A clock that is off by millennia breaks nothing."""
    assert calendar_period(term, now) == calendar_period(term, now * 1.5 if abs(now) > 1e14 else now)


def test_what_never_starts_anew_has_one_period() -> None:
    """A total, a term that rolls, and a limit for each run."""
    assert calendar_period(Term.TOTAL, 1e9) == ALWAYS == Period(0)
    assert period_of(limit(Term.DAY, rolling=True), 1e9) == ALWAYS
    assert period_of(limit(Term.DAY, per_run=True), 1e9) == ALWAYS
    assert period_of(limit(Term.DAY), 1e9) == calendar_period(Term.DAY, 1e9)


def test_what_is_added_up() -> None:
    """Days for the calendar; hours for a rolling day, days for more; one sum for all time."""
    now = at("2026-03-01T12:30")
    today = int(now) // DAY
    assert buckets_of(limit(Term.TOTAL), now) == Buckets(0)
    assert buckets_of(limit(Term.DAY), now) == Buckets(DAY, today, today + 1)
    assert buckets_of(limit(Term.WEEK), now) == Buckets(DAY, today - 6, today + 1)
    assert buckets_of(limit(Term.MONTH), now) == Buckets(DAY, today, today + 31)
    assert buckets_of(limit(Term.DAY, rolling=True), now) == Buckets(3600, int(now) // 3600 - 24)
    assert buckets_of(limit(Term.WEEK, rolling=True), now) == Buckets(DAY, today - 7)
    assert buckets_of(limit(Term.MONTH, rolling=True), now) == Buckets(DAY, today - 30)


@given(term=st.sampled_from(TERMS[1:]), now=SECONDS, before=st.integers(0, 40 * DAY))
def test_a_rolling_term_counts_all_that_lies_within(term: Term, now: int, before: int) -> None:
    """And at most one bucket more, which is over when the next one begins."""
    buckets = buckets_of(limit(term, rolling=True), now)
    is_counted = (now - before) // buckets.grain >= buckets.first
    assert is_counted or before > ROLLING_SECONDS[term]
    assert not is_counted or before <= ROLLING_SECONDS[term] + buckets.grain
    edge = next_bucket(limit(term, rolling=True), now)
    assert now < edge <= now + buckets.grain
    assert buckets_of(limit(term, rolling=True), edge).first == buckets.first + 1


@given(amount=AMOUNTS, spent=AMOUNTS, least=st.integers(0, 2**50), holders=st.integers(0, 500))
@example(amount=10, spent=0, least=1, holders=4)
def test_a_chunk_is_what_is_needed_and_little_more(amount: int, spent: int, least: int, holders: int) -> None:
    """Never more than remains or less than is needed if there is so much; beyond that 2.5 % over all holders."""
    remaining = amount - spent
    size = chunk(amount, remaining, least, holders)
    assert 0 <= size <= max(0, remaining)
    assert size >= min(least, remaining)
    if size > least:
        assert size * max(1, holders) * 40 <= amount
        assert size * max(1, holders) * 4 <= remaining


def test_a_run_has_its_own_instance_of_a_limit() -> None:
    """Named after the key and the run, so that two keys cannot share one, or a key make one that another has."""
    digest = hashlib.sha256(b"key_1\0r").hexdigest()[:16]
    assert run_limit("lim_1", "key_1", "r") == f"lim_1@{digest}"
    assert run_limit("lim_1", "key_1", "r") != run_limit("lim_1", "key_2", "r")
    assert base_limit(f"lim_1@{digest}") == base_limit("lim_1") == "lim_1"
