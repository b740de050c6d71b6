"""Who has endpoints probed: one at a time, by a worker that serves, and never without asking what was spent."""

from __future__ import annotations

from typing import cast

from tests.unit.control.test_probe import EVERY, PRICE, START, snapshot
from tokenway.control.probe import FIRST_AFTER, candidates
from tokenway.control.prober import TICK, Prober
from tokenway.control.workers import Workers
from tokenway.model.catalog import Endpoint
from tokenway.model.identity import day_of
from tokenway.model.link import Probe, Probed
from tokenway.model.probe import asked_as, ids_of

SNAPSHOT = snapshot(Endpoint("a", "x", PRICE), Endpoint("b", "x", PRICE))
WORST = {each.endpoint: each.worst for each in candidates(SNAPSHOT)}


class Hand:
    """A worker as far as it is spoken to."""

    def __init__(self, *, is_serving: bool = True) -> None:
        self.is_serving = is_serving
        self.told: list[Probe] = []

    def send(self, message: Probe) -> None:
        """It is told something."""
        self.told.append(message)


class Hands:
    """All workers."""

    def __init__(self, *alive: Hand) -> None:
        self.alive = list(alive)
        self.broken: dict[str, int] = {}

    def breakers(self) -> dict[str, int]:
        """Those that are not closed."""
        return self.broken


class Bench:
    """A prober whose clock is the test's, with what it asks for."""

    def __init__(self, *alive: Hand) -> None:
        self.now = START
        self.heard: dict[str, float] = {}
        self.spent: dict[str, int] = {}
        self.asked: list[int] = []
        self.prober = Prober(self._spent, self.heard.get, lambda: self.now)
        self.prober.use(SNAPSHOT)
        self.hands = Hands(*alive)
        self.now += FIRST_AFTER

    async def _spent(self, day: int) -> dict[str, int]:
        self.asked.append(day)
        return self.spent

    async def step(self, after: float = 0.0) -> list[Probe]:
        """One step, so much later; what workers have been told by then."""
        self.now += after
        assert await self.prober.step(cast("Workers", self.hands)) == TICK
        return [probe for hand in self.hands.alive for probe in hand.told]


async def test_an_endpoint_that_nobody_asks_is_probed() -> None:
    """With an id of the day, for what it may cost at most; the ledger was asked for that day before."""
    made = Bench(Hand())
    made.heard["a/x"] = made.now
    (probe,) = await made.step()
    assert (probe.model, probe.endpoint, probe.amount, probe.at) == ("m", "b/x", WORST["b/x"], made.now)
    assert probe.exchange.startswith(ids_of(day_of(made.now)))
    assert made.asked == [day_of(made.now)]


async def test_one_is_under_way_at_a_time() -> None:
    """Until its worker says that it is over; what another says of another is nothing."""
    made = Bench(Hand())
    (first,) = await made.step()
    made.heard[first.endpoint] = made.now
    assert await made.step(EVERY) == [first]
    made.prober.over(Probed("probe-of-an-earlier-one"))
    assert await made.step(EVERY) == [first]
    made.prober.over(Probed(first.exchange))
    told = await made.step()
    assert len(told) == 2
    assert told[0].exchange != told[1].exchange


async def test_a_worker_that_ends_takes_its_probe_with_it() -> None:
    """What that has cost, the ledger says."""
    made = Bench(Hand())
    (first,) = await made.step()
    made.hands.alive = [Hand()]
    made.spent = {asked_as("m"): first.amount}
    (second,) = await made.step(EVERY)
    assert second.exchange != first.exchange
    assert len(made.asked) == 2


async def test_nobody_is_asked_who_does_not_serve() -> None:
    """A worker that has not begun; none at all."""
    made = Bench(Hand(is_serving=False))
    assert await made.step() == []
    made.hands.alive = []
    assert await made.step() == []
    assert made.asked == []
    made.hands.alive = [Hand()]
    assert len(await made.step()) == 1


async def test_whoever_serves_when_the_ledger_has_answered_is_asked() -> None:
    """Which may be another one than before, or nobody."""
    made = Bench(Hand())
    gone, later = made.hands.alive[0], Hand()

    async def meanwhile(day: int) -> dict[str, int]:
        made.hands.alive = [later] if made.asked else []
        made.asked.append(day)
        return {}

    made.prober = Prober(meanwhile, made.heard.get, lambda: made.now)
    made.prober.use(SNAPSHOT)
    assert await made.step(FIRST_AFTER) == []
    made.hands.alive = [gone]
    assert len(await made.step(EVERY)) == 1
    assert (len(gone.told), len(later.told)) == (0, 1)


async def test_what_is_spent_stops_it() -> None:
    """The budget is a thousand nano-dollars; a day later there is another one."""
    made = Bench(Hand())
    made.spent = {asked_as("m"): 1_000 - min(WORST.values()) + 1}
    assert await made.step() == []
    made.spent = {}
    (probe,) = await made.step(86_400.0)
    assert made.asked == [day_of(START), day_of(probe.at)]


async def test_broken_ones_and_what_is_not_wanted_are_left_alone() -> None:
    """By any worker's breaker; after a new snapshot without probes nobody is asked."""
    made = Bench(Hand())
    made.hands.broken = {"a/x": 2, "b/x": 1}
    assert await made.step() == []
    made.hands.broken = {}
    made.prober.use(snapshot(Endpoint("a", "x", PRICE)))
    assert await made.step(EVERY) == []
