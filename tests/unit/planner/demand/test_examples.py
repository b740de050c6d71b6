"""The public series, and what was found of them by hand (July 2026)."""

from __future__ import annotations

from datetime import date

import pytest

from tokenway.planner.demand.choice import choose
from tokenway.planner.demand.doubling import is_one_exponential, paces
from tokenway.planner.demand.examples import example, names
from tokenway.planner.demand.study import study
from tokenway.planner.demand.trends import EXPONENTIAL, LINEAR, POWER, QUADRATIC
from tokenway.planner.errors import PlanError


def test_every_example_has_a_source() -> None:
    """And a day as of which it is."""
    for name in names():
        found = example(name)
        assert len(found.series.values) >= 5
        assert found.source.as_of == "2026-07"
        assert found.source.origin


def test_openrouter() -> None:
    """Exponential, with the line eleven behind: it doubles in 9.8 weeks."""
    found = study(example("openrouter").series).found

    assert found is not None
    assert found.choice.verdict == EXPONENTIAL
    assert found.choice.behind[LINEAR] == pytest.approx(10.6, abs=0.2)
    assert found.doubling.periods == pytest.approx(9.75, abs=0.05)


def test_nvidia() -> None:
    """Exponential by far among what says otherwise, doubling in 3.3 quarters; with a step in the summer of 2023."""
    found = study(example("nvidia").series).found

    assert found is not None
    assert found.choice.best.name == EXPONENTIAL
    assert (found.choice.behind[LINEAR], found.choice.behind[POWER]) == pytest.approx((20.9, 17.4), abs=0.3)
    assert found.doubling.periods == pytest.approx(3.30, abs=0.02)
    assert found.regime is not None
    assert found.regime.since == date(2023, 7, 30)


def test_capex() -> None:
    """It accelerates; since 2024 it is exponential and doubles in 5.3 quarters."""
    series = example("capex").series
    whole, recent = choose(series), study(series.since(date(2024, 1, 1))).found

    assert whole.verdict == QUADRATIC
    assert whole.behind[EXPONENTIAL] == pytest.approx(24.8, abs=0.3)
    assert recent is not None
    assert recent.choice.verdict == EXPONENTIAL
    assert recent.doubling.periods == pytest.approx(5.25, abs=0.05)
    assert series.values[[0, -1]] == pytest.approx([35.5, 129.8], abs=0.1)


def test_google_is_not_one_exponential() -> None:
    """Reports at no regular times: doubling in 2.1, 1.9, 7.4 and 5.4 months."""
    series = example("google").series

    assert "no regular times" in series.lacks
    assert [pace.doubling for pace in paces(series)] == pytest.approx([2.1, 1.9, 7.4, 5.4], abs=0.06)
    assert not is_one_exponential(series)


def test_an_unknown_example() -> None:
    """The nearest is told."""
    with pytest.raises(PlanError, match="did you mean nvidia"):
        example("nvida")
