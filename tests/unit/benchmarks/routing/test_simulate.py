"""Requests that meet a fleet by way of a policy."""

from __future__ import annotations

from array import array
from random import Random

import pytest

from benchmarks.routing import fleet as fleets
from benchmarks.routing.fleet import STEP_S, Course, Endpoint, Fault, Fleet, Scenario
from benchmarks.routing.policies import Uniform
from benchmarks.routing.simulate import ATTEMPTS, PENALTY_S, Observation, Outcome, Record, Simulation
from benchmarks.routing.workload import Ask, Request, requests

HOUR = Scenario("test", 2000, hours=1.0)
LUCKY = 0.5
"""Luck with which no attempt at the first endpoints meets a sporadic error."""


def still_fleet(*, has_load: bool = True, fault: Fault = Fault.NONE, background: float = 0.0) -> Fleet:
    """Endpoints of 100 tokens/s and a first token after 1 s, that never change."""
    fleet = Fleet(1, Scenario("still", 0, hours=0.1, has_load=has_load))
    endpoint = Endpoint(0, 100.0, 1.0, 1000.0, 10.0, 1.0, 0.0, 300.0, 7.0, 2, 1, 5)
    fleet.endpoints = tuple(
        Endpoint(index, *(getattr(endpoint, name) for name in Endpoint.__slots__[1:])) for index in range(8)
    )
    ones = array("d", [1.0]) * fleet.steps
    course = Course(ones, ones, array("d", [background]) * fleet.steps, bytearray([fault]) * fleet.steps, ones)
    fleet.courses = (course,) * 8
    return fleet


def ask(number: int, at: float = 0.0, *, conversation: int = 0, prompt: int = 1000, answer: int = 101) -> Request:
    """A request without noise."""
    return Request(Ask(number, at, conversation, 0, prompt), answer, 1.0, 1.0, LUCKY)


class Fixed(Uniform):
    """Tries the endpoints from the first on, and remembers what it saw."""

    def __init__(self) -> None:
        super().__init__(Random(0))
        self.seen: list[Observation] = []

    def choose(self, ask: Ask, now: float, tried: tuple[int, ...]) -> int:
        """The first that was not tried."""
        return len(tried)

    def finished(self, seen: Observation) -> None:
        """Keeps it."""
        super().finished(seen)
        self.seen.append(seen)


def play(fleet: Fleet, asked: list[Request]) -> tuple[list[Record], Fixed]:
    """What became of the requests."""
    policy = Fixed()
    return Simulation(fleet, asked).run(policy), policy


def test_a_lone_request_takes_what_its_endpoint_says() -> None:
    """1 s and 1,000 tokens of prefill at 1,000 tokens/s, then 100 tokens at 100 / (1 + 1/10) per second."""
    (record,), policy = play(still_fleet(), [ask(0)])
    assert record.ttft == pytest.approx(2.0)
    assert record.finish == pytest.approx(2.0 + 1.1)
    assert record.speed == pytest.approx(100 / 1.1)
    assert record.cost == 2 * 1000 + 5 * 101
    (seen,) = policy.seen
    assert (seen.tokens, seen.outcome) == (101, Outcome.OK)
    assert seen.ttft == pytest.approx(2.0)
    assert seen.seconds == pytest.approx(1.1)
    assert policy.in_flight == [0] * 8


def test_streams_slow_each_other_for_as_long_as_they_meet() -> None:
    """The second starts its answer half-way through the first's: both run at 100/1.2, then one at 100/1.1."""
    records, _ = play(still_fleet(), [ask(0, answer=101), ask(1, prompt=1500, answer=101, conversation=1)])
    alone = 0.5 * 100 / 1.2  # the slot of the second is taken while it waits
    together = (100 - alone) / (100 / 1.2)
    assert records[0].finish == pytest.approx(2.0 + 0.5 + together)
    left = 100 - together * 100 / 1.2
    assert records[1].finish == pytest.approx(2.5 + together + left / (100 / 1.1))


def test_without_load_streams_do_not_meet() -> None:
    """In the scenario without load each runs as if it were alone."""
    records, _ = play(still_fleet(has_load=False), [ask(number, conversation=number) for number in range(20)])
    assert [record.finish for record in records] == pytest.approx([3.0] * 20)


def test_a_change_of_speed_reaches_streams_that_flow() -> None:
    """An endpoint that collapses to a tenth at the second step takes ten times as long for what is left."""
    fleet = still_fleet(has_load=False)
    fleet.courses[0].speed[1:] = array("d", [0.1]) * (fleet.steps - 1)
    (record,), _ = play(fleet, [ask(0, answer=1001)])
    assert record.finish == pytest.approx(STEP_S + (1000 - 8 * 100) / 10)


