"""`tokenway audit`: who changed what, straight from the store."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
from cyclopts import Parameter

from tokenway.cli.bounds import shown
from tokenway.cli.errors import BadUsage
from tokenway.cli.options import AsJson
from tokenway.cli.output import NOTHING, Column, money, print_json, print_table
from tokenway.cli.place import Place, moment, opened, seconds
from tokenway.model.limits import Limit, Measure
from tokenway.model.money import format_percent, format_usd

if TYPE_CHECKING:
    from tokenway.store.accounts.records import AuditRow

_LIMIT: Final = {"scope", "subject", "measure", "amount", "term"}
_CHANGED_LIMIT: Final = {"scope", "subject", "measure", "amount"}
_MONEY: Final = {"max_cost", "amount", "total"}
_TIMES: Final = {"expires", "revoked", "archived", "former_ends"}


def list_audit(
    *,
    project: Annotated[str | None, Parameter(help="Only what was changed in this project.")] = None,
    since: Annotated[str | None, Parameter(help="Only the last 12h, 7d, … [otherwise from the beginning].")] = None,
    actor: Annotated[str | None, Parameter(help="Only what this user (by id), `cli` or `system` did.")] = None,
    resource: Annotated[str | None, Parameter(help="Only changes of this: key, project, user, limit, …")] = None,
    limit: Annotated[int, Parameter(help="The most rows to show.")] = 100,
    as_json: AsJson = False,
    place: Place | None = None,
) -> int:
    """List changes of accounts, the newest first.

    For example:
      tokenway audit list --project default --since 7d
      tokenway audit list --resource key --json
    """
    from tokenway.store.accounts.audit import AuditFilter  # noqa: PLC0415 - the help needs no store
    from tokenway.store.accounts.paging import PAGE_MAX  # noqa: PLC0415 - the same

    if limit < 1:
        raise BadUsage(f"--limit {limit} is no number of rows; write e.g. --limit 100.")
    begins = None if since is None else time.time() - seconds(since, "--since")
    which = AuditFilter(project=project, since=begins, actor=actor, resource=resource)
    with opened(place) as store:
        page = store.accounts.audit.page(which, size=min(limit, PAGE_MAX))
        rows = list(page.rows)
        while page.next is not None and len(rows) < limit:
            page = store.accounts.audit.page(which, cursor=page.next, size=min(limit - len(rows), PAGE_MAX))
            rows.extend(page.rows)
    if as_json:
        print_json([_data(row) for row in rows])
        return 0
    columns = [Column(name) for name in ("at", "actor", "action", "resource", "subject", "project", "detail")]
    cells = [
        [
            moment(row.at) or NOTHING,
            row.actor,
            row.action,
            row.resource,
            row.subject,
            row.project or NOTHING,
            told(row.detail) or NOTHING,
        ]
        for row in rows
    ]
    print_table(columns, cells, empty="Nothing was changed in that time.")
    return 0


def told(detail: dict[str, Any]) -> str:
    """What a change was, in words: `name: Lab`, `markup: 0 % → 2.5 %`, `$5 a month for key key_…`."""
    if detail.keys() >= _LIMIT:  # what became of a limit; of one whose amount was changed less is told
        limit = msgspec.convert({"id": "", **detail}, Limit)
        return f"{shown(limit)} for {limit.scope} {limit.subject}"
    if detail.keys() >= _CHANGED_LIMIT and isinstance(detail["amount"], dict):
        figures = [
            "$" + format_usd(n) if detail["measure"] == Measure.USD else f"{n}" for n in detail["amount"].values()
        ]
        return f"{detail['measure']} for {detail['scope']} {detail['subject']}: {' → '.join(figures)}"
    return "; ".join(
        f"{name.replace('_', ' ')}: {_value(name, value)}" for name, value in detail.items() if value != {}
    )


def _value(name: str, value: Any) -> str:  # noqa: PLR0911 - one line for each kind of value
    if isinstance(value, dict):
        if value.keys() == {"from", "to"}:
            return f"{_value(name, value['from'])} → {_value(name, value['to'])}"
        return ", ".join(f"{each}={_value(each, inner)}" for each, inner in value.items()) or NOTHING
    if isinstance(value, list):
        return ", ".join(shown(msgspec.convert(each, Limit)) if name == "limits" else f"{each}" for each in value)
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) and name in _MONEY:
        return money(value)
    if name == "markup":
        return f"{format_percent(value)} %"
    if name == "overlap":
        return f"{value:g} s"
    if isinstance(value, int | float) and name in _TIMES:
        return moment(value) or NOTHING
    return f"{value}"


def _data(row: AuditRow) -> dict[str, Any]:
    from tokenway.store.accounts.audit import shown_detail  # noqa: PLC0415 - the help needs no store

    return {
        "id": row.id,
        "at": moment(row.at),
        "actor": row.actor,
        "address": row.address or None,
        "action": row.action,
        "resource": row.resource,
        "subject": row.subject,
        "project": row.project or None,
        "detail": shown_detail(row.detail),
    }
