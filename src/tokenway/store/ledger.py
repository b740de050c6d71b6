"""Journal records into ledger rows: exactly once, and cheaply, because each exchange of the gateway pays for it.

Exactly once: the position in the journal is written in the transaction that writes the rows, so a crash
between two batches repeats nothing. The ids are the second guard: a record that is there already is a replay
and changes nothing, and the transition table of `metering.ledger` says what may follow what.

Cheaply: rows go to the driver as tuples, whole batches at a time. A batch is first written as if every record
were new, which is the rule; only when an id turns out to be there is the batch undone and looked at record by
record. A reservation that is settled in the batch it came with is never written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPICursor

from tokenway.metering.ledger import LedgerFault, Record, Reserved, Settlement, State, follow
from tokenway.store.base import Committed, Progress
from tokenway.store.database import Database
from tokenway.store.rows import Batch, Kind, Row, bounded, expired_kind, expired_rows
from tokenway.store.schema import KIND_FIELDS, attempts, exchanges, journal_positions, kinds, reservations

_KINDS_MAX: Final = 20_000
"""Kinds that are kept in memory; the cache starts again when a caller makes more."""
_IDS_PER_QUERY: Final = 500
_EXCHANGE_VALUES: Final = len(exchanges.columns)
_EXCHANGES_PER_INSERT: Final = 32
"""Each run of a statement has a price of its own. Together below 999 values, which the oldest SQLite takes."""

# The arithmetic is the same in every database that has ON CONFLICT; positional parameters are the driver's.
_ADD_SPEND: Final = (
    "INSERT INTO spend (scope, subject, grain, bucket, node, calls, charged, withheld, input_tokens, output_tokens, "
    "last_used) VALUES ('key', ?, 86400, ?, '', ?, ?, 0, 0, 0, ?) "
    "ON CONFLICT (scope, subject, grain, bucket, node) DO UPDATE SET calls = spend.calls + excluded.calls, "
    "charged = spend.charged + excluded.charged, last_used = max(spend.last_used, excluded.last_used)"
)
_ADD_RESERVATION: Final = (
    "INSERT INTO reservations (id, at, key, project, amount, owner, node) SELECT ?, ?, ?, ?, ?, ?, ? "
    "WHERE NOT EXISTS (SELECT 1 FROM exchanges WHERE id = ?) ON CONFLICT DO NOTHING"
)
_CLOSE_RESERVATION: Final = "DELETE FROM reservations WHERE id = ?"
_SET_POSITION: Final = (
    "INSERT INTO journal_positions (journal, name, read_bytes) VALUES (?, ?, ?) "
    "ON CONFLICT (journal) DO UPDATE SET read_bytes = excluded.read_bytes"
)


class SqlLedger:
    """The ledger in a database; see `base.LedgerStore` for what each method promises."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        self._kinds: dict[Kind, int] = {}
        self._open: set[str] | None = None
        self._insert_exchange = database.statement(exchanges.insert())
        before, word, values = self._insert_exchange.rpartition("VALUES ")
        self._insert_exchanges = before + word + ", ".join([values] * _EXCHANGES_PER_INSERT)
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
            return self.commit(progress, [bounded(record) for record in records])
        except self._database.integrity_error:
            with self._transaction() as connection:
                known = self._known(connection)
                fresh = self._without_replays(connection, records, known)
                batch = self._write(connection, progress, fresh, known)
            replayed = len(records) - len(fresh)
        if self._open is not None:
            self._open.difference_update(batch.closed)
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
                kind = expired_kind(record)
                number = self._kinds.get(kind) or self._new_kind(connection, kind)
                exchange, entry = expired_rows(record, number)
                connection.exec_driver_sql(self._insert_exchange, exchange)
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
    ) -> Batch:
        """Writes a batch as if all of it were new. Raises the driver's IntegrityError when it is not."""
        batch = Batch(self._kinds, partial(self._new_kind, connection))
        batch.take(records, known)
        # The driver's own cursor: a batch is small when little happens, and then wrappers would cost the most.
        cursor = connection.connection.cursor()
        self._write_exchanges(cursor, batch.exchanges)
        if batch.attempts:
            cursor.executemany(self._insert_attempt, batch.attempts)
        if batch.settled:
            cursor.executemany(_ADD_SPEND, batch.spend())
        if batch.closed:
            cursor.executemany(_CLOSE_RESERVATION, [(closed,) for closed in batch.closed])
        if batch.opened:
            owner = progress.owner
            rows = [(r.id, r.at, r.key, r.project, r.amount, owner, "", r.id) for r in batch.opened.values()]
            cursor.executemany(_ADD_RESERVATION, rows)
        cursor.execute(_SET_POSITION, (progress.journal, progress.name, progress.offset))
        cursor.close()
        return batch

    def _write_exchanges(self, cursor: DBAPICursor, values: list[Any]) -> None:
        """Writes rows whose values stand one after the other, many with one statement."""
        step = _EXCHANGES_PER_INSERT * _EXCHANGE_VALUES
        rest = len(values) - len(values) % step
        for start in range(0, rest, step):
            cursor.execute(self._insert_exchanges, values[start : start + step])
        for start in range(rest, len(values), _EXCHANGE_VALUES):
            cursor.execute(self._insert_exchange, values[start : start + _EXCHANGE_VALUES])

    def _new_kind(self, connection: sa.Connection, kind: Kind) -> int:
        """The number of a kind that is not in memory: from the table, or a new row."""
        if len(self._kinds) >= _KINDS_MAX:
            self._kinds.clear()
        values: dict[str, Any] = dict(zip(KIND_FIELDS, kind, strict=True))
        values.update(stream=int(values["stream"]), slow=int(values["slow"]), settlement=values["settlement"].value)
        same = [kinds.c[name].is_not_distinct_from(value) for name, value in values.items()]
        found: int | None = connection.execute(sa.select(kinds.c.id).where(*same)).scalar()
        number = _number_of(kind) if found is None else found
        if found is None:
            connection.execute(kinds.insert().values(id=number, **values))
        self._kinds[kind] = number
        return number

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


def _number_of(kind: Kind) -> int:
    """63 bits of the kind's digest, the same on every machine; never 0."""
    digest = hashlib.sha256(msgspec.json.encode(kind)).digest()
    return int.from_bytes(digest[:8], "big") >> 1 or 1


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
