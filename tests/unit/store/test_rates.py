"""Rates in memory: windows, slots, depth and loops; and what a machine does when the shared store is away."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pytest

from tokenway.model.limits import Limit, Measure, Scope, Term
from tokenway.store.granting import Ask, Given, Lent, Unavailable
from tokenway.store.rates import RUN_ENTRIES_MAX, RUNS_MAX, SLOT_AGAIN_SECONDS, MemoryRates, SharedRates

START = 1_772_366_400.0


class Clock:
    """A steady clock, and one on the wall that is off by `step`."""

    def __init__(self) -> None:
        self.now = START
        self.step = 0.0

    def steady(self) -> float:
        """The clock that never steps."""
        return self.now

    def wall(self) -> float:
        """The clock that may."""
        return self.now + self.step


@pytest.fixture
def clock() -> Clock:
    """The beginning of a minute."""
    return Clock()


@pytest.fixture
def rates(clock: Clock) -> MemoryRates:
    """Nothing lent yet."""
    return MemoryRates(clock.steady, clock.wall)


def limit(amount: int, measure: Measure = Measure.REQUESTS, term: Term = Term.MINUTE) -> Limit:
    """A limit of a key."""
    return Limit("lim_1", Scope.KEY, "key_1", measure, amount, term)


def ask(
    amount: int, least: int = 1, holder: str = "w1", measure: Measure = Measure.REQUESTS, *detail: str, holders: int = 1
) -> Ask:
    """One ask for a limit of so much."""
    return Ask("lim_1", limit(amount, measure), holder, least, holders, detail=detail)


async def test_a_window_is_a_minute(rates: MemoryRates, clock: Clock) -> None:
    """No more than the limit in each, and who comes too late is told when the next one begins."""
    clock.now += 12.5
    first, second, third = await rates.lend([ask(10, 6), ask(10, 6, "w2"), ask(10, 1, "w3")])
    assert first == Lent(6, 4, int(START) // 60, START, START + 60)
    assert (second.amount, second.elsewhere, second.wait) == (4, 6, 47.5)
    assert (third.amount, third.remains, third.wait) == (0, 0, 47.5)
    clock.now += 47.5
    assert (await rates.lend([ask(10, 6)]))[0].amount == 6


async def test_what_comes_back_is_lent_again_in_its_minute(rates: MemoryRates, clock: Clock) -> None:
    """Not in another one, and no more than the holder had."""
    lent = (await rates.lend([ask(10, 10)]))[0]
    await rates.take_back([Given("lim_1", lent.period, "w1", 3), Given("lim_1", lent.period, "w2", 5)])
    await rates.take_back([Given("lim_1", lent.period, "w1", -5), Given("other", lent.period, "w1", 5)])
    assert (await rates.lend([ask(10, 10, "w2")]))[0].amount == 3
    await rates.take_back([Given("lim_1", lent.period, "w1", 100)])
    assert (await rates.lend([ask(10, 10, "w2")]))[0].amount == 7
    clock.now += 60
    assert (await rates.lend([ask(10, 10)]))[0].amount == 10
    await rates.take_back([Given("lim_1", lent.period, "w1", 10)])
    assert (await rates.lend([ask(10, 1)]))[0].amount == 0


async def test_a_wall_clock_that_steps_changes_no_window(rates: MemoryRates, clock: Clock) -> None:
    """The window goes on, and is told in the time that the wall shows now."""
    before = (await rates.lend([ask(10, 4)]))[0]
    clock.step = -3600.0
    after = (await rates.lend([ask(10, 4)]))[0]
    assert (after.period, after.begins, after.remains) == (before.period, before.begins - 3600, 2)


async def test_slots_come_back_with_their_calls_or_their_holder(rates: MemoryRates, clock: Clock) -> None:
    """They have no window; asking again soon may help."""
    slots = Measure.CONCURRENCY
    first, second = await rates.lend([ask(3, 2, "w1", slots), ask(3, 2, "w2", slots)])
    assert first == Lent(2, 1)
    assert second == Lent(1, 0, wait=SLOT_AGAIN_SECONDS, elsewhere=2)
    clock.now += 3600
    assert (await rates.lend([ask(3, 1, "w3", slots)]))[0].amount == 0
    await rates.take_back([Given("lim_1", 0, "w1", 1)])
    assert (await rates.lend([ask(3, 1, "w3", slots)]))[0].amount == 1
    await rates.drop("w1")
    await rates.drop("w2")
    assert rates.slots() == {"lim_1": 1}
    await rates.drop("w3")
    assert rates.slots() == {}
    assert (await rates.lend([ask(3, 3, "w4", slots)]))[0].amount == 3


async def test_what_is_more_than_the_whole_limit_never_comes(rates: MemoryRates) -> None:
    """So nobody waits for it."""
    assert (await rates.lend([ask(5, 6)]))[0].wait == 0.0


async def test_a_lowered_limit_lends_nothing(rates: MemoryRates) -> None:
    """As long as more is lent than it allows now."""
    await rates.lend([ask(10, 8)])
    lent = (await rates.lend([ask(5, 1)]))[0]
    assert (lent.amount, lent.remains) == (0, 0)
    assert (await rates.lend([ask(9, 1)]))[0].amount == 1


async def test_a_rate_is_lent_in_small_parts(rates: MemoryRates) -> None:
    """A fortieth of the limit over all holders."""
    assert (await rates.lend([ask(8000, 1, holders=4)]))[0].amount == 50


async def test_depth_counts_the_agents_above(rates: MemoryRates) -> None:
    """The run's own is at 1; who is deeper than allowed is refused, each time."""

    async def depth(agent: str, parent: str = "", most: int = 3) -> int:
        lent = (await rates.lend([ask(most, 1, "w1", Measure.DEPTH, agent, parent)]))[0]
        return most - lent.remains if lent.amount else 0

    assert await depth("") == 1
    assert await depth("main") == 1
    assert await depth("a", "main") == 2
    assert await depth("b", "a") == 3
    assert await depth("c", "b") == 0
    assert await depth("c", "b") == 0
    assert await depth("b") == 3
    assert await depth("c", "b", 4) == 4
    assert await depth("main", "c", 9) == 4
    assert await depth("self", "self") == 1


