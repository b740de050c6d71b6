"""The calibration that is shipped."""

from __future__ import annotations

import datetime as dt

import pytest

from tokenway.planner.serving.constants import FIRST_DAY, LAST_DAY, calibration, quarters_of


def test_it_is_plausible() -> None:
    """Shares of rates are below one, times of starts are microseconds, and bands are wider for what is new."""
    shipped = calibration()
    found = shipped.constants
    shares = (found.weights, found.cache, found.products, found.prefill, found.prefill_reduces, found.messages)
    assert all(0 < share < 1 for share in (*shares, found.reduces))
    assert 20e-6 < found.layer < 100e-6
    assert found.older > 1
    assert shipped.points == 1650
    assert shipped.widths.measured < shipped.widths.known <= shipped.widths.new_chip <= shipped.widths.new_both
    assert shipped.widths.known <= shipped.widths.new_model


def test_engines_are_as_new_as_the_calibration_knows_them() -> None:
    """Neither older than the first day nor newer than the last."""
    assert quarters_of(None) == quarters_of(LAST_DAY) == quarters_of(dt.date(2030, 1, 1))
    assert quarters_of(dt.date(2020, 1, 1)) == quarters_of(FIRST_DAY) == 0
    assert quarters_of(dt.date(2026, 1, 30)) == pytest.approx(1)