def test_the_next_turn_finds_its_prompt_only_where_it_was() -> None:
    """Cached tokens need no prefill and cost less; elsewhere, or too late, all are new."""
    turns = [ask(0), ask(1, 10.0, prompt=1201), ask(2, 400.0, prompt=1400)]
    records, _ = play(still_fleet(), turns)
    assert records[1].cached == 1000 + 101
    assert records[1].ttft == pytest.approx(1.0 + 0.1)
    assert records[1].cost == 2 * 100 + 1 * 1101 + 5 * 101
    assert records[2].cached == 0
    other, _ = play(still_fleet(), [ask(0), ask(1, 10.0, prompt=1201, conversation=1)])
    assert other[1].cached == 0


@pytest.mark.parametrize(
    ("fault", "lost"),
    [(Fault.REFUSES, fleets.REFUSED_S), (Fault.ERRORS, fleets.ERROR_S), (Fault.STALLS, fleets.DEADLINE_S + 1.0)],
)
def test_a_failed_attempt_costs_its_time_and_is_followed_by_another(fault: Fault, lost: float) -> None:
    """The second endpoint answers; the loss counts in both times."""
    fleet = still_fleet()
    good = fleet.courses[1]
    bad = Course(good.speed, good.ttft, good.background, bytearray([fault]) * fleet.steps, good.fault_share)
    fleet.courses = (bad, *fleet.courses[1:])
    (record,), policy = play(fleet, [ask(0)])
    assert (record.attempts, record.endpoint) == (2, 1)
    assert record.ttft == pytest.approx(lost + 2.0)
    assert [seen.outcome for seen in policy.seen] == [Outcome.FAILED, Outcome.OK]


def test_what_fails_everywhere_counts_as_failed() -> None:
    """After three attempts, with the penalty, without a cost."""
    (record,), policy = play(still_fleet(fault=Fault.REFUSES), [ask(0)])
    assert record.attempts == len(policy.seen) == ATTEMPTS
    assert record.finish == pytest.approx(ATTEMPTS * fleets.REFUSED_S + PENALTY_S)
    assert (record.ttft, record.speed, record.cost, record.endpoint) == (None, None, 0, -1)


def test_a_first_token_that_is_too_late_is_a_failure() -> None:
    """The request holds its slot until the deadline, and no longer."""
    fleet = still_fleet()
    slow = Course(fleet.courses[0].speed, array("d", [50.0]) * fleet.steps, *_rest(fleet))
    fleet.courses = (slow, *fleet.courses[1:])
    simulation = Simulation(fleet, [ask(0)])
    (record,) = simulation.run(Fixed())
    assert record.ttft == pytest.approx(fleets.DEADLINE_S + 1.0 + 2.0)
    assert [server.taken for server in simulation.servers] == [0] * 8


def _rest(fleet: Fleet) -> tuple[array[float], bytearray, array[float]]:
    course = fleet.courses[0]
    return course.background, course.fault, course.fault_share


def test_a_full_endpoint_says_so() -> None:
    """One above the slots is rate limited, with the time to come again, and the next endpoint takes it."""
    records, policy = play(still_fleet(background=0.85), [ask(0), ask(1, conversation=1)])
    assert [record.endpoint for record in records] == [0, 1]
    limited = policy.seen[0]
    assert (limited.outcome, limited.retry_after, limited.ttft) == (Outcome.RATE_LIMITED, 7.0, None)


def test_cost_adds_up() -> None:
    """The sum over the requests is the sum over what each endpoint served at its prices."""
    asked = requests(1, HOUR.requests, HOUR.hours * 3600)
    fleet = Fleet(1, HOUR)
    records = Simulation(fleet, asked).run(Uniform(Random(1)))
    served = 0
    for endpoint in fleet.endpoints:
        mine = [(r, q) for r, q in zip(records, asked, strict=True) if r.endpoint == endpoint.index]
        cached = sum(record.cached for record, _ in mine)
        served += endpoint.price_input * (sum(request.ask.prompt for _, request in mine) - cached)
        served += endpoint.price_cached * cached + endpoint.price_output * sum(request.answer for _, request in mine)
    assert sum(record.cost for record in records) == served > 0


def test_every_request_ends_once_and_leaves_nothing() -> None:
    """Each has a record, each attempt an observation, and no slot stays taken."""
    asked = requests(2, HOUR.requests, HOUR.hours * 3600)
    simulation = Simulation(Fleet(2, HOUR), asked)
    policy = Fixed()
    records = simulation.run(policy)
    assert all(1 <= record.attempts <= ATTEMPTS and record.finish > 0 for record in records)
    assert len(policy.seen) == sum(record.attempts for record in records)
    assert [(server.taken, server.streams) for server in simulation.servers] == [(0, [])] * 8


def test_prediction_comes_true_when_nothing_changes() -> None:
    """What the oracle is told of a lone request is what happens; of an endpoint that is out, nothing."""
    simulation = Simulation(still_fleet(), [ask(0)])
    told = simulation.predict(0, simulation.requests[0].ask, 0.0)
    assert told == pytest.approx(simulation.run(Fixed())[0].finish)
    assert Simulation(still_fleet(fault=Fault.STALLS), [ask(0)]).predict(0, ask(0).ask, 0.0) is None
    assert Simulation(still_fleet(background=0.95), [ask(0)]).predict(0, ask(0).ask, 0.0) is None
