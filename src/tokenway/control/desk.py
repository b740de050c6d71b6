"""Who wants something of the limits that one store has, and what comes back to it: what is asked when, and answered.

No clock, no store and no link is touched here: time is an argument, a batch is worked off by whoever began it, and
answers go to the callables that came with the wants.

    want ──▶ queued ──begin──▶ in a batch ──done──┬─ enough, or nobody else has any ────▶ answered
                ▲                                 └─ too little, and others have some ──▶ parked; others are recalled
                └──begin, when something of its limit has come back──────────────────────────┤
                                                                                             └─ too late ──▶ answered

What was lent at the first try is kept while a want is parked, and goes into the answer of the last one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from tokenway.model.link import Granted, Recall, Want
from tokenway.store.granting import Ask, Given, Lent

RECALL_SECONDS: Final = 0.05
"""How long a want waits for what others give back."""
RECALL_PAUSE: Final = 0.25
"""How long it takes at least until a limit is recalled again: who has just given back has nothing new to give."""
RECALLED_MAX: Final = 10_000
"""Limits of which it is remembered when they were recalled."""
BATCH_MAX: Final = 256
"""Wants that are worked off in one go."""

Send = Callable[[Granted | Recall], None]


class Wanted(msgspec.Struct):
    """A want at the desk. `until` is when it has to be answered, in monotonic seconds; 0.0 for at the first try."""

    want: Want
    ask: Ask
    send: Send
    until: float = 0.0
    lent: Lent | None = None
    """What came of the tries so far."""


class Batch(msgspec.Struct):
    """What is worked off in one go: first what is given back, then what is wanted."""

    given: list[Given]
    wanted: list[Wanted]

    @property
    def asks(self) -> list[Ask]:
        """What to ask the store."""
        return [wanted.ask for wanted in self.wanted]


class Desk:
    """Who wants something, and what comes back.

    `is_here(holder, send)` tells whether a worker still has this link. `recall(limit, send)` asks all workers but this
    one to give back what they do not use of a limit, and tells whether there are any.
    """

    def __init__(self, is_here: Callable[[str, Send], bool], recall: Callable[[str, Send], bool]) -> None:
        self._is_here = is_here
        self._recall = recall
        self._queued: list[Wanted] = []
        self._parked: list[Wanted] = []
        self._given: dict[tuple[str, int, str], int] = {}
        self._recalled: dict[str, float] = {}
        """When limits were recalled last, in monotonic seconds."""

    def want(self, wanted: Wanted) -> None:
        """Somebody wants something."""
        self._queued.append(wanted)

    def give(self, given: Given) -> None:
        """Something comes back."""
        place = (given.id, given.period, given.holder)
        self._given[place] = self._given.get(place, 0) + max(0, given.amount)

    @property
    def is_busy(self) -> bool:
        """Whether there is something to work off."""
        return bool(self._queued or self._given)

    @property
    def due(self) -> float | None:
        """When the first of the parked has to be answered, in monotonic seconds."""
        return min((wanted.until for wanted in self._parked), default=None)

    def begin(self, now: float) -> Batch:
        """Takes what there is to do; answers those who have waited long enough."""
        touched = {place[0] for place in self._given}
        again, still = [], []
        for wanted in self._parked:
            if wanted.ask.id in touched:
                again.append(wanted)
            elif wanted.until <= now:
                self._answer(wanted)
            else:
                still.append(wanted)
        self._parked = still
        given = [Given(limit, period, holder, amount) for (limit, period, holder), amount in self._given.items()]
        self._given.clear()
        fresh, self._queued = self._queued[:BATCH_MAX], self._queued[BATCH_MAX:]
        return Batch(given, again + fresh)

    def done(self, batch: Batch, lent: Sequence[Lent], now: float) -> None:
        """The store has answered."""
        for wanted, each in zip(batch.wanted, lent, strict=True):
            lacking = wanted.want.least - self._add(wanted, each)
            if lacking <= 0 or not each.elsewhere or not self._may_wait(wanted, now):
                self._answer(wanted)
            else:
                wanted.ask = replace(wanted.ask, least=lacking)
                self._parked.append(wanted)

    def failed(self, batch: Batch) -> None:
        """The store could not be asked. What is left of `given` is given again; nobody is told more than is known."""
        for given in batch.given:
            self.give(given)
        for wanted in batch.wanted:
            if wanted.lent is not None and wanted.lent.amount:
                self._answer(wanted)
            elif self._is_here(wanted.ask.holder, wanted.send):
                wanted.send(Granted(wanted.want.number, wanted.want.limit, 0, 0, ok=False))

    def _add(self, wanted: Wanted, lent: Lent) -> int:
        """Adds what a try has brought, and tells how much there is; what was lent of another period goes back."""
        before = wanted.lent
        if before is not None and before.amount:
            if before.period == lent.period:
                lent = replace(lent, amount=lent.amount + before.amount)
            else:
                self.give(Given(wanted.ask.id, before.period, wanted.ask.holder, before.amount))
        wanted.lent = lent
        return lent.amount

    def _may_wait(self, wanted: Wanted, now: float) -> bool:
        """Whether others may give back something in time; asks them to, unless they were just asked."""
        if not wanted.until:
            limit = wanted.ask.id
            recalled = self._recalled.get(limit, -RECALL_PAUSE)
            if now - recalled >= RECALL_PAUSE:
                if len(self._recalled) >= RECALLED_MAX:
                    self._recalled.clear()
                if not self._recall(limit, wanted.send):
                    return False
                recalled = self._recalled[limit] = now
            wanted.until = recalled + RECALL_SECONDS
        return now < wanted.until

    def _answer(self, wanted: Wanted) -> None:
        """Says what came of a want; to a worker that is gone nothing is lent."""
        lent, want, ask = wanted.lent or Lent(0), wanted.want, wanted.ask
        if self._is_here(ask.holder, wanted.send):
            wanted.send(
                Granted(
                    want.number, want.limit, lent.period, lent.amount, lent.remains, lent.begins, lent.ends, lent.wait
                )
            )
        elif lent.amount:
            self.give(Given(ask.id, lent.period, ask.holder, lent.amount))
