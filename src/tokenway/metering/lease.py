"""A worker's lease of one limit: what it may spend of it without asking.

The control process grants a lease by the *period* of its limit. Calls *draw* the most that they can take of it,
which is *held* as long as they run; when one is over, what it took is gone, and the rest is *left*. In every period

    granted = left + held + taken

holds at all times, so a worker never spends more than it was granted: what is drawn is never more than is left,
and what is given back is no more than that either. `left` falls below nothing only where a call took more than it had
drawn.

    what happens                 left              held        granted
    ─────────────────────────────────────────────────────────────────────────────
    take, of this period         + amount - own                + amount - own
    take, of another period      = amount          = 0         = amount     what was left of the old one goes back
    own, of this period          + share - granted             = share      where that is more than was granted
    own, of another period       = share           = 0         = share      the same
    draw                         - drawn           + drawn
    close, of this stretch       + drawn - used    - drawn
    close, of another stretch                                               drawn - used goes back, of its own period
    give back                    - own - amount                - own - amount   amount <= left
    disown                       - own                         - own
    forgotten                    = - held                      = taken      whoever granted it knows nothing of it

A call belongs to the period that it was admitted in: what it drew goes back there, also when another one has begun. A
*stretch* is a period as long as the lease was in it: a clock that steps back finds its period, and begins another one.
`own` is for when nobody can be asked: a static share of the limit that the worker takes by itself. It is let go of as
soon as somebody can be asked again, which may leave less than nothing: what calls have of it has to be granted then,
before anything else. It never goes back, for nobody gave it. `forgotten` is for what exists in the memory of the
control process alone, where a new one has to be asked for what is held already.
"""

from __future__ import annotations

from math import inf
from typing import Final, NamedTuple

IDLE_SECONDS: Final = 5.0
"""After how long a lease that nobody draws from is given back."""
ENOUGH: Final = 0.5
"""The share of what was granted last below which more is asked for ahead."""
KEPT: Final = 2
"""How many times as much as is needed is kept, once twice that is left: the rest goes back at once."""
ABUNDANT: Final = 2 * KEPT
"""How many times what was granted last has to be left before there can be a surplus."""


class Back(NamedTuple):
    """What a worker does not need any more of a period."""

    period: int
    amount: int


class Stretch:
    """One stay in a period; each is itself alone."""

    __slots__ = ("period",)

    def __init__(self, period: int) -> None:
        self.period = period


class Lease:
    """The lease of one limit, empty at first. Amounts are in the limit's unit.

    `begins` and `ends` bound the period in Unix time; `touched` is when it was drawn from last, in monotonic seconds.
    """

    __slots__ = ("begins", "chunk", "ends", "granted", "held", "left", "owned", "period", "stretch", "touched", "usual")

    def __init__(self) -> None:
        self.period = 0
        self.stretch = Stretch(0)
        self.begins = 0.0
        self.ends = 0.0
        self.granted = 0
        self.left = 0
        self.held = 0
        self.owned = 0
        """The part of `granted` that it took by itself."""
        self.chunk = 0
        """What was granted last; 0 where that was nothing, and asking ahead is vain."""
        self.usual = 0
        """What was drawn last."""
        self.touched = 0.0

    def holds(self, amount: int, now: float) -> bool:
        """Whether a call may draw so much at this Unix time; a lease with nothing left holds not even what is free."""
        return self.left >= amount and self.left > 0 and self.begins <= now < self.ends

    def is_current(self, now: float) -> bool:
        """Whether its period is the one that this Unix time is in."""
        return self.begins <= now < self.ends

    def lacks(self, amount: int, now: float) -> int:
        """How much has to be granted, so that so much may be drawn."""
        amount = amount or 1
        return max(0, amount - self.left) if self.begins <= now < self.ends else amount

    def draw(self, amount: int, now: float) -> None:
        """A call takes so much, which `holds` has allowed; `now` is in monotonic seconds."""
        if amount > self.left or amount < 0:
            raise ValueError(f"{amount} cannot be drawn from {self.left}")
        self.left -= amount
        self.held += amount
        self.usual = amount
        self.touched = now

    def close(self, drawn: int, stretch: Stretch, used: int) -> Back | None:
        """A call is over that drew so much in a stretch; what it did not use goes back where that is over."""
        if stretch is self.stretch:
            self.held -= drawn
            self.left += drawn - used
            return None
        return Back(stretch.period, drawn - used) if drawn > used else None

    def take(self, period: int, begins: float, ends: float, amount: int) -> Back | None:
        """So much was granted of a period, which ends at `ends` (0.0: never); what goes back of the one before it."""
        back = self._begin(period, begins, ends)
        self.disown()
        self.granted += amount
        self.left += amount
        self.chunk = amount
        return back

    def own(self, period: int, begins: float, ends: float, share: int) -> Back | None:
        """Nobody can be asked: the worker takes its share of a period by itself, once."""
        back = self._begin(period, begins, ends)
        more = max(0, share - self.granted)
        self.owned += more
        self.granted += more
        self.left += more
        self.chunk = 0
        return back

    def _begin(self, period: int, begins: float, ends: float) -> Back | None:
        """Passes to a period, unless it is this one."""
        self.begins, self.ends = begins, ends or inf
        if period == self.period:
            return None
        self.disown()
        back = Back(self.period, self.left) if self.left > 0 else None
        self.period = period
        self.stretch = Stretch(period)
        self.granted = self.left = self.held = 0
        return back

    def disown(self) -> None:
        """Lets go of what it took by itself."""
        self.left -= self.owned
        self.granted -= self.owned
        self.owned = 0

    @property
    def is_low(self) -> bool:
        """Whether more should be asked for before somebody needs it."""
        return self.left < ENOUGH * self.chunk

    @property
    def surplus(self) -> int:
        """What is left beyond all that is likely to be needed."""
        kept = KEPT * max(self.chunk, self.usual)
        return self.left - kept if self.left > 2 * kept and not self.owned else 0

    def is_idle(self, now: float) -> bool:
        """Whether it was not drawn from for long; `now` is in monotonic seconds."""
        return now - self.touched >= IDLE_SECONDS

    def give_back(self, amount: int | None = None) -> Back | None:
        """Gives back so much, or all that is left; what it took by itself is let go of."""
        self.disown()
        amount = self.left if amount is None else amount
        if amount > max(self.left, 0):
            raise ValueError(f"{amount} cannot be given back of {self.left}")
        if amount <= 0:
            return None
        self.left -= amount
        self.granted -= amount
        self.chunk = min(self.chunk, self.left)
        return Back(self.period, amount)

    def forgotten(self) -> None:
        """Whoever granted it has forgotten it: what is held has to be granted again, before anything else."""
        self.disown()
        self.granted -= self.left + self.held
        self.left = -self.held
        self.chunk = 0
