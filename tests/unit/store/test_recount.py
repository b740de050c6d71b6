"""The entries' own sums. Whether they are those of the ledger is what `verify` and the property tests say."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from tokenway.store.open import Store
from tokenway.store.recount import bucket, whole


@pytest.mark.parametrize(
    ("value", "expected"), [(0.0, 0), (0.5, 0), (1.5, 1), (2.999999, 2), (1_767_268_799.7, 1_767_268_799)]
)
def test_whole_numbers_are_cut_on_every_database(open_store: Callable[..., Store], value: float, expected: int) -> None:
    """Casts would round them on one, and cut them on the other."""
    with open_store().database.read() as connection:
        assert connection.execute(sa.select(whole(sa.cast(value, sa.Double)))).scalar() == expected
        assert connection.execute(sa.select(bucket(sa.cast(value, sa.Double), 60))).scalar() == expected // 60
