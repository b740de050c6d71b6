"""`tokenway audit`: who changed what, straight from the store."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from tokenway.cli.errors import BadUsage
from tokenway.cli.options import AsJson
from tokenway.cli.output import NOTHING, Column, print_json, print_table
from tokenway.cli.place import Place, moment, opened, seconds

if TYPE_CHECKING:
    from tokenway.store.accounts.records import AuditRow


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
            json.dumps(row.detail, ensure_ascii=False) if row.detail else NOTHING,
        ]
        for row in rows
    ]
    print_table(columns, cells, empty="Nothing was changed in that time.")
    return 0


def _data(row: AuditRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "at": moment(row.at),
        "actor": row.actor,
        "address": row.address or None,
        "action": row.action,
        "resource": row.resource,
        "subject": row.subject,
        "project": row.project or None,
        "detail": row.detail,
    }
