"""How much to reason, in Anthropic's words and in each family's."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.dialects.anthropic.test_read import request
from tokenway.dialects.anthropic.families import family_of
from tokenway.dialects.anthropic.thinking import Plan, plan
from tokenway.model.errors import Refusal
from tokenway.model.request import Thinking


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, None),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, Thinking(budget=2000, enabled=True)),
        (
            {"thinking": {"type": "adaptive", "display": "omitted"}, "output_config": {"effort": "max"}},
            Thinking("max", -1, enabled=True, shown=False),
        ),
        ({"thinking": {"type": "adaptive", "display": "summarized"}}, Thinking(budget=-1, enabled=True, shown=True)),
        ({"thinking": {"type": "disabled"}}, Thinking("none", enabled=False)),
        ({"output_config": {"effort": "low"}}, Thinking("low")),
    ],
)
def test_it_is_read(members: dict[str, Any], expected: Thinking | None) -> None:
    """A budget, an effort, both or neither."""
    assert request(**members).thinking == expected


def test_what_only_anthropic_has_is_kept() -> None:
    """An effort without thinking is about the answer; notes between tools are a mode of their own."""
    found = request(thinking={"type": "between_tools"}, output_config={"effort": "low"})
    assert found.thinking == Thinking("none", enabled=False)
    assert {name: bytes(value) for name, value in found.rest.items()} == {
        "thinking": b'{"type":"between_tools"}',
        "effort": b'"low"',
    }


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"thinking": {"type": "deep"}}, "thinking.type"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
        ({"thinking": {"type": "enabled", "budget_tokens": 100}}, "thinking.budget_tokens"),
        ({"output_config": {"effort": "huge"}}, "output_config.effort"),
    ],
)
def test_what_is_wrong_is_named(members: dict[str, Any], param: str) -> None:
    """As Anthropic does."""
    with pytest.raises(Refusal) as caught:
        request(**members)
    assert caught.value.problem.param == param


def enabled(budget: int, **more: object) -> Plan:
    """Thinking by a budget."""
    return Plan({"type": "enabled", "budget_tokens": budget, **more}, is_on=True)


def adaptive(effort: str | None, display: str = "summarized") -> Plan:
    """Thinking by an effort."""
    return Plan({"type": "adaptive", "display": display}, effort, is_on=True)


OLD, BOTH, NEW, ALWAYS, NEVER = (
    "claude-sonnet-4-5",
    "claude-opus-4-6",
    "claude-opus-4-8",
    "claude-opus-5-5",
    "claude-3-5-haiku",
)


@pytest.mark.parametrize(
    ("model", "wanted", "expected"),
    [
        (OLD, None, Plan()),
        (OLD, Thinking(), Plan()),
        (OLD, Thinking("minimal"), enabled(1024)),
        (OLD, Thinking("low"), enabled(2000)),
        (OLD, Thinking("medium"), enabled(5000)),
        (OLD, Thinking("high"), enabled(8000)),
        (OLD, Thinking("xhigh"), enabled(9500)),
        (OLD, Thinking(budget=500), enabled(1024)),
        (OLD, Thinking("low", 3000), enabled(3000)),
        (OLD, Thinking(budget=50_000), enabled(9999)),
        (OLD, Thinking(budget=-1), enabled(5000)),
        (OLD, Thinking(enabled=True, shown=False), enabled(5000, display="omitted")),
        (OLD, Thinking("none"), Plan({"type": "disabled"})),
        (OLD, Thinking(enabled=False), Plan({"type": "disabled"})),
        (OLD, Thinking(budget=0), Plan({"type": "disabled"})),
        (BOTH, Thinking("xhigh"), adaptive("high")),
        (BOTH, Thinking(budget=3000), enabled(3000)),
        (NEW, None, Plan()),
        (NEW, Thinking("minimal"), adaptive("low")),
        (NEW, Thinking("xhigh", shown=False), adaptive("xhigh", "omitted")),
        (NEW, Thinking(budget=9000), adaptive("high")),
        (NEW, Thinking(budget=5000), adaptive("medium")),
        (NEW, Thinking(budget=2000), adaptive("low")),
        (NEW, Thinking(budget=-1), adaptive(None)),
        (NEW, Thinking("none"), Plan({"type": "disabled"})),
        (NEW, Thinking(shown=False), Plan()),
        (ALWAYS, Thinking(shown=True), adaptive(None)),
        (ALWAYS, Thinking(shown=False), Plan(is_on=True)),
        ("claude-sonnet-5-5", Thinking("none"), Plan({"type": "between_tools"})),
        (ALWAYS, None, Plan(is_on=True)),
        (ALWAYS, Thinking(shown=True, summary="auto"), adaptive(None)),
        (NEVER, Thinking("none"), Plan()),
    ],
)
def test_each_family_is_told_in_its_words(model: str, wanted: Thinking | None, expected: Plan) -> None:
    """A budget is a share of the answer's limit where the caller gave an effort, and the other way round."""
    dropped: list[str] = []
    assert plan(wanted, family_of(model), 10_000, dropped.append) == expected
    assert not dropped


@pytest.mark.parametrize(
    ("model", "wanted", "limit", "may_think", "expected"),
    [
        (NEVER, Thinking("high"), 10_000, True, Plan()),
        (OLD, Thinking("high"), 1024, True, Plan()),
        (OLD, Thinking("high"), 10_000, False, Plan()),
        (ALWAYS, Thinking("none"), 10_000, True, Plan(effort="low", is_on=True)),
    ],
)
def test_what_cannot_be_is_declared(model: str, wanted: Thinking, limit: int, may_think: bool, expected: Plan) -> None:
    """No model thinks where it cannot, and none stops that always does."""
    dropped: list[str] = []
    assert plan(wanted, family_of(model), limit, dropped.append, may_think=may_think) == expected
    assert dropped == ["effort"]


def test_a_thought_that_is_not_had_cannot_be_shown() -> None:
    """Gemini's callers ask to see what their models think unasked."""
    dropped: list[str] = []
    assert plan(Thinking(shown=True), family_of(NEW), 10_000, dropped.append) == Plan()
    assert dropped == ["shown"]


def test_the_kind_of_summary_is_declared() -> None:
    """Anthropic has one kind."""
    dropped: list[str] = []
    plan(Thinking("high", summary="detailed"), family_of(NEW), 10_000, dropped.append)
    plan(Thinking("high", summary="auto"), family_of(NEW), 10_000, dropped.append)
    assert dropped == ["summary"]
