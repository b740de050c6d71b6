"""`tokenway invoices`: what projects are charged for a period, issued once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from tokenway.cli.options import AsJson
from tokenway.cli.output import Column, money, print_json, print_table, say
from tokenway.cli.place import Place, day, moment, opened
from tokenway.model.money import format_usd
from tokenway.model.usage import BUCKETS

if TYPE_CHECKING:
    from tokenway.store.invoices import Invoice


def create(
    project: Annotated[str, Parameter(help="Whose invoice.")],
    /,
    *,
    since: Annotated[str, Parameter(help="The first day, in UTC: 2026-01-01.")],
    until: Annotated[str, Parameter(help="The day after the last: 2026-02-01.")],
    as_json: AsJson = False,
    place: Place | None = None,
) -> int:
    """Issue the invoice of a project for a period, or show the one that was issued.

    A day is on one invoice of a project at most; void the one that stands in
    the way.

    For example:
      tokenway invoices create default --since 2026-01-01 --until 2026-02-01
    """
    from tokenway.store.accounts.records import CLI  # noqa: PLC0415 - the help needs no store

    begins, ends = day(since, "--since"), day(until, "--until")
    with opened(place) as store:
        made = store.invoices.create(project, begins, ends, by=CLI)
    return _show(made, as_json=as_json)


def list_invoices(
    *,
    project: Annotated[str | None, Parameter(help="Only this project's [otherwise all].")] = None,
    as_json: AsJson = False,
    place: Place | None = None,
) -> int:
    """List invoices, the newest period first.

    For example:
      tokenway invoices list --project default
    """
    with opened(place) as store:
        found = store.invoices.list(project)
    if as_json:
        print_json([_data(each) for each in found])
        return 0
    names = ("id", "project", "begins", "ends", "state")
    columns = (*(Column(name) for name in names), Column("total", right=True))
    rows = [[each.id, each.project, *_period(each), _state(each), money(each.total)] for each in found]
    print_table(columns, rows, empty="No invoice was issued.")
    return 0


def show(
    invoice: Annotated[str, Parameter(help="Its id.")],
    /,
    *,
    as_json: AsJson = False,
    place: Place | None = None,
) -> int:
    """Show an invoice as it was issued.

    For example:
      tokenway invoices show inv_69571c80a1b2c3d4
    """
    with opened(place) as store:
        found = store.invoices.get(invoice)
    return _show(found, as_json=as_json)


def void(
    invoice: Annotated[str, Parameter(help="Its id.")],
    /,
    *,
    note: Annotated[str, Parameter(help="Why.", show_default=False)] = "",
    as_json: AsJson = False,
    place: Place | None = None,
) -> int:
    """Take an invoice back.

    It stays as it was issued, and its days may be invoiced again.

    For example:
      tokenway invoices void inv_69571c80a1b2c3d4 --note "wrong month"
    """
    from tokenway.store.accounts.records import CLI  # noqa: PLC0415 - the help needs no store

    with opened(place) as store:
        found = store.invoices.void(invoice, by=CLI, note=note)
    if as_json:
        print_json(_data(found))
    else:
        print(f"The invoice {found.id} of {found.project} is void.")
    return 0


def _show(invoice: Invoice, *, as_json: bool) -> int:
    if as_json:
        print_json(_data(invoice))
        return 0
    columns = (
        Column("model"),
        *(Column(name, right=True) for name in ("calls", "input", "cached", "output", "charged")),
    )
    rows = [
        [
            line.model,
            f"{line.calls}",
            f"{line.usage.input_tokens}",
            f"{line.usage.cache_read}",
            f"{line.usage.output_tokens}",
            money(line.charged),
        ]
        for line in invoice.lines
    ]
    print_table(columns, rows, empty="Nothing was charged in this period.")
    begins, ends = _period(invoice)
    say(f"invoice {invoice.id} of {invoice.project}, {begins} up to {ends}, {_state(invoice)}: {money(invoice.total)}")
    return 0


def _state(invoice: Invoice) -> str:
    return "issued" if invoice.voided is None else "void"


def _period(invoice: Invoice) -> tuple[str, str]:
    return str(moment(invoice.begins))[:10], str(moment(invoice.ends))[:10]


def _data(invoice: Invoice) -> dict[str, Any]:
    begins, ends = _period(invoice)
    return {
        "id": invoice.id,
        "project": invoice.project,
        "begins": begins,
        "ends": ends,
        "issued": moment(invoice.issued),
        "voided": moment(invoice.voided),
        "total_usd": format_usd(invoice.total),
        "lines": [
            {
                "model": line.model,
                "calls": line.calls,
                "usage": {name: getattr(line.usage, name) for name in BUCKETS},
                "charged_usd": format_usd(line.charged),
            }
            for line in invoice.lines
        ],
    }
