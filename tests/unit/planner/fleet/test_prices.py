"""Prices of GPU hours are dated ranges; what is not known is said."""

from __future__ import annotations

import pytest

from tokenway.planner.errors import PlanError
from tokenway.planner.fleet.prices import KINDS, capital, gpu_price, own_capital, own_price
from tokenway.planner.hardware import chips


def test_a_price_is_a_range() -> None:
    """Of all that was read, with its days."""
    price = gpu_price("h100", "reserved")
    assert (price.low, price.high) == (1.3, 2.35)
    assert price.low <= price.middle <= price.high
    assert price.source.as_of == "2025-10 to 2026-04-03"


def test_a_superchip_is_two_gpus() -> None:
    """The file has the price of one GPU, also where the offer is of two."""
    assert gpu_price("gb200", "on-demand").middle == 4.54


def test_every_chip_but_the_smallest_has_a_price() -> None:
    """To own or to rent."""
    known = [name for name in chips() if _has(name)]
    assert set(chips()) - set(known) == {"l40s"}


def _has(name: str) -> bool:
    try:
        return gpu_price(name, "owned").low > 0
    except PlanError:
        return False


def test_what_is_not_known_is_said() -> None:
    """With the kinds that there are."""
    with pytest.raises(PlanError, match="there are some for on-demand, owned, reserved; a plan takes one"):
        gpu_price("mi300x", "spot")
    with pytest.raises(PlanError, match="is known: a plan takes one of yours"):
        gpu_price("l40s", "owned")
    assert "spot" in KINDS


@pytest.mark.parametrize("usd", [0.0, -1.0, float("inf"), float("nan")])
def test_no_price_of_ones_own(usd: float) -> None:
    """It has to be above zero."""
    with pytest.raises(PlanError, match="no price"):
        own_price(usd)
    assert own_price(2.5).low == 2.5


def test_capital() -> None:
    """A range, where anything is known."""
    known = capital("h100")
    assert known is not None
    assert known.low < known.high
    assert known.source.as_of == "2026-05 to 2026-06"
    assert capital("mi355x") is None


@pytest.mark.parametrize("usd", [0.0, -1.0, float("inf"), float("nan")])
def test_capital_of_ones_own(usd: float) -> None:
    """It has to be above zero, and is no range."""
    with pytest.raises(PlanError, match="no price of a GPU"):
        own_capital(usd)
    assert own_capital(3e4)[:2] == (3e4, 3e4)
