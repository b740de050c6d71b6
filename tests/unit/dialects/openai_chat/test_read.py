"""Bodies of the chat dialect in the neutral form."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from tokenway.dialects.openai_chat.read import read
from tokenway.model.catalog import Operation
from tokenway.model.errors import Refusal
from tokenway.model.request import (
    NO_JSON,
    FormatKind,
    Message,
    Request,
    ResponseFormat,
    Role,
    Text,
    Thinking,
    Tool,
    ToolChoice,
    ToolMode,
)

MESSAGES = [{"role": "user", "content": "hi"}]
TURNS = (Message(Role.USER, (Text("hi"),)),)


def neutral(**fields: Any) -> Request:
    """The neutral form of a chat with these fields."""
    body = {"model": "m", "messages": MESSAGES} | fields
    return read(Operation.CHAT, json.dumps(body).encode(), "m", stream=False)


def refused(**fields: Any) -> str | None:
    """The place that a refusal names."""
    with pytest.raises(Refusal) as raised:
        neutral(**fields)
    assert raised.value.problem.status == 400
    return raised.value.problem.param


def completion(**fields: Any) -> Request:
    """The neutral form of a legacy completion."""
    return read(Operation.COMPLETION, json.dumps({"model": "m"} | fields).encode(), "m", stream=True)


def test_the_least() -> None:
    """What is not said is not there."""
    assert neutral() == Request("m", TURNS)


def test_plain_fields() -> None:
    """Under their neutral names."""
    found = neutral(
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        min_p=0.1,
        frequency_penalty=1,
        presence_penalty=2,
        repetition_penalty=1.1,
        seed=-1,
        logit_bias={"1": 2},
        logprobs=True,
        top_logprobs=3,
        n=2,
        metadata={"a": "b"},
        service_tier="flex",
        prompt_cache_key="k",
        verbosity="low",
        safety_identifier="u",
        parallel_tool_calls=False,
    )
    assert found == Request(
        "m",
        TURNS,
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        min_p=0.1,
        frequency_penalty=1,
        presence_penalty=2,
        repetition_penalty=1.1,
        seed=-1,
        logit_bias=msgspec.Raw(b'{"1":2}'),
        logprobs=True,
        top_logprobs=3,
        n=2,
        metadata=msgspec.Raw(b'{"a":"b"}'),
        service_tier="flex",
        prompt_cache_key="k",
        verbosity="low",
        user="u",
        parallel_tool_calls=False,
    )


def test_what_happens_anyway_is_not_said() -> None:
    """Clients send many fields with their defaults; no upstream is to be ruled out by one."""
    said = neutral(
        n=1,
        logprobs=False,
        top_logprobs=0,
        frequency_penalty=0,
        presence_penalty=0.0,
        repetition_penalty=1.0,
        top_k=-1,
        min_p=0,
        logit_bias={},
        metadata={},
        store=False,
        modalities=["text"],
        temperature=None,
    )
    assert said == Request("m", TURNS)


def test_what_is_not_the_upstreams_business() -> None:
    """Members for a gateway, of this one and of others."""
    said = neutral(
        provider={"only": ["a"]},
        models=["b"],
        route="fallback",
        session_id="s",
        stream_options={"include_usage": True},
        usage={"include": True},
        transforms=[],
        plugins=[],
        trace={},
        debug={},
    )
    assert said == Request("m", TURNS)


def test_what_another_gateway_would_do_is_declared() -> None:
    """This one searches nothing and shortens nothing; nor are members lost that nobody reads."""
    said = neutral(
        transforms=["middle-out"],
        plugins=[{"id": "web"}],
        tools=[{"type": "function", "function": {"name": "f"}, "defer_loading": True}],
    )
    assert set(said.rest) == {"transforms", "plugins", "defer_loading"}


def test_the_rest_keeps_its_name() -> None:
    """What no neutral field is for."""
    assert neutral(store=True, prediction={"type": "content"}, new=1).rest == {
        "store": msgspec.Raw(b"true"),
        "prediction": msgspec.Raw(b'{"type":"content"}'),
        "new": msgspec.Raw(b"1"),
    }


def test_the_limit_has_two_names() -> None:
    """Where both are given, the larger counts, as for what the call can cost."""
    assert neutral(max_tokens=5).max_tokens == 5
    assert neutral(max_tokens=5, max_completion_tokens=7).max_tokens == 7


@pytest.mark.parametrize(("stop", "expected"), [("a", ("a",)), (["a", "b"], ("a", "b")), (None, ())])
def test_stop(stop: object, expected: tuple[str, ...]) -> None:
    """One sequence or several."""
    assert neutral(stop=stop).stop == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"reasoning_effort": "high"}, Thinking(effort="high")),
        ({"reasoning_effort": "default"}, Thinking()),
        ({"reasoning": {"max_tokens": 9, "exclude": True}}, Thinking(budget=9, shown=False)),
        ({"reasoning": {"enabled": True, "summary": "auto"}}, Thinking(enabled=True, summary="auto")),
        ({"reasoning_effort": "low", "reasoning": {"effort": "max"}}, Thinking(effort="max")),
        ({"reasoning_effort": "low", "reasoning": {"exclude": True}}, Thinking(effort="low", shown=False)),
        ({"thinking": {"type": "enabled", "budget_tokens": 9}}, Thinking(budget=9, enabled=True)),
        ({"thinking": {"type": "disabled"}}, Thinking(enabled=False)),
    ],
)
def test_thinking(fields: dict[str, Any], expected: Thinking) -> None:
    """OpenAI's effort, OpenRouter's object, and the object of Anthropic and DeepSeek."""
    found = neutral(**fields)
    assert found.thinking == expected
    assert found.rest == {}


def test_thinking_that_says_more_is_one_vendors() -> None:
    """Z.AI's has members of its own."""
    found = neutral(thinking={"type": "enabled", "clear_thinking": False})
    assert found.thinking is None
    assert list(found.rest) == ["thinking"]


