"""Which factor grows."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from tests.unit.planner.demand.simulated import FIRST
from tokenway.planner.demand.growth import split

DAYS = [FIRST + timedelta(days=number) for number in range(84)]


def _counts(**monthly: float) -> dict[str, dict[date, float]]:
    """Counts of which each grows so much a month beyond the one before it."""
    months = np.arange(84) * 12 / 365.25
    level, found = np.full(84, 50.0), {}
    for name, part in monthly.items():
        level = level * 3 * (1 + part) ** months
        found[name] = dict(zip(DAYS, level.tolist(), strict=True))
    return found


def test_each_factor_has_its_rate() -> None:
    """And the rates add up to that of the tokens."""
    found = split(_counts(users=0.1, requests=0.0, calls=0.3, tokens=0.05), np.random.default_rng(1))

    assert found is not None
    assert [each.name for each in found.factors] == [
        "users",
        "requests per user",
        "calls per request",
        "tokens per call",
    ]
    assert [each.monthly for each in found.factors] == pytest.approx([0.1, 0.0, 0.3, 0.05], abs=1e-6)
    assert found.total.monthly == pytest.approx(1.1 * 1.3 * 1.05 - 1)
    assert sum(each.part or 0 for each in found.factors) == pytest.approx(1)
    assert found.factors[2].first == pytest.approx(3, rel=0.1)
    assert found.points == 12
    assert found.sentence == "Of the factors, calls per request grow most: +30.0% a month, 65% of all growth."


def test_noise_is_no_growth() -> None:
    """A factor whose interval holds zero does not stand out."""
    counts = _counts(calls=0.0, tokens=0.0)
    generator = np.random.default_rng(1)
    counts = {
        name: {day: value * generator.lognormal(0, 0.3) for day, value in all_.items()} for name, all_ in counts.items()
    }
    found = split(counts, np.random.default_rng(1))

    assert found is not None
    assert all(each.low80 < 0 < each.high80 for each in found.factors)
    assert "No factor" in found.sentence


def test_growth_per_factor_without_total_growth() -> None:
    """Where one makes up for another, no part of all growth is told."""
    found = split(_counts(calls=0.25, tokens=-0.2), np.random.default_rng(1))

    assert found is not None
    assert [each.part for each in found.factors] == [None, None]


@pytest.mark.parametrize(
    "counts",
    [
        {},
        {"tokens": dict.fromkeys(DAYS, 5.0)},
        {"calls": dict.fromkeys(DAYS[:21], 5.0), "tokens": dict.fromkeys(DAYS, 5.0)},
        {"calls": dict.fromkeys(DAYS, 0.0), "tokens": dict.fromkeys(DAYS, 5.0)},
    ],
)
def test_too_little_to_split(counts: dict[str, dict[date, float]]) -> None:
    """One count, three weeks, or nothing but zeros."""
    assert split(counts, np.random.default_rng(1)) is None
