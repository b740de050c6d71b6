"""The control process's end of leases in a history: it answers in its own time, is away, or never does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Final

from tests.simulation.clock import UNIX, Clock, pick
from tokenway.edge.admission import Admission
from tokenway.edge.stocks import ANSWER_SECONDS
from tokenway.model.limits import Limit, OnOutage, Term
from tokenway.model.link import Granted, Return, Want

MINUTE: Final = 60
HELD_FOR: Final = (0.0, 0.0, 0.3, 5.0)
"""For how long others hold all of a limit."""


@dataclass(frozen=True, slots=True)
class BrokerPlan:
    """How the control process answers."""

    delay: float = 0.0
    """Seconds until an answer comes; negative for never."""
    is_blind: bool = False
    """Whether it can find out nothing."""
    cut_at: float | None = None
    """After how many seconds it is gone, and for how long."""
    cut_for: float = 0.0
    busy_for: float = 0.0
    """For how long others hold everything."""
    extra: int = 0
    """How much more than is wanted it grants, where there is so much."""
    queue: float = 0.0
    """For how long calls may wait for rates."""
    on_outage: OnOutage = OnOutage.SERVE

    @property
    def may_be_blind(self) -> bool:
        """Whether a worker may have to go by its own share."""
        return self.is_blind or self.cut_at is not None or not 0 <= self.delay < ANSWER_SECONDS


def draw_broker(rng: Random) -> BrokerPlan:
    """One that answers at once or after a while, mostly."""
    chance = rng.random
    delay = pick(rng, (0.0, 0.0, 0.001, 0.02, 0.37, 1.9))
    if chance() < 0.05:
        delay = pick(rng, (-1.0, 2.5))
    return BrokerPlan(
        delay,
        is_blind=chance() < 0.03,
        cut_at=chance() * pick(rng, (0.01, 1.0, 20.0)) if chance() < 0.06 else None,
        cut_for=pick(rng, (0.2, 3.0, 100.0)),
        busy_for=pick(rng, HELD_FOR) if chance() < 0.2 else 0.0,
        extra=pick(rng, (0, 0, 1, 10**9)),
        queue=pick(rng, (0.0, 0.0, 0.2, 10.0, 100.0)),
        on_outage=OnOutage.REFUSE if chance() < 0.2 else OnOutage.SERVE,
    )


class Broker:
    """It never grants more than a limit's amount in one of its periods."""

    def __init__(self, clock: Clock, plan: BrokerPlan) -> None:
        self._clock = clock
        self._plan = plan
        self._began = clock.now
        self._admission: Admission
        self._limits: Mapping[str, Limit] = {}
        self._held: Counter[tuple[str, int]] = Counter()
        self._is_gone = False
        self.faults: list[str] = []
        """What a worker did that it may not."""

    def serve(self, admission: Admission, limits: Mapping[str, Limit]) -> None:
        """Answers this worker, by these limits."""
        self._admission, self._limits = admission, limits
        plan = self._plan
        if plan.cut_at is not None and limits:
            self._clock.after(plan.cut_at, self._cut)
            self._clock.after(plan.cut_at + plan.cut_for, self._mend)

    def unspent(self) -> dict[str, int]:
        """What is left of each limit: what nobody holds, and what the worker holds and has not drawn."""
        left = {}
        for stock in self._admission._stocks.all:
            held = self._held[stock.id, stock.period]
            left[stock.id] = self._limits[stock.id].amount - held + stock.left
        return {name: left.get(name, limit.amount - self._held[name, 0]) for name, limit in self._limits.items()}

    def tell(self, message: Want | Return) -> None:
        """What the worker says."""
        if self._is_gone:
            self.faults.append("something was said to nobody")
        elif isinstance(message, Return):
            key = message.limit, message.period
            self._held[key] -= message.amount
            if self._held[key] < 0 or message.amount <= 0:
                self.faults.append(f"{message.amount} of {message.limit} came back, which was not held")
        elif self._plan.delay >= 0:
            self._clock.after(self._plan.delay, partial(self._answer, message))

    def _cut(self) -> None:
        self._is_gone = True
        self._admission.cut()

    def _mend(self) -> None:
        self._is_gone = False
        for name, limit in self._limits.items():
            if limit.term is Term.TOTAL and limit.is_fleeting:
                self._held[name, 0] = 0
        self._admission.mended()

    def _answer(self, want: Want) -> None:
        if self._is_gone:
            return
        if self._plan.is_blind:
            self._admission.granted(Granted(want.number, want.limit, 0, 0, ok=False))
            return
        limit, unix = self._limits[want.limit], UNIX + self._clock.now
        period, begins, ends = 0, 0.0, 0.0
        if limit.term is Term.MINUTE:
            period = int(unix // MINUTE)
            begins, ends = float(period * MINUTE), float((period + 1) * MINUTE)
        busy = max(0.0, self._began + self._plan.busy_for - self._clock.now)
        free = 0 if busy else max(0, limit.amount - self._held[limit.id, period])
        amount = min(free, want.least + self._plan.extra)
        self._held[limit.id, period] += amount
        wait = 0.0
        if amount < want.least:
            wait = busy or (ends - unix if ends else 0.0)
        self._admission.granted(Granted(want.number, want.limit, period, amount, free - amount, begins, ends, wait))
