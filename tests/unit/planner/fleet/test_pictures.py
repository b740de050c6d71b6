"""A plan as a picture."""

from __future__ import annotations

from tests.unit.planner.fleet.test_answer import QUESTION
from tokenway.planner.fleet.pictures import picture
from tokenway.planner.fleet.plan import plan
from tokenway.planner.plots import render


def test_a_plan_is_drawn() -> None:
    """Fleet, money by month and volume, Pareto curves and the tornado, with everybody's name."""
    drawn = picture(QUESTION, plan(QUESTION))
    text = render(drawn, "svg", title="x").decode()
    for word in ("Fleet by month", "own machines", "dear", "cheap", "price of a GPU hour", "B200 HGX fp8", MONTH):
        assert word in text
    assert len(drawn.axes) == 5


MONTH = QUESTION.months[0].name
