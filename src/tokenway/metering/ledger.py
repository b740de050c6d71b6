"""The ledger's records and the table of what may follow what.

Money moves by records that are written once and never changed. An exchange that was admitted writes
one `Reserved`; when it is over it writes one `Settled`, which closes the reservation and carries one
line for each attempt that reached a provider. A crash between the two leaves a reservation open; the
control process closes it as `expired`, visibly, once the worker that wrote it is gone.

    (nothing) ──Reserved──▶ open ──Settled──▶ settled
                              └───Expired──▶ expired ──Settled──▶ settled

The last arrow is a settlement that was found after the reservation had been given up: the truth is
kept, and the sum changes by exactly that entry. Every other transition is a `LedgerFault`; a repeated
record is not a fault but a replay, and changes nothing.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

from tokenway.metering.stamps import Stamps
from tokenway.model.errors import TokenwayError
from tokenway.model.usage import Usage


class LedgerFault(TokenwayError):
    """A record that the table does not allow: somebody's bug, never the caller's."""


class Settlement(StrEnum):
    """How an attempt, and with it the exchange, ended for the money."""

    DELIVERED = "delivered"
    """The caller got a whole answer and pays for it."""
    UPSTREAM_BILLED = "upstream_billed"
    """The caller left; the provider charges for what it made, and so does the caller's budget."""
    ABSORBED = "absorbed"
    """We pay: a failed attempt or a lost hedge."""
    RELEASED = "released"
    """Nobody pays: no provider did any work."""
    EXPIRED = "expired"
    """A crash left the reservation open."""


PAYING: Final = frozenset({Settlement.DELIVERED, Settlement.UPSTREAM_BILLED})
"""What the caller pays for."""


class Line(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One attempt's share. `usage` is None when no provider gave one (`unmetered`).

    `cost` is nano-dollars; None when the endpoint has no price (`unpriced`) or no usage is known.
    `absurd` marks usage that was passed on but not turned into money: negative, or beyond reason. `service` is the
    class of service that it was served in, empty for the usual one.
    """

    attempt: int
    endpoint: str
    settlement: Settlement
    usage: Usage | None = None
    cost: int | None = None
    status: int = 0
    fault: str = ""
    absurd: bool = False
    service: str = ""


class Trace(msgspec.Struct, frozen=True, gc=False, array_like=True, omit_defaults=True):
    """Where in a run an exchange belongs; empty is what nobody told.

    `agent` is who asked, `parent` the agent that it works for, `agent_type` what it says that it is. `turn` is the
    user's request that it serves, `request_class` as in `main`, `subagent`, `compaction` or `auxiliary`. `final` says
    that the agent announced the end of its part.
    """

    agent: str = ""
    parent: str = ""
    agent_type: str = ""
    turn: str = ""
    request_class: str = ""
    final: bool = False


class Draw(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What an exchange took of a lease: `amount` in the limit's unit, of the period that it was admitted in."""

    limit: str
    period: int
    amount: int


class Reserved(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="R"):
    """The most an exchange can cost was set aside. `at` is Unix time, `amount` nano-dollars."""

    id: str
    at: float
    key: str
    project: str
    amount: int


class Settled(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="S"):
    """An exchange is over; closes the reservation with the same id.

    `model` is the one that answered, by the name that it is counted by, and the one that was asked for when none did;
    `endpoint` is the one that answered (empty when none did),
    `charged` what the key pays, `status` the HTTP status the client saw (499 when it left first),
    `overhead` seconds before the first attempt, `run` the caller's run id or empty.
    """

    id: str
    at: float
    key: str
    project: str
    model: str
    endpoint: str
    operation: str
    dialect: str
    stream: bool
    settlement: Settlement
    charged: int
    status: int
    lines: tuple[Line, ...]
    stamps: Stamps
    overhead: float = 0.0
    slow: bool = False
    finish_reason: str = ""
    error_type: str = ""
    run: str = ""
    gaps: tuple[int, ...] = ()
    """Pauses between deltas, counted by powers of two: the i-th count is of gaps below 2^i milliseconds."""
    admitted: float = 0.0
    """When it was admitted (Unix time), to which it belongs in the books; 0.0 in journals of older versions."""
    user: str = ""
    """Whom the key belongs to; empty for a key of nobody's."""
    withheld: int = 0
    """Nano-dollars that budgets keep back beyond `charged`: a provider may bill what it has not told."""
    draws: tuple[Draw, ...] = ()
    """What it took of leases; limits that no lease was taken for are counted by the entry itself."""
    trace: Trace | None = None
    """Where in the run it belongs; None where nothing but the run's id is known."""

    @property
    def belongs(self) -> float:
        """The moment to which it belongs in the books, Unix time."""
        return self.admitted or self.at


class Expired(msgspec.Struct, frozen=True, gc=False, array_like=True, tag="X"):
    """The control process gave up an open reservation after its worker was gone."""

    id: str
    at: float


Record = Reserved | Settled | Expired


class State(StrEnum):
    """Where an exchange's reservation stands."""

    ABSENT = "absent"
    OPEN = "open"
    SETTLED = "settled"
    EXPIRED = "expired"


TRANSITIONS: Final[dict[tuple[State, type[Record]], State]] = {
    (State.ABSENT, Reserved): State.OPEN,
    (State.OPEN, Settled): State.SETTLED,
    (State.OPEN, Expired): State.EXPIRED,
    (State.EXPIRED, Settled): State.SETTLED,
    # Replays: the same record again, as after a crash between reading the journal and committing.
    (State.OPEN, Reserved): State.OPEN,
    (State.SETTLED, Reserved): State.SETTLED,
    (State.SETTLED, Settled): State.SETTLED,
    (State.EXPIRED, Reserved): State.EXPIRED,
    (State.EXPIRED, Expired): State.EXPIRED,
    (State.SETTLED, Expired): State.SETTLED,
}


def follow(state: State, record: Record) -> State:
    """The state after `record`; raises LedgerFault when the table has no such step."""
    try:
        return TRANSITIONS[state, type(record)]
    except KeyError:
        raise LedgerFault(f"{type(record).__name__} cannot follow {state} for {record.id}") from None
