"""Proves the ledger: every sum equals the entries, debits equal credits, and no reservation was settled twice.

    roll-ups = entries             per minute, hour and day, each column
    spending = entries             per hour and day; in all it is the sum of the days
    balances = transfers + entries, by the roll-ups of the days; debits = credits
    agents   = entries             runs are the sum of their agents
    reservations                   none is open whose exchange is over; each that expired is an exchange, visibly
    entries                        as many as their exchange says, with its charge, and no count below nothing

Entries that retention has dropped cannot be counted any more: the hours of those days are compared with the days.

Each comparison is one query that adds up what is said on one side and subtracts what is said on the other, so that only
what differs leaves the database. All of them see one state of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from tokenway.metering.ledger import Settlement
from tokenway.model.usage import BUCKETS
from tokenway.store.database import Database
from tokenway.store.recount import SPENT, of_agents, rolled, spent
from tokenway.store.retention import Kept, kept_since
from tokenway.store.schema import (
    EXPIRED_ATTEMPT,
    FACET_FIELDS,
    RUN_SUMS,
    SUMS,
    attempts,
    balances,
    entries,
    exchanges,
    facets,
    kinds,
    reservations,
    rollups,
    run_agents,
    runs,
    spend,
    transfers,
)
from tokenway.store.sums import ABSORBED, ALL_TIME, COST, DAY, HOUR, MINUTE, SALES, WALLET, provider_of

FAULTS_MAX: Final = 1_000
"""More are not listed: a ledger that is wrong everywhere needs no longer list."""
_NAMES: Final = {MINUTE: "minute", HOUR: "hour", DAY: "day", ALL_TIME: "all time"}
_SCOPES: Final = {"key": "key", "project": "project", "user": "user_id", "model": "model"}

_NOTHING: Final = sa.cast(sa.null(), sa.Double)

Balance = tuple[int, int]
"""Debits and credits."""


class OpenReservation(msgspec.Struct, frozen=True):
    """A reservation that waits for its settlement; money is nano-dollars, its age is in seconds."""

    id: str
    key: str
    amount: int
    age: float
    owner: str
    node: str


class Verification(msgspec.Struct):
    """What was looked at, and each fault in a line."""

    exchanges: int = 0
    entries: int = 0
    debits: int = 0
    credits: int = 0
    opened: list[OpenReservation] = []
    faults: list[str] = []

    @property
    def holds(self) -> bool:
        """Whether there is no fault."""
        return not self.faults


def verify(database: Database, now: float, *, since: float = 0.0) -> Verification:
    """Compares everything that can be compared; with `since` (Unix time) entries, and their sums, from that day on."""
    found = Verification(opened=[], faults=[])
    checks: Sequence[Callable[[sa.Connection, float, Kept], Iterator[str]]] = (
        _rollups,
        _days,
        _spending,
        _agents,
        _runs,
        _entries,
        _reservations,
    )
    with database.read() as connection:
        kept = kept_since(connection)
        start = max(float(since // DAY * DAY), kept.entries)
        found.exchanges = _count(connection, exchanges, exchanges.c.at >= start)
        found.entries = _count(connection, entries, (entries.c.at >= start) & (entries.c.attempt != EXPIRED_ATTEMPT))
        for check in checks:
            _take(found, check(connection, start, kept))
        _take(found, _balances(connection, found))
        found.opened = _opened(connection, now)
    return found


def _take(found: Verification, faults: Iterator[str]) -> None:
    for fault in faults:
        if len(found.faults) == FAULTS_MAX:
            found.faults.append(f"more than {FAULTS_MAX} faults: the rest is not listed")
        if len(found.faults) > FAULTS_MAX:
            return
        found.faults.append(fault)


def _count(connection: sa.Connection, table: sa.FromClause, condition: sa.ColumnElement[bool]) -> int:
    return connection.execute(sa.select(sa.func.count()).select_from(table).where(condition)).scalar() or 0


def _differences(
    connection: sa.Connection, parts: Sequence[sa.Select[Any]], place: Sequence[str], names: Sequence[str]
) -> Iterator[tuple[tuple[Any, ...], str]]:
    """Where the parts, added up, are not nothing: the place, and which columns are too high or too low there.

    What is stored comes with its sign turned, so what is left over is what the stored sum lacks.
    """
    both = sa.union_all(*parts).subquery()
    sums = [sa.func.sum(both.c[name]).label(name) for name in names]
    groups = [both.c[name] for name in place]
    query = sa.select(*groups, *sums).group_by(*groups).having(sa.or_(*(value != 0 for value in sums)))
    for row in connection.execute(query.order_by(*groups)):
        lacks = dict(zip(names, row[len(place) :], strict=True))
        wrong = ", ".join(
            f"{name} {abs(int(value))} too {'low' if value > 0 else 'high'}" for name, value in lacks.items() if value
        )
        yield tuple(row[: len(place)]), wrong


def _rollups(connection: sa.Connection, start: float, kept: Kept) -> Iterator[str]:
    for grain, first in ((MINUTE, kept.minutes), (HOUR, kept.hours), (DAY, 0.0)):
        since = max(start, first)
        table = rollups.c
        stored = (
            sa.select(table.bucket, *(facets.c[name] for name in FACET_FIELDS), *(-table[name] for name in SUMS))
            .join(facets, facets.c.id == table.facet)
            .where(table.grain == grain, table.bucket >= int(since // grain))
        )
        place = ("bucket", *FACET_FIELDS)
        for at, wrong in _differences(connection, [*rolled(grain, since), stored], place, SUMS):
            yield f"roll-up of the {_moment(grain, at[0])}, {_facet(at[1:])}: {wrong}"


def _days(connection: sa.Connection, start: float, kept: Kept) -> Iterator[str]:
    """Days before the entries that are looked at: the sum of their hours, as long as these are kept."""
    table = rollups.c
    first, last = -int(-kept.hours // DAY), int(start // DAY)
    day = (table.bucket * HOUR // DAY).label("day")
    hours = sa.select(day, table.facet, *(table[name] for name in SUMS)).where(table.grain == HOUR)
    days = sa.select(table.bucket, table.facet, *(-table[name] for name in SUMS)).where(table.grain == DAY)
    parts = [
        hours.where(table.bucket >= first * DAY // HOUR, table.bucket < last * DAY // HOUR),
        days.where(table.bucket >= first, table.bucket < last),
    ]
    for (number, facet), wrong in _differences(connection, parts, ("day", "facet"), SUMS):
        named = connection.execute(sa.select(facets).where(facets.c.id == facet)).first()
        yield f"roll-up of the {_moment(DAY, number)}, {_facet(tuple(named)[1:] if named else ())}, by its hours: {wrong}"


def _spending(connection: sa.Connection, start: float, kept: Kept) -> Iterator[str]:
    table = spend.c
    for grain, first in ((HOUR, kept.hours), (DAY, 0.0)):
        since = max(start, first)
        counted = sa.union_all(*spent(grain, since)).subquery()
        sums = [sa.func.sum(counted.c[name]).label(name) for name in SPENT]
        last = sa.func.max(counted.c.last_used).label("last_used")
        by_kind = sa.select(counted.c.bucket, counted.c.kind, *sums, last)
        by_kind = by_kind.group_by(counted.c.bucket, counted.c.kind)
        source = by_kind.cte(f"spent_{grain}")
        parts = [_of_scope(source, scope, column) for scope, column in _SCOPES.items()]
        stored = sa.select(
            table.scope, table.subject, table.bucket, *(-table[name] for name in SPENT), _NOTHING, table.last_used
        ).where(table.grain == grain, table.bucket >= int(since // grain))
        place = ("scope", "subject", "bucket")
        for (scope, subject, number), wrong in _differences(connection, [*parts, stored], place, SPENT):
            yield f"spending of {scope} {subject} in the {_moment(grain, number)}: {wrong}"
        yield from _last_used(connection, [*parts, stored], grain)
    days = sa.select(table.scope, table.subject, *(table[name] for name in SPENT)).where(table.grain == DAY)
    ever = sa.select(table.scope, table.subject, *(-table[name] for name in SPENT)).where(table.grain == ALL_TIME)
    for (scope, subject), wrong in _differences(connection, [days, ever], ("scope", "subject"), SPENT):
        yield f"spending of {scope} {subject} in all, by its days: {wrong}"


def _of_scope(source: sa.CTE, scope: str, column: str) -> sa.Select[Any]:
    subject, c = kinds.c[column], source.c
    columns = (c[name] for name in SPENT)
    query = sa.select(sa.literal(scope).label("scope"), subject.label("subject"), c.bucket, *columns, c.last_used)
    query = query.add_columns(_NOTHING.label("stored")).join(kinds, kinds.c.id == c.kind)
    return query.where(subject != "")


def _last_used(connection: sa.Connection, parts: Sequence[sa.Select[Any]], grain: int) -> Iterator[str]:
    both = sa.union_all(*parts).subquery()
    place = [both.c[name] for name in ("scope", "subject", "bucket")]
    told, stored = sa.func.max(both.c.last_used), sa.func.max(both.c.stored)
    query = sa.select(*place, told, stored).group_by(*place).having(told != stored)
    for scope, subject, number, wanted, had in connection.execute(query.order_by(*place)):
        yield f"spending of {scope} {subject} in the {_moment(grain, number)}: last used at {had}, not {wanted}"


def _agents(connection: sa.Connection, start: float, _kept: Kept) -> Iterator[str]:
    """Agents whose calls are all looked at."""
    table = run_agents.c
    place = ("key", "run", "agent")
    counted = sa.union_all(*of_agents(start)).subquery()
    is_whole = counted.c.key + " " + counted.c.run  # as one text: rows are not compared alike everywhere
    older = sa.select(runs.c.key + " " + runs.c.run).where(runs.c.started < start)
    told = sa.select(*(counted.c[name] for name in (*place, *RUN_SUMS))).where(is_whole.not_in(older))
    stored = sa.select(*(table[name] for name in place), *(-table[name] for name in RUN_SUMS))
    stored = stored.where((table.key + " " + table.run).not_in(older))
    for (key, run, agent), wrong in _differences(connection, [told, stored], place, RUN_SUMS):
        yield f"run {run} of {key}, agent {agent or 'itself'}: {wrong}"


def _runs(connection: sa.Connection, _start: float, _kept: Kept) -> Iterator[str]:
    place = ("key", "run")
    agents, table = run_agents.c, runs.c
    told = sa.select(agents.key, agents.run, *(agents[name] for name in RUN_SUMS))
    stored = sa.select(table.key, table.run, *(-table[name] for name in RUN_SUMS))
    for (key, run), wrong in _differences(connection, [told, stored], place, RUN_SUMS):
        yield f"run {run} of {key}, by its agents: {wrong}"
    ends = (
        sa.select(agents.key, agents.run, sa.func.min(agents.started).label("b"), sa.func.max(agents.ended).label("e"))
        .group_by(agents.key, agents.run)
        .subquery()
    )
    query = sa.select(table.key, table.run).join(ends, (ends.c.key == table.key) & (ends.c.run == table.run))
    for key, run in connection.execute(query.where((ends.c.b != table.started) | (ends.c.e != table.ended))):
        yield f"run {run} of {key}: it does not begin, or end, when its agents do"


def _entries(connection: sa.Connection, start: float, _kept: Kept) -> Iterator[str]:
    x, k, a = exchanges.c, kinds.c, attempts.c
    many = sa.func.count(a.attempt)
    query = (
        sa.select(x.id, k.attempts, many, x.charged, sa.func.coalesce(sa.func.sum(a.charged), 0))
        .join_from(exchanges, kinds, k.id == x.kind)
        .outerjoin(attempts, (a.exchange == x.id) & (a.attempt != EXPIRED_ATTEMPT))
        .where(x.at >= start, k.inline_attempt.is_(None))
        .group_by(x.id, k.attempts, x.charged)
        .having((many != k.attempts) | ((many > 0) & (sa.func.coalesce(sa.func.sum(a.charged), 0) != x.charged)))
    )
    for identity, said, there, charged, sum_charged in connection.execute(query):
        yield (f"exchange {identity}: {there} entries of {said}, which charge {sum_charged} of {charged} nano-dollars")
    orphans = sa.select(a.exchange).distinct().outerjoin(exchanges, x.id == a.exchange).where(x.id.is_(None))
    for identity in connection.execute(orphans).scalars():
        yield f"entry of {identity}: there is no such exchange"
    below = sa.or_(*(entries.c[name] < 0 for name in BUCKETS), entries.c.charged < 0, entries.c.cost < 0)
    negative = sa.select(entries.c.exchange, entries.c.attempt).where(
        entries.c.at >= start, entries.c.absurd == 0, below
    )
    for identity, attempt in connection.execute(negative):
        yield f"entry {attempt} of {identity}: a count or an amount is below nothing"


def _reservations(connection: sa.Connection, start: float, _kept: Kept) -> Iterator[str]:
    r, x, k = reservations.c, exchanges.c, kinds.c
    over = sa.select(r.id, k.settlement, r.expired).join_from(reservations, exchanges, x.id == r.id)
    for identity, settlement, expired in connection.execute(over.join(kinds, k.id == x.kind)):
        if expired is None:
            yield f"reservation {identity}: it is open, and its exchange is over ({settlement})"
        elif settlement != Settlement.EXPIRED.value:
            yield f"reservation {identity}: it expired, and its exchange was settled ({settlement})"
    lost = sa.select(r.id).outerjoin(exchanges, x.id == r.id)
    for identity in connection.execute(lost.where(r.expired.is_not(None), x.id.is_(None), r.at >= start)).scalars():
        yield f"reservation {identity}: it expired, and there is no exchange that says so"
    silent = sa.select(x.id).join(kinds, k.id == x.kind).outerjoin(reservations, r.id == x.id)
    silent = silent.where(k.settlement == Settlement.EXPIRED.value, r.id.is_(None), x.at >= start)
    for identity in connection.execute(silent).scalars():
        yield f"exchange {identity}: it expired, and there was no reservation"


def _balances(connection: sa.Connection, found: Verification) -> Iterator[str]:
    wanted = _accounts(connection)
    table = balances.c
    query = sa.select(table.account, sa.func.sum(table.debits), sa.func.sum(table.credits)).group_by(table.account)
    stored = {account: (int(debits), int(credited)) for account, debits, credited in connection.execute(query)}
    for account in sorted(wanted.keys() | stored.keys()):
        debits, credited = wanted.get(account, (0, 0))
        had = stored.get(account, (0, 0))
        if had != (debits, credited):
            yield (
                f"balance of {account}: {had[0]} debits and {had[1]} credits, "
                f"but transfers and entries come to {debits} and {credited}"
            )
    found.debits = sum(debits for debits, _ in stored.values())
    found.credits = sum(credited for _, credited in stored.values())
    if found.debits != found.credits:
        yield f"the debits of all accounts are {found.debits} nano-dollars, and their credits {found.credits}"


def _accounts(connection: sa.Connection) -> dict[str, Balance]:
    """What each account should stand at."""
    wanted: dict[str, list[int]] = {}

    def post(debit: str, credit: str, amount: int) -> None:
        if amount:
            wanted.setdefault(debit, [0, 0])[0] += amount
            wanted.setdefault(credit, [0, 0])[1] += amount

    t, r, f = transfers.c, rollups.c, facets.c
    moved = sa.select(t.debit, t.credit, sa.func.sum(t.amount)).group_by(t.debit, t.credit)
    for debit, credit, amount in connection.execute(moved):
        post(debit, credit, int(amount))
    sums = (sa.func.sum(r.charged), sa.func.sum(r.cost), sa.func.sum(r.absorbed))
    days = sa.select(f.project, f.endpoint, *sums).join(facets, f.id == r.facet).where(r.grain == DAY)
    for project, endpoint, charged, cost, absorbed in connection.execute(days.group_by(f.project, f.endpoint)):
        post(WALLET + project, SALES, int(charged))
        post(COST, provider_of(endpoint), int(cost - absorbed))
        post(ABSORBED, provider_of(endpoint), int(absorbed))
    return {account: (debits, credited) for account, (debits, credited) in wanted.items()}


def _opened(connection: sa.Connection, now: float) -> list[OpenReservation]:
    r = reservations.c
    query = sa.select(r.id, r.key, r.amount, r.at, r.owner, r.node).where(r.expired.is_(None)).order_by(r.at, r.id)
    return [
        OpenReservation(identity, key, amount, max(0.0, now - at), owner, node)
        for identity, key, amount, at, owner, node in connection.execute(query)
    ]


def _moment(grain: int, number: int) -> str:
    at = datetime.fromtimestamp(number * grain, UTC)
    return f"{_NAMES[grain]} {at:%Y-%m-%d}" if grain == DAY else f"{_NAMES[grain]} {at:%Y-%m-%dT%H:%M}Z"


def _facet(values: Sequence[str]) -> str:
    return " ".join(f"{name}={value}" for name, value in zip(FACET_FIELDS, values, strict=False) if value) or "no facet"
