"""Invoices: what a project was charged in a period, as it was when it was issued."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from pydantic import Field
from starlette.responses import Response

from tokenway.control.api import once
from tokenway.control.api.callers import Gateway, Guarded, Who
from tokenway.control.api.listing import page_by_name
from tokenway.control.api.paging import LIMIT, Cursor, Limit, Page
from tokenway.control.api.types import (
    IDENTITY,
    Body,
    Identity,
    Note,
    Shown,
    Time,
    moment_of,
    shown_moment,
    shown_time,
    usd,
)
from tokenway.control.api.usage import visible
from tokenway.model.usage import BUCKETS
from tokenway.store.invoices import Invoice

router = APIRouter(route_class=Guarded, tags=["invoices"])


class InvoiceLineShown(Shown):
    """What one model came to."""

    model: str
    calls: int
    tokens: dict[str, int] = Field(description="By bucket; those that hold nothing are left out.")
    charged: str


class InvoiceShown(Shown):
    """An invoice; its period is whole days in UTC."""

    id: str
    project: str
    begins: str
    ends: str
    issued: str
    voided: str | None = Field(description="When it was taken back; null for one that holds.")
    total: str
    lines: list[InvoiceLineShown]


class NewInvoice(Body):
    """A period that is over."""

    project: Identity
    begins: Time
    ends: Time = Field(description="Not included.")


class Voiding(Body):
    """Why an invoice is taken back."""

    note: Note = ""


@router.get("/invoices")
async def list_invoices(
    who: Who,
    services: Gateway,
    project: Annotated[str | None, Query(pattern=IDENTITY)] = None,
    limit: Limit = LIMIT,
    cursor: Cursor = None,
) -> Page[InvoiceShown]:
    """Invoices by their periods, the oldest first. Who is no admin sees his projects'."""
    mine = visible(who, project)
    rows: list[Invoice] = await services.run(services.store.invoices.list, project)
    found = {f"{row.begins:014.0f} {row.id}": row for row in rows if mine is None or row.project in mine}
    return page_by_name(
        services, f"invoices {mine}", found, lambda name: _shown(found[name]), limit=limit, cursor=cursor
    )


@router.post("/invoices", status_code=201, response_model=InvoiceShown)
async def create_invoice(
    request: Request, who: Who, services: Gateway, body: NewInvoice, key: once.Key = None
) -> Response:
    """Issues the invoice of a period; one that was issued before is given again as it was.

    409 where another invoice of the project, which is not voided, has one of the days, or calls of the period are under
    way.
    """
    await services.run(services.drain)
    begins, ends = moment_of(body.begins), moment_of(body.ends)
    make = partial(services.store.invoices.create, body.project, begins, ends, by=who.actor)
    return await once.create(services, request, who.user.id, key, lambda: _shown(make()))


@router.get("/invoices/{invoice}")
async def show_invoice(who: Who, services: Gateway, invoice: Annotated[str, Path(pattern=IDENTITY)]) -> InvoiceShown:
    """One invoice."""
    row: Invoice = await services.run(services.store.invoices.get, invoice)
    who.reach(row.project, "invoice", invoice)
    return _shown(row)


@router.post("/invoices/{invoice}/void")
async def void_invoice(
    who: Who, services: Gateway, invoice: Annotated[str, Path(pattern=IDENTITY)], body: Voiding | None = None
) -> InvoiceShown:
    """Takes an invoice back: it stays as it was, and its days may be invoiced again."""
    note = "" if body is None else body.note
    return _shown(await services.run(partial(services.store.invoices.void, invoice, by=who.actor, note=note)))


def _shown(row: Invoice) -> InvoiceShown:
    return InvoiceShown(
        id=row.id,
        project=row.project,
        begins=shown_time(row.begins),
        ends=shown_time(row.ends),
        issued=shown_time(row.issued),
        voided=shown_moment(row.voided),
        total=usd(row.total),
        lines=[
            InvoiceLineShown(
                model=line.model,
                calls=line.calls,
                tokens={name: getattr(line.usage, name) for name in BUCKETS if getattr(line.usage, name)},
                charged=usd(line.charged),
            )
            for line in row.lines
        ],
    )
