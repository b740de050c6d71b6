"""What models take beyond Converse's own fields: reasoning and `top_k`."""

from __future__ import annotations

from typing import Any

import pytest

from tokenway.dialects.bedrock.extras import Extras, claude_version, extras, read_extras, vendor_of
from tokenway.dialects.walk import Node
from tokenway.model.errors import Refusal
from tokenway.model.request import Request, Thinking, Tool, ToolChoice, ToolMode

OLD = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
NEW = "us.anthropic.claude-sonnet-4-6"
NEWEST = "anthropic.claude-opus-5"


SHOWN = {"type": "adaptive", "display": "summarized"}


def said(model: str, thinking: Thinking | None = None, limit: int | None = 10000, **more: Any) -> Extras:
    """The fields for a request with this reasoning."""
    request = Request(model, (), thinking=thinking, **more)
    return extras(request, vendor_of(model), limit, may_think=True)


@pytest.mark.parametrize(
    ("model", "vendor"),
    [
        ("anthropic.claude-3-haiku-20240307-v1:0", "anthropic"),
        ("us.anthropic.claude-sonnet-4-6", "anthropic"),
        ("global.amazon.nova-2-lite-v1:0", "amazon"),
        ("qwen.qwen3-32b-v1:0", "qwen"),
        ("openai.gpt-oss-120b-1:0", "openai"),
        ("arn:aws:bedrock:us-east-1:1:inference-profile/eu.meta.llama3-2-1b-instruct-v1:0", "meta"),
        ("arn:aws:bedrock:us-east-1:1:application-inference-profile/mi1dadi0g15f", ""),
        ("my-model", ""),
    ],
)
def test_whose_model_it_is(model: str, vendor: str) -> None:
    """The vendor is in the id, behind the region; a profile of one's own does not tell."""
    assert vendor_of(model) == vendor


@pytest.mark.parametrize(
    ("model", "version"),
    [
        ("us.anthropic.claude-3-7-sonnet-20250219-v1:0", (3, 7)),
        ("anthropic.claude-3-haiku-20240307-v1:0", (3, 0)),
        ("anthropic.claude-sonnet-4-20250514-v1:0", (4, 0)),
        (OLD, (4, 5)),
        (NEW, (4, 6)),
        (NEWEST, (5, 0)),
        ("anthropic.claude-v2:1", (2, 0)),
        ("anthropic.claude-instant-v1", (2, 0)),
        ("anthropic.claude-next", (99, 0)),
    ],
)
def test_versions_of_claude(model: str, version: tuple[int, int]) -> None:
    """A date is no part of the version; a name that tells none is new."""
    assert claude_version(model) == version


