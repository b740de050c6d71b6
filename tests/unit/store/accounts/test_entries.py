"""Whether the ledger speaks of something."""

from __future__ import annotations

from tests.records import reserved, settled
from tokenway.store.accounts.entries import has_entries
from tokenway.store.base import Progress
from tokenway.store.open import Store


def test_an_exchange_and_an_open_reservation_count(store: Store) -> None:
    """For the key, the project and the user of each; for nobody else."""
    done = settled(1, key="k1", project="p1", user="u1")
    store.ledger.commit(Progress("j", "edge-1", "life", 10), [done, reserved(2, key="k2", project="p2")])
    with store.database.read() as connection:
        found = {
            (scope, subject)
            for scope in ("key", "project", "user")
            for subject in ("k1", "k2", "p1", "p2", "u1", "u2")
            if has_entries(connection, scope, subject)
        }
    assert found == {("key", "k1"), ("key", "k2"), ("project", "p1"), ("project", "p2"), ("user", "u1")}
