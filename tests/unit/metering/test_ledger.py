"""What may follow what in the ledger: every pair of state and record."""

from __future__ import annotations

import pytest

from tests.records import NOON
from tokenway.metering.ledger import (
    TRANSITIONS,
    Expired,
    LedgerFault,
    Record,
    Reserved,
    Settled,
    Settlement,
    State,
    follow,
)
from tokenway.metering.stamps import Stamps

RESERVED = Reserved("x", NOON, "key", "default", 5)
SETTLED = Settled(
    "x", NOON, "key", "default", "m", "a/m", "chat", "openai_chat", False, Settlement.DELIVERED, 3, 200, (), Stamps()
)
EXPIRED = Expired("x", NOON)


@pytest.mark.parametrize(
    ("state", "record", "after"),
    [
        (State.ABSENT, RESERVED, State.OPEN),
        (State.ABSENT, SETTLED, None),
        (State.ABSENT, EXPIRED, None),
        (State.OPEN, RESERVED, State.OPEN),
        (State.OPEN, SETTLED, State.SETTLED),
        (State.OPEN, EXPIRED, State.EXPIRED),
        (State.SETTLED, RESERVED, State.SETTLED),
        (State.SETTLED, SETTLED, State.SETTLED),
        (State.SETTLED, EXPIRED, State.SETTLED),
        (State.EXPIRED, RESERVED, State.EXPIRED),
        (State.EXPIRED, SETTLED, State.SETTLED),
        (State.EXPIRED, EXPIRED, State.EXPIRED),
    ],
)
def test_every_pair(state: State, record: Record, after: State | None) -> None:
    """Each record either leads on, changes nothing because it is a replay, or is a fault."""
    if after is None:
        with pytest.raises(LedgerFault, match=f"{type(record).__name__} cannot follow {state} for x"):
            follow(state, record)
    else:
        assert follow(state, record) is after


def test_the_table_holds_nothing_else() -> None:
    """Ten of the twelve pairs are allowed."""
    assert len(TRANSITIONS) == 10


def test_a_journal_may_be_read_again_from_anywhere() -> None:
    """Replaying any tail of a history ends where the history ended."""
    history: list[Record] = [RESERVED, EXPIRED, SETTLED]
    for start in range(len(history)):
        state = State.SETTLED
        for record in history[start:]:
            state = follow(state, record)
        assert state is State.SETTLED
