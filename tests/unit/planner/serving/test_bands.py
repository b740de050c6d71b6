"""Widths of bands."""

from __future__ import annotations

import numpy as np
import pytest

from tests.unit.planner.serving.asked import deployed, load
from tokenway.planner.serving.bands import width_of, width_that_holds
from tokenway.planner.serving.cases import cases_of
from tokenway.planner.serving.constants import Widths

WIDTHS = Widths(0.2, 0.3, 0.25, 0.35, 0.1, 0.15)


def test_by_what_is_known() -> None:
    """Model and chip, one of them, none."""
    names = (("llama-3-70b", "h100"), ("mixtral-8x7b", "h100"), ("llama-3-70b", "mi300x"), ("mixtral-8x7b", "mi300x"))
    cases = cases_of([(deployed(*each), load()) for each in names])._replace(quarters=np.zeros(4))
    assert width_of(cases, WIDTHS).tolist() == [0.2, 0.3, 0.25, 0.35]
    assert width_of(cases, WIDTHS, is_measured=True).tolist() == [0.1] * 4


def test_engines_that_are_newer_than_the_points() -> None:
    """Add what they did in the last months, as errors that have nothing to do with one another."""
    newest = cases_of([(deployed(), load())])
    assert width_of(newest, WIDTHS)[0] == pytest.approx(0.25)


def test_a_width_holds_the_share_that_it_was_asked_for() -> None:
    """Half and double are alike far off."""
    measured = np.exp(np.array([-0.4, -0.1, 0.0, 0.1, 0.2, 0.3]))
    assert width_that_holds(measured, np.ones(6), 0.8) == pytest.approx(0.3)
    assert width_that_holds(np.array([2.0, 0.5]), np.ones(2), 0.5) == pytest.approx(np.log(2))
