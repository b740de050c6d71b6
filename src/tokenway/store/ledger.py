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
from typing import Any, Final

import sqlalchemy as sa

from tokenway.metering.ledger import (
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
from tokenway.model.usage import BUCKETS
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
_SET_POSITION: Final = (
    "INSERT INTO journal_positions (journal, name, read_bytes) VALUES (?, ?, ?) "
    "ON CONFLICT (journal) DO UPDATE SET read_bytes = excluded.read_bytes"
)

Row = tuple[Any, ...]


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
        self._kinds: dict[Row, int] = {}
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
        except sa.exc.IntegrityError:
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
        """Writes a batch as if all of it were new. Raises IntegrityError when it is not."""
        batch = self._rows(connection, records, known)
        run = connection.exec_driver_sql
        if batch.exchanges:
            run(self._insert_exchange, batch.exchanges)
        if batch.attempts:
            run(self._insert_attempt, batch.attempts)
        if batch.spend:
            run(_ADD_SPEND, [(*key, *sums) for key, sums in batch.spend.items()])
        if batch.closed:
            run("DELETE FROM reservations WHERE id = ?", batch.closed)
        if batch.opened:
            owner = progress.owner
            rows = [(r.id, r.at, r.key, r.project, r.amount, owner, r.id) for r in batch.opened.values()]
            run(_ADD_RESERVATION, rows)
        run(_SET_POSITION, (progress.journal, progress.name, progress.offset))
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
        line = lines[0] if len(lines) == 1 else None
        usage = line.usage if line is not None and _fits_inline(line, record) else None
        kind = (
            record.key,
            record.project,
            record.model,
            record.endpoint,
            record.operation,
            record.dialect,
            1 if record.stream else 0,
            str.__str__(record.settlement),
            record.status,
            len(lines),
            1 if record.slow else 0,
            record.finish_reason,
            record.error_type,
            None if line is None or usage is None else line.attempt,
        )
        stamps = record.stamps
        if line is not None and usage is not None:
            tokens, cost = usage.output_tokens, line.cost
            figures: Row = (usage.input_uncached, usage.cache_read, usage.output_text, usage.reasoning, usage.requests)
        else:
            tokens, cost, figures = _answer_tokens(record), None, _NO_FIGURES
            batch.attempts.extend(_attempt_rows(record))
        batch.exchanges.append(
            (
                record.id,
                record.at,
                self._kinds.get(kind) or self._new_kind(connection, kind),
                record.run or None,
                record.charged,
                cost,
                ttft(stamps),
                stamps.end - stamps.received if stamps.end else None,
                output_speed(stamps, tokens),
                record.overhead,
                *figures,
            )
        )
        batch.settled.append(record)
        day = int(record.at // SECONDS_PER_DAY)
        sums = batch.spend.get((record.key, day))
        if sums is None:
            batch.spend[record.key, day] = [1, record.charged, record.at]
        else:
            sums[0] += 1
            sums[1] += record.charged
            sums[2] = max(sums[2], record.at)

    def _new_kind(self, connection: sa.Connection, kind: Row) -> int:
        """The number of a kind that is not in memory: from the table, or a new row."""
        if len(self._kinds) >= _KINDS_MAX:
            self._kinds.clear()
        fields = dict(zip(KIND_FIELDS, kind, strict=True))
        same = [kinds.c[name].is_not_distinct_from(value) for name, value in fields.items()]
        number: int | None = connection.execute(sa.select(kinds.c.id).where(*same)).scalar()
        if number is None:
            number = int(connection.execute(kinds.insert().values(**fields).returning(kinds.c.id)).scalar_one())
        self._kinds[kind] = number
        return number

    def _expired_row(self, connection: sa.Connection, record: Reserved, now: float) -> Row:
        kind = (record.key, record.project, "", "", "", "", 0, Settlement.EXPIRED.value, 0, 0, 0, "", "", None)
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


def _fits_inline(line: Line, record: Settled) -> bool:
    """Whether the exchange's own row says all there is to say about its only attempt."""
    usage = line.usage
    return (
        usage is not None
        and line.settlement is record.settlement
        and line.status == record.status
        and line.endpoint == record.endpoint
        and not line.fault
        and not line.absurd
        and not (usage.cache_write_5m or usage.cache_write_1h or usage.searches)
        and not (usage.audio_in or usage.audio_out or usage.image_in or usage.image_out)
    )


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
