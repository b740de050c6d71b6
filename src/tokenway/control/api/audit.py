"""The log of every change: who, when, from where, what."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from tokenway.control.api.callers import Gateway, Guarded, Who
from tokenway.control.api.paging import LIMIT, Cursor, Cursors, Limit, Page
from tokenway.control.api.problems import Problem
from tokenway.control.api.types import IDENTITY, Json, Shown, Time, moment_of, shown_time
from tokenway.store.accounts.audit import AuditFilter, shown_detail
from tokenway.store.accounts.records import AuditRow

router = APIRouter(route_class=Guarded, tags=["audit"])

Word = Annotated[str | None, Query(max_length=200, pattern=r"^[!-~]+$")]


class Change(Shown):
    """One change."""

    id: str
    at: str
    actor: str = Field(description="A user's id, `cli`, `sign-up` or `system`.")
    address: str
    action: str
    resource: str
    subject: str
    project: str | None
    detail: Json = Field(description='What changed, without secrets; for a field `{"from": …, "to": …}`.')


@router.get("/audit")
async def list_changes(
    who: Who,
    services: Gateway,
    project: Annotated[str | None, Query(pattern=IDENTITY)] = None,
    actor: Word = None,
    action: Word = None,
    resource: Word = None,
    subject: Word = None,
    since: Annotated[Time | None, Query()] = None,
    until: Annotated[Time | None, Query()] = None,
    limit: Limit = LIMIT,
    cursor: Cursor = None,
) -> Page[Change]:
    """Changes, the newest first. An admin of a project asks for those of the project."""
    if project is not None:
        who.reach(project)
    elif not who.is_admin:
        raise Problem(422, "say which project's changes: only admins see those of all", field="project")
    which = AuditFilter(
        project=project,
        actor=actor,
        action=action,
        resource=resource,
        subject=subject,
        since=None if since is None else moment_of(since),
        until=None if until is None else moment_of(until),
    )
    cursors, listed = Cursors(services.seal), f"audit {which}"
    page = partial(services.accounts.audit.page, which, cursor=cursors.read(listed, cursor), size=limit)
    return cursors.page(listed, await services.run(page), _shown)


def _shown(row: AuditRow) -> Change:
    return Change(
        id=row.id,
        at=shown_time(row.at),
        actor=row.actor,
        address=row.address,
        action=row.action,
        resource=row.resource,
        subject=row.subject,
        project=row.project or None,
        detail=shown_detail(row.detail),
    )