async def test_loops_count_the_same_request(rates: MemoryRates) -> None:
    """Those that were refused do not count, and a limit that is raised allows more at once."""

    async def times(digest: str, most: int) -> int:
        return (await rates.lend([ask(most, 1, "w1", Measure.LOOPS, digest)]))[0].amount

    assert [await times("x", 2) for _ in range(4)] == [1, 1, 0, 0]
    assert await times("y", 2) == 1
    assert [await times("x", 3) for _ in range(2)] == [1, 0]


async def test_what_is_remembered_of_runs_is_bounded(rates: MemoryRates) -> None:
    """The quietest run goes first, and one of too many requests is begun anew."""
    loops = limit(1, Measure.LOOPS)
    for number in range(RUNS_MAX + 1):
        await rates.lend([Ask(f"run{number}", loops, "w1", 1, detail=("x",))])
    assert (await rates.lend([Ask(f"run{RUNS_MAX}", loops, "w1", 1, detail=("x",))]))[0].amount == 0
    assert (await rates.lend([Ask("run0", loops, "w1", 1, detail=("x",))]))[0].amount == 1
    for number in range(RUN_ENTRIES_MAX + 1):
        await rates.lend([Ask("run0", loops, "w1", 1, detail=(str(number),))])
    assert (await rates.lend([Ask("run0", loops, "w1", 1, detail=("x",))]))[0].amount == 1


# -- many machines ------------------------------------------------------------------------------------------


class Far:
    """A store that several machines ask, and that can go away."""

    def __init__(self, clock: Clock) -> None:
        self.rates = MemoryRates(clock.steady, clock.wall)
        self.is_there = True
        self.beats: list[tuple[dict[str, int], dict[str, tuple[int, int]]]] = []

    def _demand(self) -> None:
        if not self.is_there:
            raise Unavailable("it is not there")

    async def lend(self, asks: Sequence[Ask]) -> list[Lent]:
        """As in memory."""
        self._demand()
        return await self.rates.lend(asks)

    async def take_back(self, given: Iterable[Given]) -> None:
        """As in memory."""
        self._demand()
        await self.rates.take_back(given)

    async def beat(self, slots: Mapping[str, int], owed: Mapping[str, tuple[int, int]]) -> None:
        """Remembers what it was told."""
        self._demand()
        self.beats.append((dict(slots), dict(owed)))

    async def close(self) -> None:
        """Goes away."""
        self.is_there = False


