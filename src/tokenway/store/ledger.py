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
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPICursor

from tokenway.metering.ledger import LedgerFault, Record, Reserved, Settlement, State, follow
from tokenway.store.base import Committed, Progress
from tokenway.store.database import Database
from tokenway.store.days import SqlDays
from tokenway.store.rows import Batch, Kind, bounded, kind_row
from tokenway.store.schema import (
    attempts,
    exchanges,
    facets,
    journal_positions,
    kinds,
    leases,
    nodes,
    reservations,
)
from tokenway.store.sums import Facet, facet_rows
from tokenway.store.writing import Writer

NODE_GONE_SECONDS: Final = 600.0
"""A machine that was not seen for this long is taken for gone, and what it left open expires."""

_NAMES_MAX: Final = 20_000
"""Kinds, and facets, that are kept in memory; they are learnt anew when a caller makes more."""
_IDS_PER_QUERY: Final = 500

_ADD_RESERVATION: Final = (
    "INSERT INTO reservations (id, at, key, project, amount, owner, node) SELECT ?, ?, ?, ?, ?, ?, ? "
    "WHERE NOT EXISTS (SELECT 1 FROM exchanges WHERE id = ?) ON CONFLICT DO NOTHING"
)
_CLOSE_RESERVATION: Final = "DELETE FROM reservations WHERE id = ?"
_CONSUME: Final = "UPDATE leases SET consumed = consumed + ? WHERE limit_id = ? AND period = ? AND holder = ?"
_SET_POSITION: Final = (
    "INSERT INTO journal_positions (journal, name, read_bytes, node) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (journal) DO UPDATE SET read_bytes = excluded.read_bytes"
)
_DROP_EXCHANGE: Final = "DELETE FROM exchanges WHERE id = ?"


