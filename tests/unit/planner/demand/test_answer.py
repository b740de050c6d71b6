"""Reports of demand: sentences for people."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from tests.unit.planner.demand.simulated import FIRST, daily, demand
from tokenway.planner.demand.answer import Beside, answer
from tokenway.planner.demand.examples import example
from tokenway.planner.demand.growth import split
from tokenway.planner.demand.lead import lead
from tokenway.planner.demand.mix import mix_of
from tokenway.planner.demand.study import study


def test_an_exponential_series() -> None:
    """The doubling time first, then the curve, what is to come, and what such forecasts were worth."""
    noise = np.random.default_rng(8).normal(0, 0.05, 120)
    report = answer(study(daily(1e6 * np.exp(np.log(2) / 40 * np.arange(120) + noise)), 30), inputs={"days ahead": 30})

    assert report.lines[0].startswith("Demand doubles in ")
    assert "days (80 % interval " in report.lines[0]
    assert report.lines[1].startswith("It is exponential")
    assert any(line.startswith("2026-06-03: ") and " tokens a day, with 80 % between " in line for line in report.lines)
    assert any(line.startswith("8 forecasts of its past, up to 30 days ahead") for line in report.lines)
    assert [table.title for table in report.tables] == [
        "Curves",
        "Forecast, tokens in a month",
        "Mean error of forecasts of the past",
    ]
    assert report.inputs == {
        "series": "tokens",
        "unit": "tokens",
        "from": "2026-01-05",
        "to": "2026-05-04",
        "period": "day",
        "values": 120,
        "days ahead": 30,
    }


def test_doubling_in_ten_thousand_days_is_no_pace() -> None:
    """Of a series that stays as it is nothing is told that looks like growth."""
    lines = answer(study(daily(np.full(100, 1_000.0)))).lines

    assert lines[0].startswith("As an exponential: demand does not grow")
    assert not any("latest pace" in line for line in lines)


def test_another_curve_says_what_the_doubling_time_is_of() -> None:
    """And what the latest pace is."""
    report = answer(study(daily(demand("logistic", 150, np.random.default_rng(1), spread=0.03))))

    assert report.lines[0].startswith("As an exponential: demand doubles in ")
    assert report.lines[1].startswith("It is logistic: it nears a ceiling")
    assert report.lines[2].startswith("At its latest pace it doubles in ")


@pytest.mark.parametrize(
    ("slope", "said"), [(-0.02, "demand halves in 3"), (0.0, "demand does not grow: its rate is ")]
)
def test_no_growth(slope: float, said: str) -> None:
    """Is a sentence of its own."""
    noise = np.random.default_rng(3).normal(0, 0.1, 90)
    report = answer(study(daily(1e6 * np.exp(slope * np.arange(90) + noise))))

    assert said in report.lines[0].lower()


def test_insufficient_data() -> None:
    """The reason, and no table; reports at no regular times have their paces."""
    assert answer(study(daily(np.ones(9)))).lines == (
        "Insufficient data: it has 9 days with use, and a forecast takes 28.",
    )
    report = answer(study(example("google").series))
    assert report.lines[1] == "Doubling times from one to the next, in months: 2.1, 1.9, 7.4, 5.4."
    assert report.lines[2].startswith("It is not one exponential")
    assert [table.title for table in report.tables] == ["Pace between values"]


def test_a_change_is_told() -> None:
    """Of days, all else is then of the time since; of quarters one is told how to see it."""
    values = demand("exponential", 150, np.random.default_rng(2), spread=0.1)
    values[100:] *= 4
    lines = answer(study(daily(values))).lines
    assert any(line.startswith("Growth changed about 2026-04-1") and "All else is of" in line for line in lines)
    lines = answer(study(example("nvidia").series)).lines
    assert any("`--since 2023-07-30` looks at what came after alone." in line for line in lines)


def test_what_is_known_beside() -> None:
    """Factors, a leader, the mix and models, each with its table or sentence."""
    series = daily(demand("exponential", 90, np.random.default_rng(1)))
    days = {FIRST + timedelta(days=number): float(value) for number, value in enumerate(series.values)}
    counts = {"calls": dict.fromkeys(days, 10.0), "tokens": days}
    report = answer(
        study(series),
        beside=Beside(
            split=split(counts, np.random.default_rng(1)),
            lead=lead(example("capex").series, example("nvidia").series),
            mix=mix_of({"input_uncached": 5_000, "cache_read": 5_000, "output_text": 300}, 1),
            peak=2.34,
            models=[("big", 0.7, study(series)), ("new", 0.3, study(series.until(9)))],
        ),
    )
    titles = [table.title for table in report.tables]

    assert titles[3:] == ["What grows", "Growth after that of capital spending of four cloud companies", "Models"]
    assert "Of the factors, tokens per call grow most" in " ".join(report.lines)
    assert report.lines[-1] == (
        "A call takes 10,000 tokens in, 50% of them from caches, and gives 300. On nine days of ten the highest hour "
        "has at most 2.3 times the mean."
    )
    big, new = report.tables[-1].rows
    assert big[:2] == ("big", "70.0%")
    assert new == ("new", "30.0%", None, None, "insufficient data")


def test_notes_come_last() -> None:
    """What was done to the series."""
    series = daily(demand("exponential", 90, np.random.default_rng(1)))
    report = answer(study(series._replace(notes=("Something was mended.",))))

    assert report.lines[-1] == "Something was mended."
    assert series.dates[0] == date(2026, 1, 5)
