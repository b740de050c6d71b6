"""Invoices: what a project was charged in a period, by model, as it was when the invoice was issued.

A period is whole UTC days, [begins, ends). It is issued once: who asks again for the same gets the same, whatever was
settled late meanwhile.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from tokenway.model.usage import Usage
from tokenway.store.accounts.changes import Changes
from tokenway.store.accounts.records import Actor
from tokenway.store.base import Conflict, Invalid, NotFound
from tokenway.store.database import Database
from tokenway.store.schema import invoices, projects, reservations
from tokenway.store.sums import DAY
from tokenway.store.usage import SqlUsage

_COLUMNS: Final = ("id", "project", "begins", "ends", "issued", "total", "body")


class InvoiceLine(msgspec.Struct, frozen=True):
    """A model: calls, tokens by bucket, and what was charged for them in nano-dollars."""

    model: str
    calls: int
    usage: Usage
    charged: int


class Invoice(msgspec.Struct, frozen=True):
    """An invoice as it was issued."""

    id: str
    project: str
    begins: float
    ends: float
    issued: float
    total: int
    lines: tuple[InvoiceLine, ...]


class SqlInvoices:
    """The table `invoices`."""

    def __init__(self, database: Database, clock: Callable[[], float], usage: SqlUsage) -> None:
        self._database = database
        self._clock = clock
        self._changes = Changes(database, clock)
        self._usage = usage

    def create(self, project: str, begins: float, ends: float, *, by: Actor) -> Invoice:
        """The invoice of a project for a period that is over; the first one when there is one already.

        Raises NotFound, Invalid for a period that is none, and Conflict while calls of it are under way: what these
        come to would be on no invoice.
        """
        if begins % DAY or ends % DAY or begins >= ends:
            raise Invalid("period", "an invoice is for whole days in UTC, and ends after it begins")
        if ends > self._clock():
            raise Invalid("period", "the period is not over yet")
        rows = self._usage.report(("model",), since=begins, until=ends, project=project, medians=False)
        lines = tuple(InvoiceLine(row.group[0], row.requests, row.usage, row.charged) for row in rows if row.charged)
        with self._changes.begin(by) as change:
            if change.connection.execute(sa.select(projects.c.id).where(projects.c.id == project)).first() is None:
                raise NotFound(f"there is no project {project}")
            i = invoices.c
            same = (i.project == project, i.begins == begins, i.ends == ends)
            found = change.connection.execute(sa.select(*(i[name] for name in _COLUMNS)).where(*same)).first()
            if found is not None:
                return _invoice(found)
            r = reservations.c
            is_open = (r.project == project, r.at >= begins, r.at < ends, r.expired.is_(None))
            open_ = sa.select(sa.func.count()).select_from(reservations).where(*is_open)
            if many := change.connection.execute(open_).scalar():
                raise Conflict(f"{many} calls of this period have not ended yet; issue the invoice when they have")
            identity = f"inv_{int(self._clock()):08x}{secrets.token_hex(4)}"
            total = sum(line.charged for line in lines)
            made = Invoice(identity, project, begins, ends, change.now, total, lines)
            body = msgspec.json.encode([msgspec.structs.asdict(line) for line in lines]).decode()
            change.insert(
                invoices,
                {
                    **{name: getattr(made, name) for name in _COLUMNS if name != "body"},
                    "body": body,
                },
            )
            change.record("create", "invoice", identity, project=project, detail={"total": total})
            return made

    def list(self, project: str | None = None) -> list[Invoice]:
        """All invoices, or those of one project, the newest period first."""
        i = invoices.c
        query = sa.select(*(i[name] for name in _COLUMNS)).order_by(i.begins.desc(), i.project, i.id)
        with self._database.read() as connection:
            rows = connection.execute(query if project is None else query.where(i.project == project))
            return [_invoice(row) for row in rows]

    def get(self, identity: str) -> Invoice:
        """An invoice by its id. Raises NotFound."""
        i = invoices.c
        with self._database.read() as connection:
            row = connection.execute(sa.select(*(i[name] for name in _COLUMNS)).where(i.id == identity)).first()
        if row is None:
            raise NotFound(f"there is no invoice {identity}")
        return _invoice(row)


def _invoice(row: Sequence[Any]) -> Invoice:
    identity, project, begins, ends, issued, total, body = row
    lines = msgspec.json.decode(body, type=tuple[InvoiceLine, ...])
    return Invoice(identity, project, begins, ends, issued, total, lines)
