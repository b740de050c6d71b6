"""A database with leases in it, and the part of the ledger that leases depend on: what a settlement adds, and where."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import sqlalchemy as sa

from tokenway.model.limits import Limit, Measure, Scope, Term
from tokenway.store.database import Database
from tokenway.store.postgres import connect
from tokenway.store.schema import leases, spend
from tokenway.store.sqlite import open_sqlite

NOON: Final = 1_772_366_400.0
"""Sunday, the 1st of March 2026, 12:00 UTC."""
GRAINS: Final = (3_600, 86_400, 0)

_ADD: Final = (
    spend.update()
    .where(*(spend.c[name] == sa.bindparam(f"its_{name}") for name in ("scope", "subject", "grain", "bucket", "node")))
    .values(calls=spend.c.calls + 1, charged=spend.c.charged + sa.bindparam("more"))
)
_CONSUME: Final = (
    leases.update()
    .where(
        leases.c.limit_id == sa.bindparam("limit"),
        leases.c.period == sa.bindparam("of"),
        leases.c.holder == sa.bindparam("who"),
    )
    .values(consumed=leases.c.consumed + sa.bindparam("took"))
)
"""Made once: worlds of many calls would spend their time on making them."""


def sqlite_database(path: Path) -> Database:
    """A SQLite database in a file, with the store's tables; they are made when they are not there."""
    return open_sqlite(path).database


def postgres_database(url: str) -> Database:
    """A PostgreSQL database that has the store's tables."""
    return connect(url)


def budget(amount: int, term: Term = Term.TOTAL, identity: str = "lim_1", **other: object) -> Limit:
    """A limit in nano-dollars of a key."""
    fields: dict[str, object] = {"scope": Scope.KEY, "subject": "key_1", "measure": Measure.USD} | other
    return Limit(id=identity, amount=amount, term=term, **fields)  # type: ignore[arg-type]


def settle(
    connection: sa.Connection,
    limit: Limit,
    at: float,
    charged: int,
    *,
    holder: str = "",
    period: int = 0,
    node: str = "n1",
    sums: bool = True,
    consumed: int | None = None,
) -> None:
    """What the ledger does with a settlement: the sums rise, and with them what the holder has consumed.

    With `sums` false only the latter: for the second limit of one subject. `consumed` where it is not in nano-dollars.
    """
    took = charged if consumed is None else consumed
    for grain in GRAINS if sums else ():
        row = {
            "scope": limit.scope.value,
            "subject": limit.subject,
            "grain": grain,
            "bucket": int(at // grain) if grain else 0,
            "node": node,
        }
        same = {f"its_{name}": value for name, value in row.items()}
        if not connection.execute(_ADD, same | {"more": charged}).rowcount:
            new = {"calls": 1, "charged": charged, "withheld": 0, "input_tokens": 0, "output_tokens": 0}
            connection.execute(spend.insert().values(**row, **new, last_used=at))
    if holder:
        connection.execute(_CONSUME, {"limit": limit.id, "of": period, "who": holder, "took": took})


def charged(database: Database, limit: Limit, grain: int = 0) -> int:
    """All that was charged for a limit."""
    query = sa.select(sa.func.sum(spend.c.charged)).where(spend.c.subject == limit.subject, spend.c.grain == grain)
    with database.read() as connection:
        return int(connection.execute(query).scalar() or 0)
