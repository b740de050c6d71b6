"""The records that a store gives back."""

from __future__ import annotations

import pytest

from tokenway.store.base import Invalid, LedgerStore, StoreError
from tokenway.store.ledger import SqlLedger


def test_an_invalid_value_says_in_which_field_it_is() -> None:
    """The control API points at it; for everybody else it is an error of the store."""
    with pytest.raises(StoreError, match="too much") as caught:
        raise Invalid("markup", "too much")
    assert isinstance(caught.value, Invalid)
    assert caught.value.field == "markup"


def test_the_sql_stores_have_every_method_of_the_protocols() -> None:
    """What the control process may call is there, with the same parameters."""
    for protocol, store in ((LedgerStore, SqlLedger),):
        for name, method in vars(protocol).items():
            if not name.startswith("_"):
                assert getattr(store, name).__annotations__ == method.__annotations__, name
