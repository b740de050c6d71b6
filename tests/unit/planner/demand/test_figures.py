"""Reports of demand: numbers for programs."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from tests.unit.planner.demand.simulated import daily, demand
from tokenway.planner.demand.answer import Beside, answer
from tokenway.planner.demand.examples import example
from tokenway.planner.demand.mix import mix_of
from tokenway.planner.demand.study import study

SERIES = daily(demand("exponential", 90, np.random.default_rng(1)))


def _data(*, beside: Beside | None = None) -> Any:
    """Through JSON, which has no word for what is infinite."""
    return json.loads(json.dumps(answer(study(SERIES, 40), beside=beside).data(), allow_nan=False))


def test_all_of_a_study() -> None:
    """The verdict, the doubling time in periods and days, each day's bands, each month's."""
    data = _data()

    assert data["verdict"] in {"exponential", "cannot tell"}
    assert data["doubling"]["days"] == data["doubling"]["periods"]
    low, high = data["doubling"]["days80"]
    assert low < data["doubling"]["days"] < high
    assert len(data["forecast"]) == 40
    assert data["forecast"][0]["date"] == "2026-04-05"
    assert set(data["forecast"][0]) == {"date", "median", "low50", "high50", "low80", "high80", "low95", "high95"}
    assert [month["month"] for month in data["months"]] == ["2026-04", "2026-05"]
    assert data["backtest"]["cuts"] == 8
    assert sum(curve["weight"] for curve in data["curves"]) == pytest.approx(1)


def test_months_by_bucket() -> None:
    """By what tokens are made of."""
    mix = mix_of({"input_uncached": 3, "output_text": 1}, 1)
    data = _data(beside=Beside(mix=mix, peak=1.5))

    assert data["mix"]["peak_to_mean"] == 1.5
    month = data["months"][0]
    assert month["buckets"] == pytest.approx(
        {"input_uncached": 0.75 * month["median"], "output_text": 0.25 * month["median"]}
    )


def test_models_have_their_own() -> None:
    """Also those of which too little is known."""
    data = _data(beside=Beside(models=[("a", 0.9, study(SERIES, 40)), ("b", 0.1, study(SERIES.until(5)))]))
    known, unknown = data["models"]

    assert known["doubling"] == data["doubling"]
    assert known["months"] == data["months"]
    assert (unknown["verdict"], unknown["doubling"], unknown["months"]) == ("insufficient data", None, [])


def test_insufficient_data_has_the_same_names() -> None:
    """With nothing in them, so that programs need not ask first."""
    short = answer(study(SERIES.until(9))).data()

    assert set(_data()) == set(short)
    assert (short["verdict"], short["doubling"], short["forecast"]) == ("insufficient data", None, [])
    assert short["reason"] == "it has 9 days with use, and a forecast takes 28"


def test_reports_at_no_regular_times() -> None:
    """Have paces, and whether they are one exponential."""
    data = answer(study(example("google").series)).data()

    assert data["one_exponential"] is False
    assert len(data["paces"]) == 4  # type: ignore[arg-type]
