"""Whether the ledger speaks of something, so that it has to stay."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from tokenway.store.schema import kinds, reservations, spend

_KIND_COLUMNS: Final = {"key": kinds.c.key, "project": kinds.c.project, "user": kinds.c.user_id}
_RESERVATION_COLUMNS: Final = {"key": reservations.c.key, "project": reservations.c.project}


def has_entries(connection: sa.Connection, scope: str, subject: str) -> bool:
    """Whether a key, project or user (`scope`) was ever charged, or is about to be."""
    queries = [
        sa.select(sa.literal(1)).where(spend.c.scope == scope, spend.c.subject == subject),
        sa.select(sa.literal(1)).where(_KIND_COLUMNS[scope] == subject),
    ]
    if scope in _RESERVATION_COLUMNS:
        queries.append(sa.select(sa.literal(1)).where(_RESERVATION_COLUMNS[scope] == subject))
    return any(connection.execute(query.limit(1)).first() is not None for query in queries)
