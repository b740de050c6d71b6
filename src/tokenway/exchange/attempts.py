"""The attempts of one exchange, and which endpoint is tried next.

Endpoints that were not tried yet come first, in the order of the plan, and at once: a new endpoint owes
nobody a pause. When all have been tried, the one whose pause ends first is asked again. So the last try that
is left always goes to a new endpoint where there is one.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import msgspec

from tokenway.exchange.commands import Share
from tokenway.metering.ledger import Settlement
from tokenway.model.catalog import Endpoint
from tokenway.model.faults import Fault
from tokenway.model.usage import Usage
from tokenway.routing.retry import Verdict


class AttemptPhase(IntEnum):
    """How far an attempt is. Only a `SENT` or later attempt can cost anything."""

    OPENING = 0
    SENT = 1
    ANSWERING = 2
    OVER = 3


# Python 3.11 takes a quarter of a microsecond to look a member up in its enumeration: what is compared on
# every exchange has a name of its own.
OPENING: Final = AttemptPhase.OPENING
SENT: Final = AttemptPhase.SENT
ANSWERING: Final = AttemptPhase.ANSWERING
OVER: Final = AttemptPhase.OVER
DELIVERED: Final = Settlement.DELIVERED
RELEASED: Final = Settlement.RELEASED


class Attempt(msgspec.Struct):
    """One try at one endpoint."""

    number: int
    endpoint: Endpoint
    slot: int
    """The endpoint's place in the plan."""
    phase: AttemptPhase = OPENING
    was_sent: bool = False
    status: int = 0
    fault: Fault | None = None
    usage: Usage | None = None
    absurd: bool = False

    @property
    def is_live(self) -> bool:
        """Whether it still has a connection or waits for one."""
        return self.phase is not OVER

    def share(self, settlement: Settlement) -> Share:
        """Its part of a settlement; what was never sent, or refused by status, is released."""
        if settlement is not DELIVERED and (not self.was_sent or self._was_turned_away()):
            settlement = RELEASED
        return Share(self.number, self.endpoint, settlement, self.usage, self.absurd, self.status, self.fault or "")

    def _was_turned_away(self) -> bool:
        """Whether the provider did no work: no connection, or an error status and no count."""
        return self.fault in _NO_WORK and self.usage is None


_NO_WORK: Final = frozenset({Fault.STATUS, Fault.CONNECT, Fault.CONNECT_DEADLINE, Fault.TLS})


class Choice(msgspec.Struct, frozen=True):
    """Which endpoint is next and from when on it may be asked."""

    slot: int
    at: float


_NOT_WAITING: Final[dict[int, float]] = {}
_NONE_OUT: Final[frozenset[int]] = frozenset()


class Field:
    """What is known of a plan's endpoints within one exchange."""

    __slots__ = ("_endpoints", "_out", "_ready_at", "_tries")

    def __init__(self, endpoints: tuple[Endpoint, ...]) -> None:
        self._endpoints = endpoints
        self._tries: dict[int, int] = {}
        # Most exchanges never fail: these stay the shared empty ones, and are replaced, not changed.
        self._ready_at: dict[int, float] = _NOT_WAITING
        self._out: frozenset[int] = _NONE_OUT

    def tries(self, slot: int) -> int:
        """How often an endpoint was tried."""
        return self._tries.get(slot, 0)

    def begin(self, slot: int) -> Endpoint:
        """Counts a try and gives the endpoint."""
        self._tries[slot] = self._tries.get(slot, 0) + 1
        return self._endpoints[slot]

    def note(self, slot: int, verdict: Verdict, ready_at: float) -> None:
        """Takes in how a try failed."""
        if verdict is Verdict.AGAIN:
            self._ready_at = {**self._ready_at, slot: ready_at}
        else:
            self._out |= {slot}

    def next(self, now: float) -> Choice | None:
        """The next endpoint; None when none is left."""
        count = len(self._endpoints)
        for slot in range(count):
            if slot not in self._tries and slot not in self._out:
                return Choice(slot, now)
        waiting = [(self._ready_at.get(slot, now), slot) for slot in range(count) if slot not in self._out]
        if not waiting:
            return None
        at, slot = min(waiting)
        return Choice(slot, max(at, now))
