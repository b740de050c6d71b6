"""What a day's probes have cost, as the ledger has it, so that no restart and no worker spends it again.

    settled, cost known       that cost
    settled, cost not known   what was set aside for it, which its run says; nothing where no provider did any work
    open, or expired          what was set aside for it, which its reservation says

Their ids begin with the day and what they are, so that only these rows are read.
"""

from __future__ import annotations

from typing import Any, Final

import sqlalchemy as sa

from tokenway.metering.ledger import Settlement
from tokenway.model.probe import RUN, ids_end, ids_of
from tokenway.store.database import Database
from tokenway.store.schema import EXPIRED_ATTEMPT, attempts, exchanges, kinds, reservations

_SET_ASIDE: Final = sa.cast(sa.func.substr(exchanges.c.run, len(RUN) + 1), sa.BigInteger)


class SqlProbes:
    """Reads the ledger in a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def spent(self, day: int) -> dict[str, int]:
        """Nano-dollars that the probes of a day have cost, or may yet, by their keys (`model.probe.asked_as`)."""
        sums: dict[str, int] = {}
        with self._database.read() as connection:
            for query in (_inline(day), _apart(day), _reserved(day)):
                for key, amount in connection.execute(query):
                    sums[key] = sums.get(key, 0) + int(amount or 0)
        return sums


def _inline(day: int) -> sa.Select[Any]:
    """Exchanges whose only attempt stands in their own row."""
    cost = sa.func.coalesce(exchanges.c.cost, _SET_ASIDE)
    query = sa.select(kinds.c.key, sa.func.sum(cost)).join_from(exchanges, kinds, kinds.c.id == exchanges.c.kind)
    return query.where(_is_of(exchanges.c.id, day), kinds.c.inline_attempt.is_not(None)).group_by(kinds.c.key)


def _apart(day: int) -> sa.Select[Any]:
    """Attempts with a row of their own: those that failed, or whose usage is not known."""
    is_known = attempts.c.cost.is_not(None) & (attempts.c.absurd == 0)
    is_free = attempts.c.settlement == Settlement.RELEASED.value
    cost = sa.case((is_known, attempts.c.cost), (is_free, 0), else_=_SET_ASIDE)
    query = (
        sa.select(kinds.c.key, sa.func.sum(cost))
        .join_from(attempts, exchanges, exchanges.c.id == attempts.c.exchange)
        .join(kinds, kinds.c.id == exchanges.c.kind)
    )
    is_attempt = attempts.c.attempt != EXPIRED_ATTEMPT
    return query.where(_is_of(attempts.c.exchange, day), is_attempt).group_by(kinds.c.key)


def _reserved(day: int) -> sa.Select[Any]:
    """What is set aside for those that are under way, or were when their worker ended."""
    query = sa.select(reservations.c.key, sa.func.sum(reservations.c.amount))
    return query.where(_is_of(reservations.c.id, day)).group_by(reservations.c.key)


def _is_of(identity: sa.ColumnElement[str], day: int) -> sa.ColumnElement[bool]:
    """Whether an exchange's id is that of one of the day's probes."""
    return (identity >= ids_of(day)) & (identity < ids_end(day))