@pytest.mark.parametrize(
    ("model", "thinking", "fields"),
    [
        (OLD, Thinking(budget=2000), {"thinking": {"type": "enabled", "budget_tokens": 2000}}),
        (OLD, Thinking(effort="high"), {"thinking": {"type": "enabled", "budget_tokens": 8000}}),
        (OLD, Thinking(effort="minimal"), {"thinking": {"type": "enabled", "budget_tokens": 1024}}),
        (OLD, Thinking(enabled=True), {"thinking": {"type": "enabled", "budget_tokens": 5000}}),
        (OLD, Thinking(budget=99999), {"thinking": {"type": "enabled", "budget_tokens": 9999}}),
        (NEW, Thinking(enabled=True), {"thinking": {"type": "adaptive"}}),
        (NEW, Thinking(effort="max"), {"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}),
        (NEW, Thinking(effort="xhigh"), {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}),
        (NEW, Thinking(effort="minimal"), {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}),
        (NEW, Thinking(budget=2000), {"thinking": {"type": "enabled", "budget_tokens": 2000}}),
        (NEWEST, Thinking(budget=2000), {"thinking": SHOWN, "output_config": {"effort": "low"}}),
        (NEWEST, Thinking(budget=6000), {"thinking": SHOWN, "output_config": {"effort": "medium"}}),
        (NEWEST, Thinking(effort="xhigh"), {"thinking": SHOWN, "output_config": {"effort": "xhigh"}}),
        (NEWEST, Thinking(enabled=True, shown=False), {"thinking": {"type": "adaptive", "display": "omitted"}}),
        (NEWEST, Thinking(shown=True), {"thinking": SHOWN}),
        (NEW, Thinking(enabled=True, shown=True), {"thinking": SHOWN}),
        (
            "us.amazon.nova-2-lite-v1:0",
            Thinking(effort="low"),
            {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}},
        ),
        ("qwen.qwen3-32b-v1:0", Thinking(effort="xhigh"), {"reasoning_config": "high"}),
        ("openai.gpt-oss-120b-1:0", Thinking(budget=5000), {"reasoning_effort": "medium"}),
    ],
)
def test_reasoning_in_each_vendors_words(model: str, thinking: Thinking, fields: dict[str, Any]) -> None:
    """An effort becomes a budget, or a budget an effort, where the model knows only the other."""
    assert said(model, thinking) == Extras(fields, [], is_thinking="claude" in model)


@pytest.mark.parametrize(
    "thinking", [None, Thinking(), Thinking(enabled=False, budget=5), Thinking(effort="none"), Thinking(budget=0)]
)
def test_no_reasoning(thinking: Thinking | None) -> None:
    """Not asked for, or asked not to: nothing is said, and nothing is lost."""
    assert said(OLD, thinking) == Extras({}, [])


def test_who_reasons_unasked_is_told_not_to() -> None:
    """Where it can be told; else that it reasons anyway is declared."""
    assert said(NEWEST, Thinking(effort="none")) == Extras({"thinking": {"type": "disabled"}}, [])
    assert said("anthropic.claude-opus-5-5", Thinking(effort="none")) == Extras({}, ["effort"])
    assert said("openai.gpt-oss-120b-1:0", Thinking(enabled=False)) == Extras({}, ["thinking"])
    assert said(NEWEST, Thinking(shown=False)) == Extras({}, [])


def test_who_reasons_unasked_does_not_where_it_has_to_call() -> None:
    """Claude refuses both together; the caller asked for the call."""
    forced: dict[str, Any] = {"tools": (Tool("f"),), "tool_choice": ToolChoice(ToolMode.REQUIRED)}
    assert said(NEWEST, **forced) == Extras({"thinking": {"type": "disabled"}}, [])
    assert said(NEWEST, Thinking("high"), **forced) == Extras({"thinking": {"type": "disabled"}}, ["effort"])
    assert said(OLD, **forced) == Extras({}, [])


@pytest.mark.parametrize(
    ("model", "thinking"),
    [
        (OLD, Thinking(budget=2000, shown=False)),
        ("openai.gpt-oss-120b-1:0", Thinking(effort="low", shown=False)),
        (OLD, Thinking(shown=True)),
    ],
)
def test_how_reasoning_is_shown_is_declared(model: str, thinking: Thinking) -> None:
    """Only Claude's newer models can hide it, and none shows what it has not thought."""
    assert said(model, thinking).dropped == ["shown"]


@pytest.mark.parametrize(
    ("model", "limit"),
    [
        ("anthropic.claude-3-haiku-20240307-v1:0", 10000),
        (OLD, 1024),
        ("us.amazon.nova-micro-v1:0", 10000),
        ("us.deepseek.r1-v1:0", 10000),
        ("arn:aws:bedrock:us-east-1:1:application-inference-profile/mi1dadi0g15f", 10000),
    ],
)
def test_models_that_do_not_reason(model: str, limit: int) -> None:
    """Where the model cannot, the answer has no room, or nobody knows the model, it is declared."""
    assert said(model, Thinking(effort="high"), limit) == Extras({}, ["effort"])


def test_kinds_of_summary_are_openais() -> None:
    """Any summary is what there is; a certain one is declared."""
    assert said(NEW, Thinking(effort="high", summary="auto")).dropped == []
    assert said(NEW, Thinking(effort="high", summary="detailed")).dropped == ["summary"]


def test_reasoning_needs_a_free_choice_of_tools() -> None:
    """Claude does not reason where it must call a tool, and a budget not behind calls without thoughts."""
    forced = ToolChoice(ToolMode.REQUIRED)
    assert said(NEW, Thinking(effort="high"), tool_choice=forced).dropped == ["effort"]
    request = Request(OLD, (), thinking=Thinking(budget=2000))
    assert extras(request, "anthropic", 10000, may_think=False).dropped == ["thinking"]


@pytest.mark.parametrize(
    ("model", "fields", "dropped"),
    [
        (OLD, {"top_k": 20}, []),
        ("us.amazon.nova-micro-v1:0", {"inferenceConfig": {"topK": 20}}, []),
        ("mistral.mistral-large-3-675b-instruct", {}, ["top_k"]),
        ("my-model", {}, ["top_k"]),
    ],
)
def test_top_k(model: str, fields: dict[str, Any], dropped: list[str]) -> None:
    """Claude and Nova have it, each in its own place."""
    assert said(model, top_k=20) == Extras(fields, dropped)


def test_claude_takes_no_top_k_while_it_reasons() -> None:
    """It is declared then."""
    assert said(NEW, Thinking(enabled=True), top_k=20).dropped == ["top_k"]


@pytest.mark.parametrize(
    ("value", "thinking", "rest"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, Thinking(budget=1024, enabled=True), {}),
        (
            {"thinking": {"type": "adaptive", "display": "omitted"}, "output_config": {"effort": "high"}},
            Thinking(effort="high", enabled=True, shown=False),
            {},
        ),
        ({"thinking": {"type": "disabled"}}, Thinking(enabled=False), {}),
        ({"reasoning_config": "high"}, Thinking(effort="high"), {}),
        ({"reasoning_effort": "low"}, Thinking(effort="low"), {}),
        (
            {"anthropic_beta": ["x"], "output_config": {"format": {}}},
            None,
            {"anthropic_beta": ["x"], "output_config": {"format": {}}},
        ),
        ({"output_config": 1}, None, {"output_config": 1}),
    ],
)
def test_reading(value: dict[str, Any], thinking: Thinking | None, rest: dict[str, Any]) -> None:
    """What is known becomes neutral, the rest is left."""
    found = read_extras(Node(value, "additionalModelRequestFields"))
    assert (found.thinking, found.rest) == (thinking, rest)
    assert read_extras(Node({"top_k": 5})).top_k == 5


def test_a_wrong_type_is_refused_at_its_place() -> None:
    """The place is told with the whole way to it."""
    with pytest.raises(Refusal) as raised:
        read_extras(Node({"thinking": {"type": "maybe"}}, "additionalModelRequestFields"))
    assert raised.value.problem.param == "additionalModelRequestFields.thinking.type"
