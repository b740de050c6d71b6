"""Limits that may be lost with the memory they are in: rates by the minute, calls under way, depth and loops of runs.

A rate has fixed windows of a minute, of which parts are lent like money. Slots for calls under way are lent without an
end and come back with their holder. Depth and loops are looked at call by call: the chain of agents that leads to the
one which asks, and how often a run has made the same request.

`MemoryRates` is all of it for one machine. `SharedRates` is for many: it asks the store of all of them, and keeps the
same book in memory of what this machine's holders have. While that store is away the machine goes on by its book, with
its own share of each limit, so that all machines together still stay within it. What it lends in that time is told
when the store is back. Only in the minute in which the store goes away can it be more, by what machines had then taken
beyond their shares.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Protocol, TypeVar

from msgspec.structs import replace

from tokenway.metering.terms import MINUTE, chunk
from tokenway.model.limits import Measure
from tokenway.store.granting import Ask, Given, Lent, Unavailable

log = logging.getLogger("tokenway.control")
Entry = TypeVar("Entry", str, int)

SLOT_AGAIN_SECONDS: Final = 0.1
"""When asking again for a slot may help: any call may end."""
RUNS_MAX: Final = 20_000
"""Runs that are remembered; the one that was quiet for the longest goes first."""
RUN_ENTRIES_MAX: Final = 4_096
"""Agents, or different requests, that are remembered of a run; with one more it is begun anew."""


class MemoryRates:
    """The rates of one machine. `steady` is a clock that never steps, `clock` the wall's, which holders look at."""

    def __init__(self, steady: Callable[[], float], clock: Callable[[], float]) -> None:
        self._steady = steady
        self._clock = clock
        self._minute = -1
        self._windows: dict[str, dict[str, int]] = {}
        """What was lent of this minute, by limit and holder."""
        self._slots: dict[str, dict[str, int]] = {}
        self._parents: OrderedDict[str, dict[str, str]] = OrderedDict()
        self._requests: OrderedDict[str, dict[str, int]] = OrderedDict()

    async def lend(self, asks: Sequence[Ask]) -> list[Lent]:
        """Lends what is asked for, in the order of the asks."""
        return [self.lend_one(ask) for ask in asks]

    async def take_back(self, given: Iterable[Given]) -> None:
        """Takes back what holders give; of a minute that is over there is nothing to take."""
        for each in given:
            self.take_back_one(each)

    async def drop(self, holder: str) -> None:
        """Frees the slots of a holder that is gone."""
        for limit in [limit for limit, held in self._slots.items() if holder in held]:
            del self._slots[limit][holder]
            if not self._slots[limit]:
                del self._slots[limit]

    async def beat(self) -> None:
        """Nobody else needs to know."""

    async def close(self) -> None:
        """There is nothing to close."""

    def lend_one(self, ask: Ask) -> Lent:
        """What one ask comes to."""
        measure = ask.limit.measure
        if measure is Measure.DEPTH:
            return verdict(ask, depth_of(_remembered(self._parents, ask.id), ask))
        if measure is Measure.LOOPS:
            return verdict(ask, _times(_remembered(self._requests, ask.id), ask))
        window = self._window()
        if measure is Measure.CONCURRENCY:
            window = Lent(0)
        held = self._held(ask.id, window.period)
        lent = chunk(ask.limit.amount, ask.limit.amount - sum(held.values()), ask.least, ask.holders)
        self.count(ask, lent, window.period)
        remains = max(0, ask.limit.amount - sum(self._held(ask.id, window.period).values()))
        return waiting(
            replace(window, amount=lent, remains=remains), ask, self._clock(), self.elsewhere(ask, window.period)
        )

    def take_back_one(self, given: Given) -> int:
        """Takes back what a holder gives; how much of it that is."""
        is_over = given.period and given.period != self._window().period
        held = (self._windows if given.period else self._slots).get(given.id, {})
        amount = 0 if is_over else max(0, min(given.amount, held.get(given.holder, 0)))
        if amount:
            held[given.holder] -= amount
            if not held[given.holder]:
                del held[given.holder]
        return amount

    def count(self, ask: Ask, amount: int, period: int) -> None:
        """Counts what a holder was lent by whomever: slots where there is no period, else of the minute that is now."""
        if amount:
            self._window()
            held = (self._windows if period else self._slots).setdefault(ask.id, {})
            held[ask.holder] = held.get(ask.holder, 0) + amount

    def elsewhere(self, ask: Ask, period: int) -> int:
        """What the other holders of this machine have, spent or not."""
        return sum(held for holder, held in self._held(ask.id, period).items() if holder != ask.holder)

    def slots(self) -> dict[str, int]:
        """How many slots this machine's holders have, by limit."""
        return {limit: sum(held.values()) for limit, held in self._slots.items()}

    def _held(self, limit: str, period: int) -> Mapping[str, int]:
        return (self._windows if period else self._slots).get(limit, {})

    def _window(self) -> Lent:
        """The minute that is now: its number, and when it begins and ends by the wall's clock."""
        steady = self._steady()
        minute = int(steady // MINUTE)
        if minute != self._minute:
            self._minute = minute
            self._windows.clear()
        begins = self._clock() - (steady - minute * MINUTE)
        return Lent(0, period=minute, begins=begins, ends=begins + MINUTE)


class FarRates(Protocol):
    """A store of rates that several machines ask. Everything raises `Unavailable`, soon, when it cannot be asked."""

    async def lend(self, asks: Sequence[Ask]) -> list[Lent]:
        """Lends what is asked for, in the order of the asks."""

    async def take_back(self, given: Iterable[Given]) -> None:
        """Takes back what holders of this machine give."""

    async def beat(self, slots: Mapping[str, int], owed: Mapping[str, tuple[int, int]]) -> None:
        """Says how many slots this machine has by limit, and which part of which minute it lent by itself."""

    async def close(self) -> None:
        """Ends connections."""


class SharedRates:
    """The rates of as many machines as `nodes()` says, asked by one task at a time.

    Where they share nothing to count in (`far` is None), each has its share always.
    """

    def __init__(self, far: FarRates | None, near: MemoryRates, nodes: Callable[[], int]) -> None:
        self.is_away = False
        self._far = far
        self._near = near
        self._nodes = nodes
        self._owed: dict[str, tuple[int, int]] = {}
        """What this machine lent by itself: of which minute and how much, by limit."""
        self._slotted: set[str] = set()
        """The limits of which the store may believe that this machine has slots."""

    async def lend(self, asks: Sequence[Ask]) -> list[Lent]:
        """Lends what is asked for: of the whole limit, or of this machine's share while the store is away."""
        if self._far is not None and not self.is_away:
            try:
                lent = await self._far.lend(asks)
            except Unavailable as error:
                self._lose(error)
            else:
                return [self._counted(ask, each) for ask, each in zip(asks, lent, strict=True)]
        return [self._lend_alone(ask) for ask in asks]

    async def take_back(self, given: Iterable[Given]) -> None:
        """Takes back what holders give."""
        kept = list(given)
        for each in kept:
            if self._near.take_back_one(each) and self.is_away:
                self._owe(each.id, each.period, -each.amount)
        if kept and self._far is not None and not self.is_away:
            try:
                await self._far.take_back(kept)
            except Unavailable as error:
                self._lose(error)

    async def drop(self, holder: str) -> None:
        """Frees the slots of a holder that is gone."""
        await self._near.drop(holder)
        await self.beat()

    async def beat(self) -> None:
        """Says what this machine has; when the store is back, what it lent meanwhile too."""
        if self._far is None:
            return
        slots = dict.fromkeys(self._slotted, 0) | self._near.slots()
        try:
            await self._far.beat(slots, self._owed)
        except Unavailable as error:
            self._lose(error)
        else:
            self._owed.clear()
            self._slotted = {limit for limit, count in slots.items() if count}
            if self.is_away:
                self.is_away = False
                log.warning("the shared store of rates is back")

    async def close(self) -> None:
        """Ends connections."""
        if self._far is not None:
            await self._far.close()

    def _lose(self, error: Unavailable) -> None:
        if not self.is_away:
            self.is_away = True
            log.warning(
                "the shared store of rates is away (%s); this machine goes on with its share of each limit", error
            )

    def _counted(self, ask: Ask, lent: Lent) -> Lent:
        if ask.limit.measure in _LOOKED_AT:
            return lent
        if not lent.period:
            self._slotted.add(ask.id)
        self._near.count(ask, lent.amount, lent.period)
        return replace(lent, elsewhere=self._near.elsewhere(ask, lent.period))

    def _lend_alone(self, ask: Ask) -> Lent:
        if ask.limit.measure in _LOOKED_AT:
            return self._near.lend_one(ask)
        nodes = max(1, self._nodes())
        share = replace(ask.limit, amount=ask.limit.amount // nodes)
        lent = self._near.lend_one(replace(ask, limit=share, holders=max(1, ask.holders // nodes)))
        self._owe(ask.id, lent.period, lent.amount)
        return lent

    def _owe(self, limit: str, period: int, amount: int) -> None:
        if period and self._far is not None:
            minute, owed = self._owed.get(limit, (period, 0))
            self._owed[limit] = (period, max(0, amount + (owed if minute == period else 0)))


_LOOKED_AT: Final = frozenset({Measure.DEPTH, Measure.LOOPS})


def depth_of(parents: dict[str, str], ask: Ask) -> int:
    """How deep the agent stands that asks, of a run whose agents' parents are known, and learns its own.

    The run's own agent is at 1. A circle, which nobody but a caller can make, is gone through once.
    """
    agent, parent = (*ask.detail, "", "")[:2]
    if agent and parent:
        parents[agent] = parent
    depth, seen = 1, {agent}
    while depth <= ask.limit.amount and (agent := parents.get(agent, "")) and agent not in seen:
        seen.add(agent)
        depth += 1
    return depth


def verdict(ask: Ask, count: int) -> Lent:
    """What comes of a call that is looked at by itself, as the `count`th of what the limit allows."""
    if count > ask.limit.amount:
        return Lent(0)
    return Lent(max(1, ask.least), remains=ask.limit.amount - count)


def waiting(lent: Lent, ask: Ask, now: float, elsewhere: int) -> Lent:
    """With when asking again may help, where it was not enough: never for what is more than the whole limit."""
    wait = 0.0
    if lent.amount < ask.least <= ask.limit.amount:
        wait = lent.ends - now if lent.period else SLOT_AGAIN_SECONDS
    return replace(lent, wait=wait, elsewhere=elsewhere)


def _times(requests: dict[str, int], ask: Ask) -> int:
    """The how-manieth time this is that a run makes the same request; refused ones do not count."""
    digest = "".join(ask.detail)
    times = requests.get(digest, 0) + 1
    if times <= ask.limit.amount:
        requests[digest] = times
    return times


def _remembered(memory: OrderedDict[str, dict[str, Entry]], run: str) -> dict[str, Entry]:
    """What is known of a run, within bounds."""
    found = memory.setdefault(run, {})
    memory.move_to_end(run)
    if len(found) > RUN_ENTRIES_MAX:
        found.clear()
    if len(memory) > RUNS_MAX:
        memory.popitem(last=False)
    return found
