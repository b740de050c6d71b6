"""A circuit breaker: what keeps failing is left alone for a while, then asked once, then trusted again.

The pattern is Nygard's ("Release It!", 2007). When it trips follows Finagle's failure accrual, which has both policies:
so many failures in a row, or too large a share of the recent ones. There is one for each endpoint (connections, TLS,
framing, 5xx, deadlines, streams that are cut) and one for each credential (401, 402, 403, a spent quota);
`routing.retry.scope` says which of them a failure concerns, and a failure that is the caller's own reaches neither.

    CLOSED      everything passes
    OPEN        nothing passes until a pause is over
    HALF_OPEN   one call passes, the probe, and decides

                      TRIP                     TRY, when the pause is over
        CLOSED ────────────────▶ OPEN ────────────────────────▶ HALF_OPEN
           ▲                      ▲ ▲          FAILURE             │ │ │
           │                      │ └──────────────────────────────┘ │ │
           │                      │            ABANDON               │ │
           │                      └──────────────────────────────────┘ │
           └───────────────────────────────────────────────────────────┘
                                     SUCCESS

Rules:

1. Whoever sends a call asks `may_try`, says `try_begun`, and gives the number that it got to exactly one of
   `succeeded`, `failed` and `abandoned`. A call may succeed first, when its answer begins, and fail later, when it is
   cut: a probe should say so early, since the others wait for it.
2. A number is worth something only until the breaker opens or probes: what calls from before say then is old news,
   and cannot be taken for the probe's answer.
3. A probe that its caller gave up (`abandoned`) says nothing: the next call may probe at once.
4. The pause doubles with each opening up to a bound. It begins anew only after the breaker stayed closed as long as
   the longest pause, so that an endpoint that flaps is asked ever less often.
5. A pause is jittered, half of it fixed, so that workers do not probe in step. An upstream that names a longer one
   is given it, within the same bound.

Times are monotonic seconds; dice are random numbers in [0, 1). On the hot path `is_closed` and `number` are attributes,
and a success costs a few comparisons.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import msgspec


class State(IntEnum):
    """Where a breaker is; see above. The values are those of `tokenway_breaker_state`."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class Signal(IntEnum):
    """What moves a breaker."""

    SUCCESS = 0
    FAILURE = 1
    """One that is not enough to trip."""
    TRIP = 2
    """One that is."""
    TRY = 3
    """A call begins, which `may_try` allowed."""
    ABANDON = 4


# Names of their own, for the reason that `exchange.attempts` gives.
CLOSED, HALF_OPEN, OPEN = State

TABLE: Final[dict[tuple[State, Signal], State]] = {
    (CLOSED, Signal.SUCCESS): CLOSED,
    (CLOSED, Signal.FAILURE): CLOSED,
    (CLOSED, Signal.TRIP): OPEN,
    (CLOSED, Signal.TRY): CLOSED,
    (CLOSED, Signal.ABANDON): CLOSED,
    (OPEN, Signal.TRY): HALF_OPEN,
    (HALF_OPEN, Signal.SUCCESS): CLOSED,
    (HALF_OPEN, Signal.TRIP): OPEN,
    (HALF_OPEN, Signal.ABANDON): OPEN,
}
"""What is not here cannot happen: in OPEN no number is valid, and in HALF_OPEN any failure trips."""


class Policy(msgspec.Struct, frozen=True, gc=False):
    """When a breaker trips and for how long. Times are seconds."""

    in_a_row: int
    """It trips after so many failures without a success between them."""
    share: float
    """It trips when at least this share of the recent calls failed, in (0, 1]…"""
    least: int
    """…of at least so many, and the last one did."""
    window: float
    """Recent is what ended in this time, or in up to twice as much."""
    pause_first: float
    pause_max: float


ENDPOINT: Final = Policy(in_a_row=5, share=0.5, least=20, window=30.0, pause_first=1.0, pause_max=60.0)
"""Five in a row and a window of thirty seconds are Finagle's defaults; its pauses are five times as long."""
CREDENTIAL: Final = Policy(in_a_row=2, share=0.5, least=20, window=60.0, pause_first=15.0, pause_max=600.0)
"""Keys and money do not come back within seconds, and two refusals are no accident."""


