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
from tokenway.model.catalog import Endpoint, Timeouts
from tokenway.model.faults import Fault
from tokenway.model.usage import Usage
from tokenway.routing.retry import Scope, Verdict


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
    limits: Timeouts = Timeouts()
    lane: int = 0
    """Whose deadlines it has (`exchange.deadlines`)."""
    is_hedge: bool = False
    """Whether it was started beside another one, to race it."""
    resumes: bool = False
    """Whether it is to go on with an answer that has begun."""
    phase: AttemptPhase = OPENING
    was_sent: bool = False
    status: int = 0
    fault: Fault | None = None
    usage: Usage | None = None
    absurd: bool = False

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
    """What is known of a plan's endpoints within one exchange.

    An endpoint stands in a plan once for each key that it may be asked with: a slot is an endpoint and a key. What a
    key is refused for concerns its slot alone, all else the endpoint with all its keys.
    """

    __slots__ = ("_endpoints", "_out", "_ready_at", "_takers", "_tries")

    def __init__(self, endpoints: tuple[Endpoint, ...], takers: int) -> None:
        self._endpoints = endpoints
        self._takers = takers
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

    def forget(self, slot: int) -> None:
        """A try was given up for no fault of its endpoint, which is as good as untried."""
        self._tries.pop(slot, None)

    def note(self, slot: int, verdict: Verdict, ready_at: float, scope: Scope = Scope.ENDPOINT) -> None:
        """Takes in how a try failed."""
        slots = [slot] if scope is Scope.CREDENTIAL else self._of_endpoint(slot)
        if verdict is Verdict.AGAIN:
            self._ready_at = {**self._ready_at, **dict.fromkeys(slots, ready_at)}
            for each in slots:  # another key of an endpoint that fails is no new endpoint
                self._tries.setdefault(each, 0)
        elif verdict is Verdict.LARGER:
            self._out |= frozenset(slots) | self._not_larger(slot)
        else:
            self._out |= frozenset(slots)

    def next(self, now: float) -> Choice | None:
        """The next endpoint; None when none is left."""
        return self._first([slot for slot in range(len(self._endpoints)) if slot not in self._out], now)

    def next_beside(self, slot: int, now: float) -> Choice | None:
        """An endpoint that takes a call and was not tried yet, to race the one in `slot`; None when there is none."""
        raced = self._endpoints[slot].id
        for other, endpoint in enumerate(self._endpoints[: self._takers]):
            if other not in self._tries and other not in self._out and endpoint.id != raced:
                return Choice(other, now)
        return None

    def next_to_resume(self, now: float, *, prefill: bool, besides: frozenset[int] = _NONE_OUT) -> Choice | None:
        """The next endpoint that can continue an answer, from its text so far with `prefill`; None when there is none.

        Slots in `besides` are left out.
        """
        able = [
            slot
            for slot, endpoint in enumerate(self._endpoints)
            if slot not in self._out and slot not in besides and (endpoint.capabilities.prefill or not prefill)
        ]
        return self._first(able, now)

    def _first(self, slots: list[int], now: float) -> Choice | None:
        """The first of some slots that was not tried, else the one whose pause ends first."""
        for slot in slots:
            if slot not in self._tries:
                return Choice(slot, now)
        if not slots:
            return None
        at, slot = min((self._ready_at.get(slot, now), slot) for slot in slots)
        return Choice(slot, max(at, now))

    def takes_none(self) -> frozenset[int]:
        """The slots of endpoints that take no call."""
        return frozenset(range(self._takers, len(self._endpoints)))

    def slots_of(self, slot: int) -> frozenset[int]:
        """The slots of the endpoint in `slot`, with all its keys."""
        return frozenset(self._of_endpoint(slot))

    def _of_endpoint(self, slot: int) -> list[int]:
        wanted = self._endpoints[slot].id
        return [each for each, endpoint in enumerate(self._endpoints) if endpoint.id == wanted]

    def _not_larger(self, slot: int) -> frozenset[int]:
        """The endpoints whose context is known not to be larger than that of the one in `slot`."""
        least = self._endpoints[slot].capabilities.context
        if least is None:
            return _NONE_OUT
        sizes = enumerate(endpoint.capabilities.context for endpoint in self._endpoints)
        return frozenset(each for each, size in sizes if size is not None and size <= least)
