"""Fleets by month: replicas for the peak, spares, power and money."""

from __future__ import annotations

import math

import pytest

from tests.unit.planner.fleet.asked import MONTHS, TARGETS, cheapest
from tokenway.planner.fleet.months import added, by_month, fleet_for, spares
from tokenway.planner.fleet.workload import Month, Targets


@pytest.mark.parametrize(("needed", "up"), [(1, 0.9), (1, 0.995), (7, 0.95), (40, 0.99), (300, 0.97)])
@pytest.mark.parametrize("availability", [0.9, 0.999, 0.99999])
def test_spares_are_as_few_as_will_do(needed: int, up: float, availability: float) -> None:
    """By the binomial distribution, counted here term by term."""

    def enough(extra: int) -> float:
        there = needed + extra
        return sum(math.comb(there, k) * up**k * (1 - up) ** (there - k) for k in range(needed, there + 1))

    extra = spares(needed, availability, up)
    assert enough(extra) >= availability - 1e-12
    assert extra == 0 or enough(extra - 1) < availability


def test_no_spares_where_nothing_is_promised() -> None:
    """An availability of nothing."""
    assert spares(10, 0.0, 0.9) == 0


def test_a_fleet_serves_its_peak() -> None:
    """Not one replica more than is needed, but for the spares."""
    replica = cheapest()
    requests = 40 * replica.requests * 30 * 86_400 / replica.mix.peak
    fleet = fleet_for(Month("x", 30, 0, 0, 0), requests, replica, 0.8, TARGETS)
    assert fleet.needed == 50
    assert fleet.spares == spares(50, TARGETS.availability, TARGETS.machine_up)
    machines = fleet.needed + fleet.spares
    assert fleet.gpus >= machines * replica.layout.chips
    assert fleet.utilisation == pytest.approx(40 / replica.mix.peak / machines)
    assert fleet.usd == pytest.approx(fleet.gpus * replica.offer.price.middle * 720)
    assert fleet.power_kw == pytest.approx(fleet.gpus * replica.offer.chip.all_in_kw)
    assert fleet.energy_kwh == pytest.approx(fleet.power_kw * 720)
    tokens = requests * replica.mix.input * fleet.usd_per_million_input
    tokens += requests * replica.mix.output * fleet.usd_per_million_output
    assert tokens / 1e6 == pytest.approx(fleet.usd)


def test_what_is_bought_stays() -> None:
    """A month that needs fewer buys none, and what is there already is not bought again."""
    assert added([8, 8, 16, 4, 20]) == [8, 0, 8, 0, 4]


def test_nothing_to_do_still_takes_a_replica() -> None:
    """One has to be there."""
    fleet = fleet_for(Month("x", 30, 0, 0, 0), 0.0, cheapest(), 0.8, Targets(availability=0))
    assert fleet.needed == 1
    assert fleet.usd_per_request == math.inf


def test_months_have_three_paths() -> None:
    """Which never cross."""
    for each in by_month(MONTHS, cheapest(), 0.8, TARGETS):
        assert each.low.gpus <= each.middle.gpus <= each.high.gpus
        assert each.low.usd <= each.middle.usd <= each.high.usd