class SqlLedger:
    """The ledger in a database; see `base.LedgerStore` for what each method promises.

    `node` is this machine's name in the summed tables, empty for the only one; `writer` puts the rows of a batch into
    the tables.
    """

    def __init__(
        self,
        database: Database,
        clock: Callable[[], float],
        node: str = "",
        *,
        writer: Writer | None = None,
        days: SqlDays | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._node = node
        self._writer = writer or Writer(database)
        self._days = days or SqlDays(database, clock)
        self._kinds: dict[Kind, int] = {}
        self._facets: set[Facet] = set()
        self._open: set[str] | None = None
        self._add_reservation, self._close_reservation, self._consume, self._set_position, self._drop_exchange = map(
            database.sql, (_ADD_RESERVATION, _CLOSE_RESERVATION, _CONSUME, _SET_POSITION, _DROP_EXCHANGE)
        )

    def offset(self, journal: str) -> int:
        """Bytes of this journal that are in the ledger; 0 for one that was never read."""
        table = journal_positions.c
        with self._database.read() as connection:
            return connection.execute(sa.select(table.read_bytes).where(table.journal == journal)).scalar() or 0

    def positions(self) -> list[str]:
        """The journals of this machine with a position."""
        table = journal_positions.c
        with self._database.read() as connection:
            return list(connection.execute(sa.select(table.journal).where(table.node.in_(self._mine))).scalars())

    def forget(self, journal: str) -> None:
        """Drops the position of a journal whose file is gone."""
        with self._database.add() as connection:
            connection.execute(journal_positions.delete().where(journal_positions.c.journal == journal))

    def owners(self) -> set[str]:
        """Who has open reservations, or leases, of this machine, and who has open reservations of one that is gone.

        Gone is who was not seen for NODE_GONE_SECONDS, or was declared so.
        """
        table = reservations.c
        seen = sa.select(nodes.c.id).where(nodes.c.seen > self._clock() - NODE_GONE_SECONDS, nodes.c.retired.is_(None))
        is_lost = table.node.in_(self._mine) | table.node.not_in(seen)
        opened = sa.select(table.owner).where(table.expired.is_(None), is_lost)
        held = sa.select(leases.c.holder).where(leases.c.node.in_(self._mine))
        with self._database.read() as connection:
            return set(connection.execute(sa.union(opened, held)).scalars())

    def commit(self, progress: Progress, records: Sequence[Record]) -> Committed:
        """Writes the records and the progress in one transaction: both or neither."""
        self._days.ready_for(record.id for record in records)
        try:
            return self._commit(progress, records)
        except (OverflowError, self._database.data_error):
            # A number beyond 64 bits, a sum beyond reason, or a character that a text cannot hold; one such record must
            # not hold up the journal for ever.
            return self._commit(progress, [bounded(record) for record in records])

    def expire(self, owner: str) -> list[Reserved]:
        """Closes what `owner` left open, and gives it back; what it held of leases of this machine is free again."""
        now = self._clock()
        table = reservations.c
        mine = (table.owner == owner, table.expired.is_(None))
        query = sa.select(table.id, table.at, table.key, table.project, table.amount).where(*mine)
        batch = Batch(self._kinds)
        with self._transaction() as connection:
            # Locked: two machines may find at once that a third one is gone.
            lost = [Reserved(*row) for row in connection.execute(query.order_by(table.id).with_for_update())]
            for record in lost:
                batch.expire(record)
            if lost:
                cursor = connection.connection.cursor()
                self._write_rows(cursor, batch)
                cursor.close()
                connection.execute(reservations.update().where(*mine).values(expired=now))
            # Its journals were read to their ends, so what it took is counted. Another machine's may not have been.
            connection.execute(leases.delete().where(leases.c.holder == owner, leases.c.node.in_(self._mine)))
        self._remember(batch)
        if self._open is not None:
            self._open.difference_update(record.id for record in lost)
        return lost

    @property
    def _mine(self) -> tuple[str, ...]:
        """The names of this machine: rows from before machines had names are its own."""
        return (self._node, "")

    def _commit(self, progress: Progress, records: Sequence[Record]) -> Committed:
        replayed = 0
        try:
            with self._transaction() as connection:
                known = self._known(connection)
                batch = Batch(self._kinds)
                batch.take(records, known)
                self._write(connection, progress, batch)
        except self._database.integrity_error:
            with self._transaction() as connection:
                known = self._known(connection)
                batch = Batch(self._kinds)
                fresh = self._without_replays(connection, records, known, batch)
                batch.take(fresh, known)
                self._write(connection, progress, batch)
            replayed = len(records) - len(fresh)
        self._remember(batch)
        if self._open is not None:
            self._open.difference_update(batch.closed)
            self._open.update(batch.opened)
        return Committed(batch.settled, replayed, batch.unreserved)

    def _remember(self, batch: Batch) -> None:
        """Keeps what was learnt in a transaction that is over."""
        if len(self._kinds) + len(batch.kinds) > _NAMES_MAX:
            self._kinds.clear()
        self._kinds.update(batch.kinds)

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        try:
            with self._database.add() as connection:
                yield connection
        except BaseException:
            # After a rollback nothing that was remembered of this transaction is true.
            self._facets.clear()
            self._open = None
            raise

    def _known(self, connection: sa.Connection) -> set[str]:
        """The ids of the open reservations that are in the table."""
        if self._open is None:
            query = sa.select(reservations.c.id).where(reservations.c.expired.is_(None))
            self._open = set(connection.execute(query).scalars())
        return self._open

    def _write(self, connection: sa.Connection, progress: Progress, batch: Batch) -> None:
        """Writes a batch. Raises the driver's IntegrityError when not all of it is new."""
        # The driver's own cursor: a batch is small when little happens, and then wrappers would cost the most.
        cursor = connection.connection.cursor()
        self._write_rows(cursor, batch)
        if batch.closed:
            cursor.executemany(self._close_reservation, [(closed,) for closed in batch.closed])
        if batch.opened:
            owner, node = progress.owner, self._node
            rows = [(r.id, r.at, r.key, r.project, r.amount, owner, node, r.id) for r in batch.opened.values()]
            cursor.executemany(self._add_reservation, rows)
        if batch.sums.draws:
            drawn = sorted(batch.sums.draws.items())
            cursor.executemany(self._consume, [(amount, *place, progress.owner) for place, amount in drawn])
        cursor.execute(self._set_position, (progress.journal, progress.name, progress.offset, self._node))
        cursor.close()

    def _write_rows(self, cursor: DBAPICursor, batch: Batch) -> None:
        """Writes exchanges, attempts, and what they come to."""
        writer = self._writer
        if batch.kinds:
            writer.insert_missing(cursor, kinds, [kind_row(*kind) for kind in batch.kinds.items()])
        writer.insert(cursor, exchanges, batch.exchanges)
        writer.insert(cursor, attempts, batch.attempts)
        named, tables = batch.sums.tables(self._node)
        unknown = [facet for facet in named if facet not in self._facets]
        if unknown:
            if len(self._facets) + len(unknown) > _NAMES_MAX:
                self._facets.clear()
            writer.insert_missing(cursor, facets, facet_rows(unknown))
            self._facets.update(unknown)
        for table, rows in tables:
            writer.add(cursor, table, rows)

    def _without_replays(
        self, connection: sa.Connection, records: Sequence[Record], known: set[str], batch: Batch
    ) -> list[Record]:
        """The records that change something, by the transition table.

        An expired exchange whose settlement is among them gives its place to that, and is taken out of the sums of
        `batch`; its entry in `attempts` stays.
        """
        states = _states(connection, {record.id for record in records})
        fresh: list[Record] = []
        late: list[str] = []
        for record in records:
            state = states.get(record.id, State.ABSENT)
            try:
                after = follow(state, record)
            except LedgerFault:
                # A settlement without a reservation: `Batch` keeps it and counts it.
                after = State.SETTLED
            if after is state:
                continue
            if state is State.EXPIRED:
                late.append(record.id)
            states[record.id] = after
            fresh.append(record)
        for record in _expired(connection, late):
            batch.sums.expire(record, -1)
            known.add(record.id)
        if late:
            connection.exec_driver_sql(self._drop_exchange, [(identity,) for identity in late])
        return fresh


def _expired(connection: sa.Connection, ids: Sequence[str]) -> Iterator[Reserved]:
    """The reservations of these expired exchanges, as far as sums speak of them."""
    query = sa.select(exchanges.c.id, exchanges.c.at, kinds.c.key, kinds.c.project)
    query = query.join(kinds, kinds.c.id == exchanges.c.kind)
    for start in range(0, len(ids), _IDS_PER_QUERY):
        some = query.where(exchanges.c.id.in_(ids[start : start + _IDS_PER_QUERY]))
        for identity, at, key, project in connection.execute(some):
            yield Reserved(identity, at, key, project, 0)


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
