"""Invoices: what a project was charged in a period, by model, as it was when the invoice was issued.

A period is whole UTC days, [begins, ends). It is issued once: who asks again for the same gets the same, whatever was
settled late meanwhile, and a day is on one invoice of a project at most. One that is voided stays as it was, and its
days may be invoiced again.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import sqlalchemy as sa
from msgspec.structs import replace

from tokenway.model.usage import Usage
from tokenway.store.accounts.changes import Changes
from tokenway.store.accounts.records import Actor
from tokenway.store.base import Conflict, Invalid, NotFound
from tokenway.store.database import Database
from tokenway.store.schema import invoices, projects, reservations
from tokenway.store.sums import DAY
from tokenway.store.usage import SqlUsage

_COLUMNS: Final = ("id", "project", "begins", "ends", "issued", "total", "body", "voided")


class InvoiceLine(msgspec.Struct, frozen=True):
    """A model: calls, tokens by bucket, and what was charged for them in nano-dollars."""

    model: str
    calls: int
    usage: Usage
    charged: int


class Invoice(msgspec.Struct, frozen=True):
    """An invoice as it was issued; `voided` is when it was taken back."""

    id: str
    project: str
    begins: float
    ends: float
    issued: float
    total: int
    lines: tuple[InvoiceLine, ...]
    voided: float | None = None


class SqlInvoices:
    """The table `invoices`."""

    def __init__(self, database: Database, clock: Callable[[], float], usage: SqlUsage) -> None:
        self._database = database
        self._clock = clock
        self._changes = Changes(database, clock)
        self._usage = usage

    def create(self, project: str, begins: float, ends: float, *, by: Actor) -> Invoice:
        """The invoice of a project for a period that is over; the first one when there is one already.

        Raises NotFound, Invalid for a period that is none, and Conflict where another invoice has one of its days,
        which would be billed twice, and while calls of it are under way: what these come to would be on no invoice.
        """
        for field, at in (("begins", begins), ("ends", ends)):
            if at % DAY:
                raise Invalid(field, "an invoice is for whole days in UTC")
        if begins >= ends:
            raise Invalid("ends", "an invoice ends after it begins")
        if ends > self._clock():
            raise Invalid("ends", "the period is not over yet")
        rows = self._usage.report(("model",), since=begins, until=ends, project=project)
        lines = tuple(InvoiceLine(row.group[0], row.requests, row.usage, row.charged) for row in rows if row.charged)
        with self._changes.begin(by) as change:
            if change.connection.execute(sa.select(projects.c.id).where(projects.c.id == project)).first() is None:
                raise NotFound(f"there is no project {project}")
            i = invoices.c
            shared = (i.project == project, i.begins < ends, i.ends > begins, i.voided.is_(None))
            query = sa.select(*(i[name] for name in _COLUMNS)).where(*shared).order_by(i.begins)
            if (found := change.connection.execute(query).first()) is not None:
                return _same(_invoice(found), begins, ends)
            r = reservations.c
            is_open = (r.project == project, r.at >= begins, r.at < ends, r.expired.is_(None))
            open_ = sa.select(sa.func.count()).select_from(reservations).where(*is_open)
            if many := change.connection.execute(open_).scalar():
                raise Conflict(f"{many} calls of this period have not ended yet; issue the invoice when they have")
            identity = f"inv_{int(self._clock()):08x}{secrets.token_hex(4)}"
            total = sum(line.charged for line in lines)
            made = Invoice(identity, project, begins, ends, change.now, total, lines)
            body = msgspec.json.encode([msgspec.structs.asdict(line) for line in lines]).decode()
            columns = {name: getattr(made, name) for name in _COLUMNS if name != "body"}
            change.insert(invoices, {**columns, "body": body})
            change.record("create", "invoice", identity, project=project, detail={"total": total})
            return made

    def void(self, identity: str, *, by: Actor, note: str = "") -> Invoice:
        """Takes an invoice back; one that was taken back before stays so. Raises NotFound."""
        with self._changes.begin(by) as change:
            found = _find(change.connection, identity)
            if found.voided is None:
                found = replace(found, voided=change.now)
                change.connection.execute(invoices.update().where(invoices.c.id == identity).values(voided=change.now))
                change.record("void", "invoice", identity, project=found.project, detail={"note": note})
        return found

    def list(self, project: str | None = None) -> list[Invoice]:
        """All invoices, or those of one project, the newest period first."""
        i = invoices.c
        query = sa.select(*(i[name] for name in _COLUMNS)).order_by(i.begins.desc(), i.project, i.id)
        with self._database.read() as connection:
            rows = connection.execute(query if project is None else query.where(i.project == project))
            return [_invoice(row) for row in rows]

    def get(self, identity: str) -> Invoice:
        """An invoice by its id. Raises NotFound."""
        with self._database.read() as connection:
            return _find(connection, identity)


def _find(connection: sa.Connection, identity: str) -> Invoice:
    i = invoices.c
    row = connection.execute(sa.select(*(i[name] for name in _COLUMNS)).where(i.id == identity)).first()
    if row is None:
        raise NotFound(f"there is no invoice {identity}")
    return _invoice(row)


def _same(found: Invoice, begins: float, ends: float) -> Invoice:
    """The invoice with one of these days, when it is of just these; else it stands in the way."""
    if (found.begins, found.ends) != (begins, ends):
        days = [datetime.fromtimestamp(each, UTC).date().isoformat() for each in (found.begins, found.ends)]
        raise Conflict(f"the invoice {found.id} has days of this period: {days[0]} up to {days[1]}; void it first")
    return found


def _invoice(row: Sequence[Any]) -> Invoice:
    identity, project, begins, ends, issued, total, body, voided = row
    lines = msgspec.json.decode(body, type=tuple[InvoiceLine, ...])
    return Invoice(identity, project, begins, ends, issued, total, lines, voided)
