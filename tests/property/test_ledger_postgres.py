"""The ledger on PostgreSQL comes to the same sums as the naive model, whatever happens to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from hypothesis import given, settings

from tests.property.ledger_model import naive
from tests.property.ledger_plays import MONTH_END, Play, outcome, plays
from tests.property.test_ledger_sums import perform, stored
from tests.servers.postgres import PostgresServer
from tokenway.store.copying import CopyWriter
from tokenway.store.open import Store
from tokenway.store.postgres import open_postgres
from tokenway.store.schema import metadata, reservations
from tokenway.store.schema import settings as kept
from tokenway.store.verify import verify

pytestmark = pytest.mark.postgres

KEPT = {"alembic_version", kept.name}
EMPTY = "; ".join(f"DELETE FROM {table.name}" for table in reversed(metadata.sorted_tables) if table.name not in KEPT)


@pytest.fixture(scope="module")
def store(postgres: PostgresServer, postgres_template: str) -> Iterator[Store]:
    """A store that each example empties first."""
    name = postgres.create(template=postgres_template)
    opened = open_postgres(postgres.url(name), clock=lambda: MONTH_END)
    yield opened
    opened.close()
    postgres.drop(name)


@pytest.mark.timeout(600)
@settings(max_examples=max(5, settings().max_examples // 2))
@given(play=plays())
def test_sums_are_those_of_the_exchanges(store: Store, play: Play) -> None:
    """After replays, expiries, late settlements and crashes; and the ledger proves itself."""
    with store.database.write() as connection:
        connection.exec_driver_sql(EMPTY)
    perform(play, store, CopyWriter)

    over = {exchange.id: exchange for exchange in outcome(play)}
    assert stored(store) == naive(outcome(play))
    assert verify(store.database, MONTH_END).faults == []
    with store.database.read() as connection:
        rows = connection.execute(sa.select(reservations.c.id, reservations.c.expired)).all()
    assert not {row.id for row in rows if row.expired is None} & over.keys()
