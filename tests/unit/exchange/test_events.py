"""Orders: which deadlines and which key an attempt has."""

from __future__ import annotations

from math import inf

from tokenway.exchange.events import Order
from tokenway.model.catalog import Endpoint, Timeouts

COMMON, OWN = Timeouts(5.0, 60.0, 30.0, 900.0), Timeouts(1.0, 90.0, 10.0, 100.0)
A, B = Endpoint("a", "m"), Endpoint("b", "m", timeouts=OWN)


def test_an_endpoints_own_deadlines_hold_and_the_callers_shorten_them() -> None:
    """Those of all are shortened already when the order is made."""
    order = Order((A, B), True, 1, COMMON, 2)
    assert (order.limits_of(A), order.limits_of(B)) == (COMMON, OWN)
    order = Order((A, B), True, 1, COMMON, 2, caps=Timeouts(inf, 7.0, inf, inf))
    assert order.limits_of(B) == Timeouts(1.0, 7.0, 10.0, 100.0)
    assert order.limits_of(A) == COMMON


def test_each_place_has_its_key() -> None:
    """The first one where none is named."""
    assert Order((A, B), True, 1, COMMON, 2).credential_of(1) == 0
    assert Order((A, A), True, 1, COMMON, 2, (1, 0)).credential_of(0) == 1
