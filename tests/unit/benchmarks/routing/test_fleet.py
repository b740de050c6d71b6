"""The true state of a simulated fleet."""

from __future__ import annotations

from math import log
from statistics import fmean, pstdev

import pytest

from benchmarks.routing import fleet
from benchmarks.routing.fleet import SCENARIOS, Fault, Fleet, Scenario

DAY = Scenario("test", 0)


@pytest.fixture(scope="module")
def fleets() -> list[Fleet]:
    """Some days."""
    return [Fleet(seed, DAY) for seed in range(5)]


def test_a_seed_is_a_fleet() -> None:
    """The same seed gives the same endpoints and courses, another one others."""
    one, again, other = Fleet(1, DAY), Fleet(1, DAY), Fleet(2, DAY)
    assert one.endpoints == again.endpoints != other.endpoints
    assert one.courses == again.courses != other.courses


def test_endpoints_differ_as_much_as_the_ranges_say(fleets: list[Fleet]) -> None:
    """The dearest costs about four times the cheapest, and price does not follow speed from fleet to fleet."""
    orders = set()
    for each in fleets:
        prices = [endpoint.price_input for endpoint in each.endpoints]
        assert 3.2 < max(prices) / min(prices) < 5
        assert sum(endpoint.cache_s > 0 for endpoint in each.endpoints) == fleet.CACHING
        assert sum(endpoint.retry_after > 0 for endpoint in each.endpoints) == fleet.ENDPOINTS // 2
        by_speed = sorted(each.endpoints, key=lambda endpoint: endpoint.speed)
        orders.add(tuple(sorted(range(fleet.ENDPOINTS), key=[e.price_input for e in by_speed].__getitem__)))
    assert len(orders) == len(fleets)


def test_speed_drifts_around_what_the_endpoint_is(fleets: list[Fleet]) -> None:
    """The logarithm of the factor has the deviation that is stated, where no collapse is in the way."""
    calm = [log(factor) for each in fleets for course in each.courses for factor in course.ttft]
    assert abs(fmean(calm)) < 0.1
    assert pstdev(calm) == pytest.approx(fleet.DRIFT_TTFT, rel=0.2)


def test_outages_are_rare_and_of_every_kind(fleets: list[Fleet]) -> None:
    """An endpoint is up for between 96 and 99.9 % of the time."""
    steps = [fault for each in fleets for course in each.courses for fault in course.fault]
    assert 0.001 < sum(map(bool, steps)) / len(steps) < 0.04
    assert set(steps) == set(Fault)
    for each in fleets:
        for course in each.courses:
            assert [fault > 0 for fault in course.fault] == [share > 0 for share in course.fault_share]


def test_others_requests_stay_within_the_slots(fleets: list[Fleet]) -> None:
    """The share is never under 0 or over 1, and a day has quiet and busy hours."""
    for each in fleets:
        for course in each.courses:
            assert all(0 <= share <= 1 for share in course.background)
            assert max(course.background) - min(course.background) > 0.3


def test_the_last_step_goes_on() -> None:
    """Streams that end after the day find the fleet as it was at its end."""
    day = Fleet(1, SCENARIOS["day"])
    assert day.step(0.0) == 0
    assert day.step(25 * 3600.0) == day.steps - 1
