"""Machines of one's own against prices by the token."""

from __future__ import annotations

import math

import pytest

from tests.unit.planner.fleet.asked import MIX, MONTHS, TARGETS, cheapest
from tokenway.model.catalog import Price, Tier
from tokenway.model.money import Rate
from tokenway.planner.fleet.breakeven import MONTH, Api, break_even, first_months
from tokenway.planner.fleet.months import by_month, fleet_for
from tokenway.planner.fleet.workload import Mix


def _rate(usd: float) -> Rate:
    """Dollars for a million tokens, as the price book has them."""
    return Rate(round(usd * 10**9))


def _api(usd: float) -> Api:
    return Api("an API", Price(input=_rate(usd), output=_rate(4 * usd), cache_read=_rate(0.1 * usd)))


def test_a_request_costs_what_the_ledger_would_say() -> None:
    """Fresh and cached input and output, each at its rate."""
    assert _api(1.0).per_request(MIX) == pytest.approx((1_400 + 0.1 * 600 + 4 * 300) / 1e6)


def test_tiers_count() -> None:
    """A long input has another price."""
    price = Price(input=_rate(1), output=_rate(1), tiers=(Tier(above=100_000, input=_rate(2)),))
    assert Api("x", price).per_request(Mix(input=200_000, output=1, cached=0)) == pytest.approx(0.400001)


def test_the_fleet_pays_from_a_volume_on() -> None:
    """There it is cheaper, and a little below it is not."""
    replica, api = cheapest(), _api(0.6)
    found = break_even(api, replica, 0.8, TARGETS, 1.5)
    assert found.fleet is not None
    assert found.fleet.usd <= found.requests * found.api_usd_per_request
    below = fleet_for(MONTH, found.requests / 1.03, replica, 0.8, TARGETS, 1.5)
    assert below.usd > below.requests * found.api_usd_per_request
    assert found.tokens_per_day == pytest.approx(found.requests * MIX.tokens / 30)


def test_a_dearer_api_is_beaten_sooner() -> None:
    """And a cheap one never."""
    replica = cheapest()
    volumes = [break_even(_api(usd), replica, 0.8, TARGETS, 1.5).requests for usd in (0.001, 0.6, 3.0)]
    assert volumes[0] == math.inf
    assert volumes[1] > volumes[2]


def test_the_month_in_which_it_pays() -> None:
    """Later where demand grows less; never where the API is cheap."""
    fleets = by_month(MONTHS, cheapest(), 0.8, TARGETS)
    assert set(first_months(_api(5.0), fleets, MIX).values()) == {MONTHS[0].name}
    assert set(first_months(_api(0.001), fleets, MIX).values()) == {None}
