"""The log of every change, the newest first."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import sqlalchemy as sa

from tokenway.model.money import format_share
from tokenway.store.accounts.paging import PAGE_SIZE, checked
from tokenway.store.accounts.records import AuditRow, Page
from tokenway.store.base import Invalid
from tokenway.store.database import Database
from tokenway.store.schema import audit

_SELECT: Final = sa.select(audit)


class AuditFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows are listed: those that fit everything that is said. `since` is inside, `until` is not."""

    project: str | None = None
    actor: str | None = None
    action: str | None = None
    resource: str | None = None
    subject: str | None = None
    since: float | None = None
    until: float | None = None


class SqlAudit:
    """The audit log in a database; it is written by `changes.Change.record`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(
        self, which: AuditFilter | None = None, *, cursor: str | None = None, size: int = PAGE_SIZE
    ) -> Page[AuditRow]:
        """Changes, the newest first. The cursor is the id of the last one that was seen. Raises Invalid."""
        asked = which or AuditFilter()
        query = _SELECT.order_by(audit.c.id.desc()).limit(checked(size) + 1)
        for name in ("project", "actor", "action", "resource", "subject"):
            if (value := getattr(asked, name)) is not None:
                query = query.where(audit.c[name] == value)
        if asked.since is not None:
            query = query.where(audit.c.at >= asked.since)
        if asked.until is not None:
            query = query.where(audit.c.at < asked.until)
        if cursor is not None:
            if not cursor.startswith("aud_") or not cursor.isascii() or not cursor.isprintable():
                raise Invalid("cursor", "this is not a cursor that a list has given; leave it out to begin anew")
            query = query.where(audit.c.id < cursor)
        with self._database.read() as connection:
            rows = [_row(row) for row in connection.execute(query)]
        return Page(rows[:size], rows[size - 1].id if len(rows) > size else None)


def shown_detail(detail: dict[str, Any]) -> dict[str, Any]:
    """What changed, for those who read JSON: a markup, which the log has in millionths, is a share there."""
    match detail.get("markup"):
        case int(millionths):
            return {**detail, "markup": format_share(millionths)}
        case {"from": int(before), "to": int(after)}:
            return {**detail, "markup": {"from": format_share(before), "to": format_share(after)}}
        case _:
            return detail


def _row(row: sa.Row[Any]) -> AuditRow:
    values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for it
    values["detail"] = msgspec.json.decode(values["detail"])
    return AuditRow(**values)