async def test_a_shared_store_is_asked_for_the_whole_limit(clock: Clock) -> None:
    """Two machines have it together, and each knows what its own holders have."""
    far = Far(clock)
    one, two = (SharedRates(far, MemoryRates(clock.steady, clock.wall), lambda: 2) for _ in range(2))
    assert [lent.amount for lent in await one.lend([ask(10, 6), ask(10, 1, "w2")])] == [6, 1]
    lent = (await two.lend([ask(10, 6, "w9")]))[0]
    assert (lent.amount, lent.elsewhere) == (3, 0)
    await one.take_back([Given("lim_1", lent.period, "w1", 2)])
    again = (await one.lend([ask(10, 3, "w2")]))[0]
    assert (again.amount, again.elsewhere) == (2, 4)
    assert (await one.lend([ask(2, 1, "w1", Measure.DEPTH, "a", "b")]))[0].amount == 1


async def test_without_it_each_machine_has_its_share(clock: Clock) -> None:
    """Of a minute as of slots, and what it has had already counts; depth and loops go by what it has seen itself."""
    far = Far(clock)
    far.is_there = False
    rates = SharedRates(far, MemoryRates(clock.steady, clock.wall), lambda: 3)
    slots, loops = Measure.CONCURRENCY, Measure.LOOPS
    lent = await rates.lend(
        [ask(10, 9), ask(10, 9, "w1", slots), ask(1, 1, "w1", loops, "x"), ask(1, 1, "w1", loops, "x")]
    )
    assert [each.amount for each in lent] == [3, 3, 1, 0]
    assert rates.is_away
    assert (await rates.lend([ask(2, 1, "w1")]))[0].amount == 0
    clock.now += 60
    assert (await rates.lend([ask(10, 9)]))[0].amount == 3
    await rates.close()


async def test_what_a_machine_had_before_counts_against_its_share(clock: Clock) -> None:
    """So in the minute in which the store goes away nobody has more than that by himself."""
    far = Far(clock)
    rates = SharedRates(far, MemoryRates(clock.steady, clock.wall), lambda: 2)
    await rates.lend([ask(10, 4)])
    far.is_there = False
    assert (await rates.lend([ask(10, 4)]))[0].amount == 1
    clock.now += 60
    assert (await rates.lend([ask(10, 9)]))[0].amount == 5


async def test_a_store_that_is_back_hears_what_was_lent_meanwhile(clock: Clock) -> None:
    """Of the minute, less what came back; the slots that there are; and then it is asked again."""
    far = Far(clock)
    rates = SharedRates(far, MemoryRates(clock.steady, clock.wall), lambda: 2)
    minute = int(START) // 60
    await rates.lend([ask(8, 2, "w1", Measure.CONCURRENCY)])
    far.is_there = False
    await rates.take_back([Given("lim_1", 0, "w1", 1)])
    await rates.lend([ask(10, 4), ask(8, 1, "w2", Measure.CONCURRENCY)])
    await rates.take_back([Given("lim_1", minute, "w1", 1)])
    await rates.beat()
    was_away = rates.is_away
    far.is_there = True
    await rates.beat()
    assert (was_away, rates.is_away) == (True, False)
    assert far.beats == [({"lim_1": 2}, {"lim_1": (minute, 3)})]
    await rates.drop("w2")
    await rates.drop("w1")
    await rates.beat()
    assert far.beats[1:] == [({"lim_1": 1}, {}), ({"lim_1": 0}, {}), ({}, {})]
    assert (await rates.lend([ask(10, 9)]))[0].amount == 9


async def test_what_was_lent_in_an_earlier_minute_is_not_owed(clock: Clock) -> None:
    """Only the last one is told."""
    far = Far(clock)
    far.is_there = False
    rates = SharedRates(far, MemoryRates(clock.steady, clock.wall), lambda: 1)
    await rates.lend([ask(10, 4)])
    clock.now += 60
    await rates.lend([ask(10, 1)])
    far.is_there = True
    await rates.beat()
    assert far.beats == [({}, {"lim_1": (int(START) // 60 + 1, 1)})]
