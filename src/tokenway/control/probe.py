"""Which endpoint is probed next, and when: decided from what is known, without a clock and without asking anybody.

    due       it was not heard of for its model's `every`, and has not been tried for as long
    chosen    the one that is overdue for longest among those whose worst case its model's budget still holds
    pace      between two probes lies half to all of the time in which each endpoint would have its turn

What is spent is no state of this: it is what the ledger says (`store.probes`), so that a new start knows it. A probe
that is set aside there, or will be, counts in full until it is settled, and only one is under way at a time: whatever
probes cost, as long as none costs more than its worst case, a day's budget is never exceeded.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from math import inf
from typing import Final

import msgspec

from tokenway.metering.estimate import bounds_of, worst_case
from tokenway.model.catalog import Operation
from tokenway.model.probe import OUTPUT_MOST, asked_as, body_of
from tokenway.model.snapshot import Snapshot

FIRST_AFTER: Final = 5.0
"""Seconds from the start to the first probe: longer than one that an earlier control process has ordered waits."""
PACE_LEAST: Final = 1.0
"""Seconds between two probes at least."""


class Candidate(msgspec.Struct, frozen=True):
    """An endpoint that may be probed: how often, for how much a day, and what a probe costs at most (nano-dollars)."""

    model: str
    endpoint: str
    every: float
    budget: int
    worst: int


def candidates(snapshot: Snapshot) -> tuple[Candidate, ...]:
    """The endpoints that may be probed: of models that want it and have a choice, with a price that is known."""
    found = []
    for model in snapshot.models.values():
        able = [each for each in model.endpoints if each.can(Operation.CHAT) and each.provider in snapshot.providers]
        probe = model.routing.probe
        if probe is None or len(able) < 2:
            continue
        for endpoint in able:
            if endpoint.price is not None:
                size = len(body_of(model.name, snapshot.providers[endpoint.provider].quirks.limit_field))
                worst = worst_case(bounds_of((endpoint,)), size, OUTPUT_MOST, 1)
                found.append(Candidate(model.name, endpoint.id, probe.every, probe.budget, worst))
    return tuple(found)


class Schedule:
    """Decides. Times are Unix seconds; `dice` are random numbers in [0, 1)."""

    def __init__(self, now: float) -> None:
        self._next_at = now + FIRST_AFTER
        self._tried: dict[str, float] = {}
        self._candidates: tuple[Candidate, ...] = ()

    def use(self, found: Sequence[Candidate]) -> None:
        """From now on these may be probed."""
        self._candidates = tuple(found)
        endpoints = {each.endpoint for each in found}
        self._tried = {endpoint: at for endpoint, at in self._tried.items() if endpoint in endpoints}

    def due(self, now: float, heard_of: Callable[[str], float | None], broken: Collection[str]) -> list[Candidate]:
        """Those whose turn has come, the longest overdue first.

        `heard_of` says when an endpoint was last heard of, and `broken` are those whose breakers are not closed:
        whether they work again is tried with callers' requests.
        """
        if now < self._next_at:
            return []
        late = []
        for each in self._candidates:
            since = max(heard_of(each.endpoint) or -inf, self._tried.get(each.endpoint, -inf))
            turns = (now - since) / each.every
            if turns >= 1.0 and each.endpoint not in broken:
                late.append((turns, each))
        late.sort(key=lambda pair: -pair[0])
        return [each for _, each in late]

    def choose(self, due: Sequence[Candidate], spent: Mapping[str, int], now: float, dice: float) -> Candidate | None:
        """The one to probe now; None where no budget holds any. `spent` is by `asked_as`, of the day of `now`."""
        self._next_at = now + self._pace() * (0.5 + 0.5 * dice)
        for each in due:
            if spent.get(asked_as(each.model), 0) + each.worst <= each.budget:
                self._tried[each.endpoint] = now
                return each
        return None

    def _pace(self) -> float:
        """Seconds in which one of all endpoints comes to its turn."""
        rate = sum([1.0 / each.every for each in self._candidates])
        return max(2.0 * PACE_LEAST, 1.0 / rate) if rate else 2.0 * PACE_LEAST
