"""The records that a store gives back."""

from __future__ import annotations

import pytest

from tokenway.store.base import KeyRow, KeyStore, LedgerStore
from tokenway.store.keys import SqlKeys
from tokenway.store.ledger import SqlLedger


@pytest.mark.parametrize(
    ("revoked", "expires", "is_active"),
    [
        (None, None, True),
        (11.0, None, True),
        (10.0, None, False),
        (None, 10.0, False),
        (None, 10.1, True),
        (9.0, 99.0, False),
    ],
)
def test_a_key_is_active_until_it_is_revoked_or_expires(
    revoked: float | None, expires: float | None, is_active: bool
) -> None:
    """The end itself is outside, whichever comes first."""
    row = KeyRow("key_1", "ci", "default", "d", "tw-12345", 0.0, revoked, expires)

    assert row.is_active(10.0) is is_active


def test_the_sql_stores_have_every_method_of_the_protocols() -> None:
    """What the control process may call is there, with the same parameters."""
    for protocol, store in ((KeyStore, SqlKeys), (LedgerStore, SqlLedger)):
        for name, method in vars(protocol).items():
            if not name.startswith("_"):
                assert getattr(store, name).__annotations__ == method.__annotations__, name
