"""The control process's end of leases, for workers without one: it answers every want exactly, and keeps no time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial

from tokenway.edge.admission import Admission
from tokenway.model.limits import Limit
from tokenway.model.link import Granted, Return, Want


def at_once(work: Callable[[], None]) -> None:
    """Calls it now."""
    work()


class Broker:
    """Grants what is wanted as long as there is any.

    `later` is how an answer is given: a turn of the loop later, at once, or when a test says so.
    """

    def __init__(self, later: Callable[[Callable[[], None]], object] = at_once) -> None:
        self.wants: list[Want] = []
        self.returns: list[Return] = []
        self.held: Counter[tuple[str, int]] = Counter()
        """What was granted and not given back, by instance and period."""
        self.period = 0
        self.begins = self.ends = 0.0
        self.extra = 0
        """How much more than is wanted is granted, where there is so much."""
        self.wait = 0.0
        self.is_blind = False
        """Whether it cannot find out anything."""
        self._later = later
        self._admissions: list[Admission] = []
        self._limits: Mapping[str, Limit] = {}

    def serve(self, admission: Admission, limits: Mapping[str, Limit]) -> None:
        """Answers this worker, by these limits."""
        self._admissions.append(admission)
        self._limits = limits

    def unspent(self, limit: str = "budget") -> int:
        """What is left of a limit: what nobody holds, and what workers hold without having drawn it."""
        held = self.held[limit, self.period]
        return self._limits[limit].amount - held + sum(each.remaining.get(limit, 0) for each in self._admissions)

    def tell(self, message: Want | Return, admission: Admission | None = None) -> None:
        """What a worker says; the first one, unless it is another."""
        if isinstance(message, Return):
            self.returns.append(message)
            self.held[message.limit, message.period] -= message.amount
            assert self.held[message.limit, message.period] >= 0, "more was given back than was held"
            return
        self.wants.append(message)
        self._later(partial(self.answer, message, admission or self._admissions[0]))

    def answer(self, want: Want, admission: Admission) -> None:
        """Grants what is wanted, or what there is."""
        if self.is_blind:
            admission.granted(Granted(want.number, want.limit, 0, 0, ok=False))
            return
        limit = self._limits[want.limit.partition("@")[0]]
        key = "#".join((want.limit, *want.detail[:1])), self.period
        free = max(0, limit.amount - self.held[key])
        amount = min(free, want.least + self.extra)
        self.held[key] += amount
        admission.granted(
            Granted(
                want.number,
                want.limit,
                self.period,
                amount,
                free - amount,
                self.begins,
                self.ends,
                0.0 if amount >= want.least else self.wait,
            )
        )
