"""What budgets keep back for calls whose callers left, until it is known what the provider billed.

Each such call is settled by hand, once: what is charged of it goes from the project's wallet to `sales` as any charge,
and the rest is free again. Entry and sums change together, so the ledger holds before and after.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import sqlalchemy as sa

from tokenway.store.accounts.changes import Change, Changes
from tokenway.store.accounts.records import Actor
from tokenway.store.base import Conflict, Invalid, NotFound
from tokenway.store.database import Database
from tokenway.store.schema import EXPIRED_ATTEMPT, KIND_FIELDS, attempts, exchanges, invoices, kinds, run_agents, runs
from tokenway.store.sums import PAYABLE, Sums
from tokenway.store.writing import Writer


class Withheld(msgspec.Struct, frozen=True):
    """A call with what is kept back for it, in nano-dollars, beside what was charged."""

    exchange: str
    at: float
    project: str
    key: str
    model: str
    endpoint: str
    charged: int
    withheld: int


class SqlWithheld:
    """Reads and settles what is withheld. `node` is the machine that does it."""

    def __init__(self, database: Database, clock: Callable[[], float], node: str = "") -> None:
        self._database = database
        self._changes = Changes(database, clock)
        self._node = node
        self._writer = Writer(database)

    def list(self, project: str | None = None, *, since: float = 0.0) -> list[Withheld]:
        """The calls that something is withheld for, the oldest first."""
        x, k = exchanges.c, kinds.c
        query = sa.select(x.id, x.at, k.project, k.key, k.model, k.endpoint, x.charged, x.withheld)
        query = query.join(kinds, k.id == x.kind).where(x.withheld > 0, x.at >= since).order_by(x.at, x.id)
        with self._database.read() as connection:
            rows = connection.execute(query if project is None else query.where(k.project == project))
            return [Withheld(*row) for row in rows]

    def settle(self, exchange: str, charge: int = 0, *, by: Actor, note: str = "") -> Withheld:
        """Charges so much of what is withheld for a call, and gives the rest free; returns it as it is then.

        Raises NotFound for a call that is not in the ledger, or not any more; Invalid for more than is withheld; and
        Conflict where nothing is, and where the day is on an invoice, which a charge would not be on.
        """
        x, k = exchanges.c, kinds.c
        query = sa.select(x.at, x.run, x.agent, x.charged, x.withheld, *(k[name] for name in KIND_FIELDS))
        query = query.join(kinds, k.id == x.kind).where(x.id == exchange).with_for_update(of=exchanges)
        with self._changes.begin(by) as change:
            row = change.connection.execute(query).mappings().first()
            if row is None:
                raise NotFound(f"there is no call {exchange} in the ledger")
            kept = int(row["withheld"] or 0)
            if not kept:
                raise Conflict(f"nothing is withheld for {exchange}")
            if not 0 <= charge <= kept:
                raise Invalid("charge", f"at most what is withheld can be charged: {kept} nano-dollars")
            if charge:
                _require_no_invoice(change.connection, row["project"], row["at"])
            self._write(change, exchange, row, charge, kept)
            detail = {"charged": charge, "released": kept - charge, "note": note}
            change.record("settle", "withheld", exchange, project=row["project"], detail=detail)
        told = {name: row[name] for name in ("at", "project", "key", "model", "endpoint")}
        return Withheld(exchange, **told, charged=int(row["charged"]) + charge, withheld=0)

    def _write(self, change: Change, exchange: str, row: sa.RowMapping, charge: int, kept: int) -> None:
        """The entry, its run, and all sums; in the order in which the ingest takes their rows."""
        connection, kind = change.connection, [row[name] for name in KIND_FIELDS]
        values = {"charged": exchanges.c.charged + charge, "withheld": None}
        connection.execute(exchanges.update().where(exchanges.c.id == exchange).values(values))
        paid = None
        if charge and row["inline_attempt"] is None and row["attempts"]:
            paid = _charge_attempt(connection, exchange, charge)
        sums = Sums()
        sums.settle(kind, row["at"], charged=charge, withheld=-kept, paid=paid)
        cursor = connection.connection.cursor()
        for table, rows in sums.tables(self._node)[1]:
            self._writer.add(cursor, table, rows)
        cursor.close()
        if row["run"] is not None:
            place = {"key": row["key"], "run": row["run"]}
            for table, at in ((runs, place), (run_agents, place | {"agent": row["agent"] or ""})):
                where = [table.c[name] == value for name, value in at.items()]
                moved = {"charged": table.c.charged + charge, "withheld": table.c.withheld - kept}
                connection.execute(table.update().where(*where).values(moved))


def _charge_attempt(connection: sa.Connection, exchange: str, charge: int) -> str:
    """Charges the attempt that the caller pays for, of those with rows of their own; gives its endpoint."""
    a = attempts.c
    is_paid = sa.case((a.settlement.in_([each.value for each in PAYABLE]), 0), else_=1)
    query = sa.select(a.attempt, a.endpoint).where(a.exchange == exchange, a.attempt != EXPIRED_ATTEMPT)
    attempt, endpoint = connection.execute(query.order_by(is_paid, a.attempt).limit(1)).one()
    this = attempts.update().where(a.exchange == exchange, a.attempt == attempt)
    connection.execute(this.values(charged=a.charged + charge))
    return str(endpoint)


def _require_no_invoice(connection: sa.Connection, project: str, at: float) -> None:
    i = invoices.c
    query = sa.select(i.id).where(i.project == project, i.begins <= at, i.ends > at, i.voided.is_(None))
    if (found := connection.execute(query).scalar()) is not None:
        raise Conflict(
            f"the call's day is on the invoice {found}, which would not have the charge; void it, or release"
        )