SCHEMA = {"type": "object"}
RAW = msgspec.Raw(b'{"type":"object"}')


def test_tools() -> None:
    """Functions, free text, and a vendor's own; a type that is left away is a function's."""
    grammar = {"type": "text"}
    tools = [
        {"type": "function", "function": {"name": "f", "description": "d", "parameters": SCHEMA, "strict": True}},
        {"function": {"name": "g"}, "cache_control": {"type": "ephemeral"}},
        {"type": "custom", "custom": {"name": "h", "format": grammar}},
        {"type": "openrouter:web_search", "parameters": {}},
    ]
    assert neutral(tools=tools).tools == (
        Tool("f", "d", RAW, strict=True),
        Tool("g", cache="5m"),
        Tool("h", custom=True, grammar=msgspec.Raw(b'{"type":"text"}')),
        Tool(
            "openrouter:web_search",
            hosted="openrouter:web_search",
            raw=msgspec.Raw(b'{"type":"openrouter:web_search","parameters":{}}'),
        ),
    )


def test_older_functions_are_tools() -> None:
    """With their choice."""
    found = neutral(functions=[{"name": "f", "parameters": SCHEMA}], function_call={"name": "f"})
    assert found.tools == (Tool("f", parameters=RAW),)
    assert found.tool_choice == ToolChoice(ToolMode.NAMED, ("f",))
    assert neutral(function_call="none").tool_choice == ToolChoice(ToolMode.NONE)


ALLOWED = {"mode": "required", "tools": [{"type": "function", "function": {"name": "f"}}, {"type": "x", "name": "g"}]}


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", ToolChoice(ToolMode.AUTO)),
        ("none", ToolChoice(ToolMode.NONE)),
        ("required", ToolChoice(ToolMode.REQUIRED)),
        ("any", ToolChoice(ToolMode.REQUIRED)),
        ({"type": "function", "function": {"name": "f"}}, ToolChoice(ToolMode.NAMED, ("f",))),
        ({"type": "custom", "custom": {"name": "f"}}, ToolChoice(ToolMode.NAMED, ("f",))),
        ({"type": "allowed_tools", "allowed_tools": ALLOWED}, ToolChoice(ToolMode.REQUIRED, ("f", "g"))),
    ],
)
def test_tool_choice(choice: object, expected: ToolChoice) -> None:
    """In all its forms."""
    assert neutral(tool_choice=choice).tool_choice == expected


def test_response_format() -> None:
    """Text, any JSON, or JSON by a schema."""
    assert neutral(response_format={"type": "text"}).response_format == ResponseFormat(FormatKind.TEXT)
    assert neutral(response_format={"type": "json_object"}).response_format == ResponseFormat(FormatKind.JSON)
    schema = {"name": "n", "schema": SCHEMA, "strict": True, "description": "d"}
    assert neutral(response_format={"type": "json_schema", "json_schema": schema}).response_format == ResponseFormat(
        FormatKind.SCHEMA, "n", RAW, "d", strict=True
    )


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [1]}, "messages[0]"),
        ({"messages": "x"}, "messages"),
        ({"temperature": "hot"}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"stop": [1]}, "stop[0]"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [{"function": {"name": "f", "parameters": []}}]}, "tools[0].function.parameters"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "n"}}},
            "response_format.json_schema.schema",
        ),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": "s"}}},
            "response_format.json_schema.schema",
        ),
        ({"tool_choice": "maybe"}, "tool_choice"),
        ({"tool_choice": {"type": "function"}}, "tool_choice.function"),
        ({"reasoning_effort": "huge"}, "reasoning_effort"),
        ({"reasoning": {"effort": 1}}, "reasoning.effort"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"logit_bias": []}, "logit_bias"),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, Any], place: str) -> None:
    """A refusal says the field."""
    assert refused(**fields) == place


def test_a_legacy_completion_is_a_chat_of_one_turn() -> None:
    """What only it has stays in the rest; its `logprobs` is a number."""
    found = completion(prompt="hi", max_tokens=5, echo=True, suffix="s", best_of=2, logprobs=3, temperature=0)
    assert found == Request(
        "m",
        TURNS,
        stream=True,
        max_tokens=5,
        temperature=0,
        rest={
            "echo": msgspec.Raw(b"true"),
            "suffix": msgspec.Raw(b'"s"'),
            "best_of": msgspec.Raw(b"2"),
            "logprobs": msgspec.Raw(b"3"),
        },
    )
    assert completion(prompt=["hi"], echo=False, best_of=1).rest == {}


@pytest.mark.parametrize("prompt", [["a", "b"], [1, 2], [[1], [2]], [[1]], [], 5])
def test_prompts_that_are_no_turn_are_refused(prompt: object) -> None:
    """Several are several answers, and token ids are another model's."""
    with pytest.raises(Refusal) as raised:
        completion(prompt=prompt)
    assert raised.value.problem.param == "prompt"


def test_embeddings_stay_in_their_dialect() -> None:
    """They have no turns."""
    with pytest.raises(Refusal) as raised:
        read(Operation.EMBEDDING, b'{"model":"m","input":"x"}', "m", stream=False)
    assert raised.value.problem.code == "unsupported_operation"


def test_no_json_is_no_json() -> None:
    """An empty object is not said."""
    assert neutral(metadata={}).metadata == NO_JSON
