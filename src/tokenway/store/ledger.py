"""Journal records into ledger rows: exactly once, and cheaply, because each exchange of the gateway pays for it.

Exactly once: the position in the journal is written in the transaction that writes the rows, so a crash
between two batches repeats nothing. The ids are the second guard: a record that is there already is a replay
and changes nothing, and the transition table of `metering.ledger` says what may follow what.

Cheaply: rows go to the driver as tuples, whole batches at a time. A batch is first written as if every record
were new, which is the rule; only when an id turns out to be there is the batch undone and looked at record by
record. A reservation that is settled in the batch it came with is never written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from operator import itemgetter
from typing import Any, Final

import sqlalchemy as sa
from msgspec.structs import astuple, replace

from tokenway.metering.ledger import (
    Expired,
    LedgerFault,
    Line,
    Record,
    Reserved,
    Settled,
    Settlement,
    State,
    follow,
)
from tokenway.metering.stamps import output_speed, ttft
from tokenway.model.usage import BUCKETS, Usage
from tokenway.store.base import Committed, Progress
from tokenway.store.database import Database
from tokenway.store.schema import (
    EXPIRED_ATTEMPT,
    INLINE_BUCKETS,
    KIND_FIELDS,
    attempts,
    exchanges,
    journal_positions,
    kinds,
    reservations,
)

SECONDS_PER_DAY: Final = 86_400
_KINDS_MAX: Final = 20_000
"""Kinds that are kept in memory; the cache starts again when a caller makes more."""
_PAYABLE: Final = (Settlement.DELIVERED, Settlement.UPSTREAM_BILLED)
_IDS_PER_QUERY: Final = 500
_INTEGER_MAX: Final = 2**63 - 1
_NO_BUCKETS: Final = (None,) * len(BUCKETS)
_NO_FIGURES: Final = (None,) * len(INLINE_BUCKETS)

# The arithmetic is the same in every database that has ON CONFLICT; positional parameters are the driver's.
_ADD_SPEND: Final = (
    "INSERT INTO spend (key, day, requests, charged, last_used) VALUES (?, ?, ?, ?, ?) "
    "ON CONFLICT (key, day) DO UPDATE SET requests = spend.requests + excluded.requests, "
    "charged = spend.charged + excluded.charged, last_used = max(spend.last_used, excluded.last_used)"
)
_ADD_RESERVATION: Final = (
    "INSERT INTO reservations (id, at, key, project, amount, owner) SELECT ?, ?, ?, ?, ?, ? "
    "WHERE NOT EXISTS (SELECT 1 FROM exchanges WHERE id = ?) ON CONFLICT DO NOTHING"
)
_CLOSE_RESERVATION: Final = "DELETE FROM reservations WHERE id = ?"
_SET_POSITION: Final = (
    "INSERT INTO journal_positions (journal, name, read_bytes) VALUES (?, ?, ?) "
    "ON CONFLICT (journal) DO UPDATE SET read_bytes = excluded.read_bytes"
)

Row = tuple[Any, ...]
Kind = tuple[Row, int, int | None]
"""The values of _KIND_FIELDS, the number of attempts, and the inline attempt."""

_KIND_FIELDS: Final = tuple(name for name in KIND_FIELDS if name not in {"attempts", "inline_attempt"})
_kind_fields = itemgetter(*(Settled.__struct_fields__.index(name) for name in _KIND_FIELDS))
_inline_buckets = itemgetter(*(BUCKETS.index(name) for name in INLINE_BUCKETS))
_apart_buckets = itemgetter(*(BUCKETS.index(name) for name in BUCKETS if name not in INLINE_BUCKETS))
_NOTHING_APART: Final = (0,) * (len(BUCKETS) - len(INLINE_BUCKETS))


class _Batch:
    """The rows that a batch of records comes to."""

    def __init__(self) -> None:
        self.exchanges: list[Row] = []
        self.attempts: list[Row] = []
        self.opened: dict[str, Reserved] = {}
        self.closed: list[Row] = []
        self.settled: list[Settled] = []
        self.spend: dict[tuple[str, int], list[Any]] = {}
        self.unreserved = 0


class SqlLedger:
    """The ledger in a database; see `base.LedgerStore` for what each method promises."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        self._kinds: dict[Kind, int] = {}
        self._open: set[str] | None = None
        self._insert_exchange = database.statement(exchanges.insert())
        self._insert_attempt = database.statement(attempts.insert())

    def offset(self, journal: str) -> int:
        """Bytes of this journal that are in the ledger; 0 for one that was never read."""
        table = journal_positions.c
        with self._database.read() as connection:
            return connection.execute(sa.select(table.read_bytes).where(table.journal == journal)).scalar() or 0

    def positions(self) -> list[str]:
        """The journals with a position."""
        with self._database.read() as connection:
            return list(connection.execute(sa.select(journal_positions.c.journal)).scalars())

    def forget(self, journal: str) -> None:
        """Drops the position of a journal whose file is gone."""
        with self._database.write() as connection:
            connection.execute(journal_positions.delete().where(journal_positions.c.journal == journal))

    def owners(self) -> set[str]:
        """The owners of open reservations."""
        query = sa.select(reservations.c.owner).where(reservations.c.expired.is_(None)).distinct()
        with self._database.read() as connection:
            return set(connection.execute(query).scalars())

    def commit(self, progress: Progress, records: Sequence[Record]) -> Committed:
        """Writes the records and the progress in one transaction: both or neither."""
        try:
            with self._transaction() as connection:
                batch = self._write(connection, progress, records, self._known(connection))
            replayed = 0
        except OverflowError:
            # A provider counted beyond 64 bits; one such record must not hold up the journal for ever.
            return self.commit(progress, [_bounded(record) for record in records])
        except self._database.integrity_error:
            with self._transaction() as connection:
                known = self._known(connection)
                fresh = self._without_replays(connection, records, known)
                batch = self._write(connection, progress, fresh, known)
            replayed = len(records) - len(fresh)
        if self._open is not None:
            self._open.difference_update(row[0] for row in batch.closed)
            self._open.update(batch.opened)
        return Committed(batch.settled, replayed, batch.unreserved)

    def expire(self, owner: str) -> list[Reserved]:
        """Closes what `owner` left open, and gives it back."""
        now = self._clock()
        table = reservations.c
        mine = (table.owner == owner, table.expired.is_(None))
        query = sa.select(table.id, table.at, table.key, table.project, table.amount).where(*mine)
        with self._transaction() as connection:
            lost = [Reserved(*row) for row in connection.execute(query)]
            for record in lost:
                connection.exec_driver_sql(self._insert_exchange, self._expired_row(connection, record, now))
                entry = (record.id, EXPIRED_ATTEMPT, "", Settlement.EXPIRED.value, 0, None, 0, "", 0, *_NO_BUCKETS)
                connection.exec_driver_sql(self._insert_attempt, entry)
            connection.execute(reservations.update().where(*mine).values(expired=now))
        if self._open is not None:
            self._open.difference_update(record.id for record in lost)
        return lost

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        try:
            with self._database.write() as connection:
                yield connection
        except BaseException:
            # After a rollback nothing that was remembered of this transaction is true.
            self._kinds.clear()
            self._open = None
            raise

    def _known(self, connection: sa.Connection) -> set[str]:
        """The ids of the open reservations that are in the table."""
        if self._open is None:
            query = sa.select(reservations.c.id).where(reservations.c.expired.is_(None))
            self._open = set(connection.execute(query).scalars())
        return self._open

    def _write(
        self, connection: sa.Connection, progress: Progress, records: Sequence[Record], known: set[str]
    ) -> _Batch:
        """Writes a batch as if all of it were new. Raises the driver's IntegrityError when it is not."""
        batch = self._rows(connection, records, known)
        # The driver's own cursor: a batch is small when little happens, and then wrappers would cost the most.
        cursor = connection.connection.cursor()
        if batch.exchanges:
            cursor.executemany(self._insert_exchange, batch.exchanges)
        if batch.attempts:
            cursor.executemany(self._insert_attempt, batch.attempts)
        if batch.spend:
            cursor.executemany(_ADD_SPEND, [(*key, *sums) for key, sums in batch.spend.items()])
        if batch.closed:
            cursor.executemany(_CLOSE_RESERVATION, batch.closed)
        if batch.opened:
            owner = progress.owner
            rows = [(r.id, r.at, r.key, r.project, r.amount, owner, r.id) for r in batch.opened.values()]
            cursor.executemany(_ADD_RESERVATION, rows)
        cursor.execute(_SET_POSITION, (progress.journal, progress.name, progress.offset))
        cursor.close()
        return batch

    def _rows(self, connection: sa.Connection, records: Sequence[Record], known: set[str]) -> _Batch:
        batch = _Batch()
        opened, closed = batch.opened, batch.closed
        for record in records:
            if type(record) is Settled:
                if opened.pop(record.id, None) is None:
                    if record.id in known:
                        closed.append((record.id,))
                    else:
                        # Its reservation may have been damaged in the journal. The money is real all the same.
                        batch.unreserved += 1
                self._add(connection, batch, record)
            elif type(record) is Reserved:
                opened[record.id] = record
        return batch

    def _add(self, connection: sa.Connection, batch: _Batch, record: Settled) -> None:
        """The rows of one exchange. This is the hot function of the control process."""
        lines = record.lines
        stamps = record.stamps
        attempt: int | None = None
        if len(lines) == 1 and (figures := _inline_figures(lines[0], record)) is not None:
            line = lines[0]
            attempt, cost, tokens = line.attempt, line.cost, figures[2] + figures[3]
        else:
            cost, tokens, figures = None, _answer_tokens(record), _NO_FIGURES
            batch.attempts.extend(_attempt_rows(record))
        kind = (_kind_fields(astuple(record)), len(lines), attempt)
        at, charged = record.at, record.charged
        batch.exchanges.append(
            (
                record.id,
                at,
                self._kinds.get(kind) or self._new_kind(connection, kind),
                record.run or None,
                charged,
                cost,
                ttft(stamps),
                stamps.end - stamps.received if stamps.end else None,
                output_speed(stamps, tokens),
                record.overhead,
                *figures,
            )
        )
        batch.settled.append(record)
        day = (record.key, int(at // SECONDS_PER_DAY))
        sums = batch.spend.get(day)
        if sums is None:
            batch.spend[day] = [1, charged, at]
        else:
            sums[0] += 1
            sums[1] += charged
            sums[2] = max(sums[2], at)

    def _new_kind(self, connection: sa.Connection, kind: Kind) -> int:
        """The number of a kind that is not in memory: from the table, or a new row."""
        if len(self._kinds) >= _KINDS_MAX:
            self._kinds.clear()
        fields, count, attempt = kind
        values = dict(zip(_KIND_FIELDS, fields, strict=True))
        values.update(
            stream=int(values["stream"]),
            slow=int(values["slow"]),
            settlement=values["settlement"].value,
            attempts=count,
            inline_attempt=attempt,
        )
        same = [kinds.c[name].is_not_distinct_from(value) for name, value in values.items()]
        number: int | None = connection.execute(sa.select(kinds.c.id).where(*same)).scalar()
        if number is None:
            number = int(connection.execute(kinds.insert().values(**values).returning(kinds.c.id)).scalar_one())
        self._kinds[kind] = number
        return number

    def _expired_row(self, connection: sa.Connection, record: Reserved, now: float) -> Row:
        fields = (record.key, record.project, "", "", "", "", False, Settlement.EXPIRED, 0, False, "", "")
        kind = (fields, 0, None)
        number = self._kinds.get(kind) or self._new_kind(connection, kind)
        return (record.id, now, number, None, 0, None, None, None, None, 0.0, *_NO_FIGURES)

    @staticmethod
    def _without_replays(connection: sa.Connection, records: Sequence[Record], known: set[str]) -> list[Record]:
        """The records that change something, by the transition table."""
        states = _states(connection, {record.id for record in records})
        fresh: list[Record] = []
        late: list[Row] = []
        for record in records:
            state = states.get(record.id, State.ABSENT)
            try:
                after = follow(state, record)
            except LedgerFault:
                # A settlement without a reservation: `_rows` keeps it and counts it.
                after = State.SETTLED
            if after is state:
                continue
            if state is State.EXPIRED:
                late.append((record.id,))
                known.add(record.id)
            states[record.id] = after
            fresh.append(record)
        if late:
            # The expired exchange gives its place to what was found; its entry in `attempts` stays.
            connection.exec_driver_sql("DELETE FROM exchanges WHERE id = ?", late)
        return fresh


def _states(connection: sa.Connection, ids: Iterable[str]) -> dict[str, State]:
    """Where each exchange stands; those that are not in the ledger are left out."""
    states: dict[str, State] = {}
    wanted = sorted(ids)
    for start in range(0, len(wanted), _IDS_PER_QUERY):
        some = wanted[start : start + _IDS_PER_QUERY]
        query = sa.select(reservations.c.id).where(reservations.c.id.in_(some), reservations.c.expired.is_(None))
        states.update(dict.fromkeys(connection.execute(query).scalars(), State.OPEN))
        found = sa.select(exchanges.c.id, kinds.c.settlement).join(kinds, kinds.c.id == exchanges.c.kind)
        for exchange, settlement in connection.execute(found.where(exchanges.c.id.in_(some))):
            states[exchange] = State.EXPIRED if settlement == Settlement.EXPIRED else State.SETTLED
    return states


def _inline_figures(line: Line, record: Settled) -> Row | None:
    """INLINE_BUCKETS when the exchange's own row says all there is to say about its only attempt, else None."""
    usage = line.usage
    if (
        usage is None
        or line.settlement is not record.settlement
        or line.status != record.status
        or line.endpoint != record.endpoint
        or line.fault
        or line.absurd
    ):
        return None
    counts = astuple(usage)
    return _inline_buckets(counts) if _apart_buckets(counts) == _NOTHING_APART else None


def _bounded(record: Record) -> Record:
    """The record with every number cut to what a column holds; what had to be cut is absurd and costs nothing."""
    if isinstance(record, Reserved):
        return replace(record, amount=_cut(record.amount))
    if isinstance(record, Expired):
        return record
    lines = []
    for line in record.lines:
        usage = line.usage and Usage(*map(_cut, astuple(line.usage)))
        cost = line.cost if line.cost is None or line.cost == _cut(line.cost) else None
        is_cut = usage != line.usage or cost != line.cost
        lines.append(replace(line, usage=usage, cost=None, absurd=True) if is_cut else line)
    return replace(record, charged=_cut(record.charged), lines=tuple(lines))


def _cut(number: int) -> int:
    return max(-_INTEGER_MAX, min(_INTEGER_MAX, number))


def _answer(record: Settled) -> Line | None:
    """The attempt that the caller pays for: the one that answered."""
    for line in record.lines:
        if line.settlement in _PAYABLE:
            return line
    return None


def _answer_tokens(record: Settled) -> int:
    line = _answer(record)
    return line.usage.output_tokens if line is not None and line.usage is not None and not line.absurd else 0


def _attempt_rows(record: Settled) -> Iterable[Row]:
    """One row per line. What the key pays stands with the attempt that answered, else with the last."""
    payer = _answer(record) or (record.lines[-1] if record.lines else None)
    for line in record.lines:
        usage = line.usage
        yield (
            record.id,
            line.attempt,
            line.endpoint,
            line.settlement.value,
            record.charged if line is payer else 0,
            line.cost,
            line.status,
            line.fault,
            1 if line.absurd else 0,
            *(_NO_BUCKETS if usage is None else (getattr(usage, name) for name in BUCKETS)),
        )
