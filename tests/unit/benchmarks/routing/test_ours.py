"""The adapter around `tokenway.routing`."""

from __future__ import annotations

from random import Random

import pytest

from benchmarks.routing.contest import figures, play, shortened
from benchmarks.routing.fleet import SCENARIOS, Fleet
from benchmarks.routing.ours import UNIX, Ours, _keys
from benchmarks.routing.simulate import Observation, Outcome, Simulation
from benchmarks.routing.workload import Ask, requests
from tokenway.routing.choose import cost_of

SHORT = shortened(SCENARIOS["day"], 1000)


def ours() -> Ours:
    """A fresh one."""
    return Ours(Random(1), Simulation(Fleet(1, SHORT), []))


def test_prices_are_the_fleets() -> None:
    """A call is expected to cost what the endpoint will bill."""
    policy, fleet = ours(), Fleet(1, SHORT)
    for mine, offer in zip(policy.endpoints, fleet.endpoints, strict=True):
        assert cost_of(mine, 700, 300, 50) == pytest.approx(offer.cost(1000, 300, 50) / 1e9)


def test_what_is_seen_reaches_the_board() -> None:
    """Time, speed, what was cached, and the load that was met."""
    policy = ours()
    asks = [Ask(number, 0.0, 7, number, 1000) for number in range(2)]
    for ask in asks:
        policy.sent(3, ask, 0.0)
    assert policy.met == {(0, 3): 0, (1, 3): 1}
    for ask in asks:
        policy.finished(Observation(3, ask, 0.0, 2.0, 0.5, 151, 1.5, 400, Outcome.OK, None))
    board, third = policy.chooser.board, policy.endpoints[3].id
    assert board.of(third).pace.seen == 2
    assert board.of(third).window.speed(UNIX + 2.0, 5, 0.5) == pytest.approx(100, rel=0.05)
    assert board.cached_share(_keys(asks[1]), third, UNIX + 3.0, 4000) > 0.1
    assert (policy.met, policy.in_flight) == ({}, [0] * 8)


def test_a_conversation_is_known_by_its_number() -> None:
    """Any turn has the same keys, another conversation others."""
    assert _keys(Ask(1, 0.0, 7, 0, 100)) == _keys(Ask(99, 5.0, 7, 9, 5000)) != _keys(Ask(1, 0.0, 8, 0, 100))


def test_a_rate_limit_is_respected() -> None:
    """For as long as the endpoint says, else for a second."""
    policy = ours()
    for index, said in ((0, 9.0), (1, None)):
        policy.sent(index, Ask(0, 0.0, 0, 0, 10), 0.0)
        limited = Observation(index, Ask(0, 0.0, 0, 0, 10), 0.0, 1.0, None, 0, 0.0, 0, Outcome.RATE_LIMITED, said)
        policy.finished(limited)
    assert policy.candidates(1.5, ()) == [2, 3, 4, 5, 6, 7]
    assert policy.candidates(2.5, ()) == [1, 2, 3, 4, 5, 6, 7]
    assert policy.candidates(10.5, ()) == list(range(8))


def test_it_learns_what_is_fast() -> None:
    """Within some hundred requests it is well ahead of chance."""
    fleet, asked = Fleet(1, SHORT), requests(1, SHORT.requests, SHORT.hours * 3600)
    mine, chance = (figures(play(name, fleet, asked, 1)) for name in ("ours", "random"))
    assert mine["finish"] < 0.7 * chance["finish"]
    assert mine["slow"] < chance["slow"]