class UnaskedTryError(RuntimeError):
    """A call began that `may_try` does not allow: somebody's bug."""


class Breaker:
    """One breaker. `state` and `is_closed` are to be read only."""

    __slots__ = (
        "_bad",
        "_bad_before",
        "_closed_at",
        "_good",
        "_good_before",
        "_openings",
        "_policy",
        "_row",
        "_turn_at",
        "is_closed",
        "number",
        "open_until",
        "state",
    )

    def __init__(self, policy: Policy = ENDPOINT) -> None:
        self._policy = policy
        self.state = CLOSED
        self.is_closed = True
        self.number = 0
        """What a call that begins now is known by; `try_begun` gives it."""
        self.open_until = 0.0
        """When the pause is over that it is in, or was in last."""
        self._row = 0
        self._openings = 0
        self._closed_at = 0.0
        # The two slots of the window: calls that succeeded and failed, and when the current one ends.
        self._good = self._bad = self._good_before = self._bad_before = 0
        self._turn_at = 0.0

    def may_try(self, now: float) -> bool:
        """Whether a call may begin: any while closed, one when a pause is over."""
        return self.is_closed or (self.state is OPEN and now >= self.open_until)

    def try_begun(self, now: float) -> int:
        """A call begins; gives its number. Raises UnaskedTryError where `may_try` does not allow it."""
        if not self.is_closed:
            if not self.may_try(now):
                raise UnaskedTryError(f"a call began in state {self.state.name}")
            self._move(Signal.TRY)
            self.number += 1
        return self.number

    def succeeded(self, number: int, now: float) -> None:
        """The call with this number got an answer."""
        if number != self.number:
            return
        if self.is_closed:  # the row (CLOSED, SUCCESS)
            self._row = 0
            if now >= self._turn_at:
                self._turn(now)
            self._good += 1
            return
        self._move(Signal.SUCCESS)
        self._closed_at = now
        self._row = self._good = self._bad = self._good_before = self._bad_before = 0

    def failed(self, number: int, now: float, dice: float, least_pause: float = 0.0) -> None:
        """The call with this number failed, by this endpoint's or credential's fault.

        `least_pause` is what the upstream asks for, in seconds; it counts when this failure opens the breaker.
        """
        if number != self.number:
            return
        if not self.is_closed:
            self._open(now, dice, least_pause)
            return
        if now >= self._turn_at:
            self._turn(now)
        self._row += 1
        self._bad += 1
        if self._is_enough():
            self._open(now, dice, least_pause)
        else:
            self._move(Signal.FAILURE)

    def abandoned(self, number: int) -> None:
        """The call with this number ended without telling anything: its caller left, or it was its own mistake."""
        if number == self.number:
            if self.state is HALF_OPEN:
                self.number += 1
            self._move(Signal.ABANDON)

    def _is_enough(self) -> bool:
        policy = self._policy
        if self._row >= policy.in_a_row:
            return True
        bad = self._bad + self._bad_before
        calls = bad + self._good + self._good_before
        return calls >= policy.least and bad >= policy.share * calls

    def _open(self, now: float, dice: float, least_pause: float) -> None:
        policy = self._policy
        if self.is_closed and now - self._closed_at >= policy.pause_max:
            self._openings = 0
        self._move(Signal.TRIP)
        self.number += 1
        bound = policy.pause_max
        pause = min(bound, policy.pause_first * 2.0 ** min(self._openings, 32))
        self._openings += 1
        self.open_until = now + min(bound, max(pause * (0.5 + dice / 2.0), least_pause))

    def _move(self, signal: Signal) -> None:
        self.state = TABLE[self.state, signal]
        self.is_closed = self.state is CLOSED

    def _turn(self, now: float) -> None:
        """The current slot of the window becomes the one before, unless it is too old for that."""
        window = self._policy.window
        is_recent = now < self._turn_at + window
        self._good_before, self._bad_before = (self._good, self._bad) if is_recent else (0, 0)
        self._good = self._bad = 0
        self._turn_at = now + window
