"""A plan in words, tables and figures."""

from __future__ import annotations

import json

import msgspec
import pytest

from tests.unit.planner.fleet.asked import FP8, MIX, MODEL, MONTHS, TARGETS, offer
from tokenway.model.catalog import Price
from tokenway.model.money import Rate
from tokenway.planner.fleet.answer import answer
from tokenway.planner.fleet.breakeven import Api
from tokenway.planner.fleet.plan import Question, plan
from tokenway.planner.report import Report
from tokenway.planner.serving.deployment import Draft

QUESTION = Question(
    served=MODEL,
    mix=MIX,
    targets=TARGETS,
    months=MONTHS,
    offers=[offer("h100"), offer("b200")],
    formats=[FP8],
    apis=[
        Api("dear", Price(input=Rate(3 * 10**9), output=Rate(9 * 10**9))),
        Api("cheap", Price(input=Rate(10**5), output=Rate(10**5))),
    ],
)


@pytest.fixture(scope="module")
def report() -> Report:
    """One plan is enough."""
    return answer(QUESTION, plan(QUESTION), inputs={"model": "llama-3-70b"})


def test_the_answer_comes_first(report: Report) -> None:
    """What to take and how many; then the cost, the speed, the peak, and whether it pays."""
    cheapest, cost, speed, peak, *bought, pays, never = report.lines
    assert all(line.startswith("To buy ") for line in bought)
    assert cheapest.startswith("Cheapest: ")
    assert MONTHS[-1].name in cheapest
    assert cost.startswith("It costs $")
    assert "in four cases of five" in speed
    assert "95% of the requests have a first token within" in peak
    assert pays.startswith("Against dear machines pay at every volume from ")
    assert never.startswith("Against cheap machines never pay")


def test_what_a_draft_gains_is_told() -> None:
    """At the batch of the replica, where it may be little."""
    served = QUESTION.served._replace(draft=Draft(tokens=3, accepted=0.8))
    question = msgspec.structs.replace(QUESTION, served=served)
    lines = answer(question, plan(question), inputs={}).lines
    [told] = [line for line in lines if line.startswith("Guessing 3 tokens a step makes a caller's tokens ")]
    assert " times as fast at this batch" in told


def test_every_month_is_told(report: Report) -> None:
    """And the other GPUs, the APIs, and what the cost depends on."""
    months, others, apis, bars = report.tables
    assert [row[0] for row in months.rows] == [month.name for month in MONTHS]
    assert {row[0] for row in others.rows} == {"H100 SXM", "B200 HGX"}
    assert [row[2] for row in apis.rows][1] is None
    assert len(bars.rows) == 9


def test_programs_get_numbers(report: Report) -> None:
    """Strict JSON, without an infinity."""
    data = json.loads(json.dumps(report.data(), allow_nan=False))
    assert data["usd"] == pytest.approx(sum(each["middle"]["usd"] for each in data["months"]))
    for each in data["frontiers"]:
        assert each["tokens_per_s"] == sorted(each["tokens_per_s"])
        assert each["tokens_per_s_per_gpu"] == sorted(each["tokens_per_s_per_gpu"], reverse=True)
    assert [each["gpu"] for each in data["frontiers"]] == [each["gpu"] for each in data["others"]]
    assert data["apis"][1]["break_even_tokens_per_day"] is None
    assert data["replica"]["usd_per_gpu_hour"][0] <= data["replica"]["usd_per_gpu_hour"][2]
    assert {source["name"] for source in data["sources"]} >= {"model of serving"}
