"""Accounts after a first start, on both databases, with a clock that is set by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.unit.store.conftest import Clock
from tokenway.store.accounts.accounts import Accounts
from tokenway.store.accounts.records import FirstStart
from tokenway.store.open import Store


@pytest.fixture
def store(open_store: Callable[..., Store], clock: Clock) -> Store:
    """A store before its first start."""
    return open_store(clock=clock)


@pytest.fixture
def first(store: Store) -> FirstStart:
    """What the first start made."""
    made = store.accounts.bootstrap()
    assert made is not None
    return made


@pytest.fixture
def accounts(store: Store, first: FirstStart) -> Accounts:
    """The accounts of a store after its first start."""
    return store.accounts
