"""Laws of the line before the real fleet's limits, whatever callers, answers, departures and snapshots do.

Nobody is passed by, no place stays free while somebody could have it, limits hold, everybody's waiting ends, and no
more plans are made than there is reason for.
"""

from __future__ import annotations

from math import inf
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.edge.turns import Turns
from tokenway.edge.fleet import WAIT_MAX, Fleet, Trip
from tokenway.edge.line import AGAIN, Line, Place
from tokenway.exchange.events import UpstreamFailed
from tokenway.model.catalog import Endpoint, EndpointLimits, Provider
from tokenway.model.faults import Fault
from tokenway.model.secret import Secret
from tokenway.model.snapshot import Snapshot
from tokenway.routing.choose import Asked, Taste
from tokenway.routing.hints import NONE

CALLS = 60
NAMES = ("a", "b", "c")


class World:
    """Callers who plan as `edge.start` does, before a fleet whose clock is moved."""

    def __init__(self, seed: int) -> None:
        rng = self.rng = Random(seed)
        self.turns = turns = Turns()
        self.fleet = Fleet(turns.now)
        self.fleet.line = self.line = Line(self.fleet.room_at, turns.clock, turns.loop)
        keys = {name: tuple(Secret(f"{name}{key}") for key in range(rng.choice([1, 1, 2, 6]))) for name in NAMES}
        providers = {name: Provider(name, f"http://{name}", api_keys=each) for name, each in keys.items()}
        self.fleet.adopt(Snapshot(1, providers, {}, {}, {}))
        self.has_rates = rng.random() < 0.5
        self.endpoints = {name: Endpoint(name, "m", limits=self.limits()) for name in NAMES}
        self.running: dict[int, Trip] = {}
        self.standing: dict[int, Place] = {}
        self.lengths = [0.0, 0.3, 2.0, 9.0]
        self.began: list[int] = []
        self.ended: dict[int, str] = {}
        self.plans = self.reasons = 0

    def limits(self) -> EndpointLimits:
        """Some that are reached soon."""
        rng = self.rng
        if not self.has_rates:
            return EndpointLimits(concurrency=rng.randint(1, 3))
        many = (None, rng.randint(2, 20))
        return EndpointLimits(rng.choice(many), rng.choice((None, rng.randint(100, 2000))), rng.randint(1, 4))

    def come_by_chance(self, call: int) -> None:
        """A call of some size comes for some of the endpoints."""
        names = self.rng.sample(NAMES, self.rng.choice([1, 1, 2, 3]))
        self.come(call, names, self.rng.choice([10, 10, 50, 400]))

    def come(self, call: int, names: list[str], tokens: int) -> None:
        """A call comes."""
        place = Place(call, self.turns.now + WAIT_MAX, lambda place: self.plan(call, names, tokens, place))
        self.reasons += 1
        self.plan(call, names, tokens, place, first=True)

    def plan(self, call: int, names: list[str], tokens: int, place: Place, *, first: bool = False) -> None:
        """It goes, waits or is refused."""
        fleet, now, own = self.fleet, self.turns.now, None if first else place
        self.plans += 1
        self.standing.pop(call, None)
        endpoints = [self.endpoints[name] for name in names]
        asked, credentials = endpoints, [0]
        if not fleet.is_plain(endpoints, now, tokens, own):
            rows = fleet.rank(endpoints, Asked("m", 400), Taste(), 1e9, self.rng.random)
            arranged = fleet.seat(rows, tokens, now, place=own)
            is_late = bool(arranged.wait) and (now >= place.until or place.until < now + arranged.wait < inf)
            if arranged.is_refused or is_late:
                self.ended[call] = "refused"
                return
            if arranged.wait:
                assert arranged.is_held
                assert self.line.stand(place, arranged.endpoints, tokens)
                self.standing[call] = place
                return
            asked, credentials = list(arranged.endpoints), list(arranged.credentials)
        self.begin(call, asked[0], credentials[0], tokens, place)

    def begin(self, call: int, endpoint: Endpoint, key: int, tokens: int, place: Place) -> None:
        """It goes, and nobody is passed by."""
        for other in self.standing.values():
            assert place.number < other.number or endpoint.id not in {each.id for each in other.endpoints}
        trip = self.fleet.begin(endpoint, key, tokens, self.turns.now)
        concurrency = endpoint.limits.concurrency
        allowance = self.fleet.standing(endpoint).allowances[key]
        assert concurrency is None or allowance._open <= concurrency
        self.running[call] = trip
        self.began.append(call)
        self.turns.call_later(self.rng.choice(self.lengths), self.end, call)

    def end(self, call: int) -> None:
        """Its attempt ends, this way or that."""
        trip = self.running.pop(call)
        self.reasons += 1
        if self.rng.random() < 0.1:
            trip.failed(UpstreamFailed(self.turns.now, 1, Fault.STATUS, status=400), NONE)
        trip.over()
        self.ended[call] = "answered"

    def leave(self) -> None:
        """A caller who waits is gone."""
        if self.standing:
            call = self.rng.choice(sorted(self.standing))
            self.line.left(call)
            del self.standing[call]
            self.ended[call] = "left"
            self.reasons += 1

    def change(self) -> None:
        """A snapshot with other limits."""
        name = self.rng.choice(NAMES)
        limits = EndpointLimits() if self.rng.random() < 0.1 else self.limits()
        self.endpoints[name] = Endpoint(name, "m", limits=limits)
        self.reasons += len(self.standing)
        self.line.renew()

    def no_place_is_free(self) -> None:
        """Nobody who is first at an endpoint could go there now."""
        for place in self.standing.values():
            for each in place.endpoints:
                if place.not_before <= self.turns.now and not self.line.is_behind(each, place):
                    assert (
                        self.fleet.room_at(self.endpoints[each.provider], place.tokens, self.turns.now) > self.turns.now
                    )


@given(seed=st.integers(0, 2**40))
def test_the_laws_of_the_line(seed: int) -> None:
    """Played to the end."""
    world = World(seed)
    rng, turns = world.rng, world.turns
    changes = 0
    for call in range(CALLS):
        turns.pass_time(rng.choice([0.0, 0.0, 0.0, 0.1, 1.0, 5.0]))
        world.come_by_chance(call)
        turns.settle()
        if rng.random() < 0.1:
            world.leave()
        if rng.random() < 0.03:
            changes += 1
            world.change()
        turns.settle()
        world.no_place_is_free()
    turns.pass_time(WAIT_MAX + AGAIN + 9.0)
    assert len(world.ended) == CALLS
    assert (len(world.line), turns.waiting, world.running, world.standing) == (0, 0, {}, {})
    timed_out = sum(how == "refused" for how in world.ended.values())
    assert world.plans <= world.reasons + timed_out + (CALLS if world.has_rates else 0)


@given(seed=st.integers(0, 2**40), limit=st.integers(1, 5), count=st.integers(1, 40))
def test_a_crowd_is_served_in_its_order_in_no_more_time_than_it_takes(seed: int, limit: int, count: int) -> None:
    """One endpoint, answers of half a second: `limit` of them at once, first come first served."""
    world = World(seed)
    world.endpoints["a"] = Endpoint("a", "m", limits=EndpointLimits(concurrency=limit))
    world.fleet.adopt(Snapshot(2, {"a": Provider("a", "http://a", api_keys=(Secret("k"),))}, {}, {}, {}))
    world.lengths = [0.5]
    for call in range(count):
        world.come(call, ["a"], 10)
    world.turns.pass_time(0.5 * -(-count // limit))
    assert world.began == list(range(count))
    assert len(world.ended) == count
