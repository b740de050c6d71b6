"""Tools, the choice of one, the answer's format, reasoning: read and written."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from tests.unit.dialects.openai_responses.made import neutral, problem_of
from tokenway.dialects.openai_responses.settings import (
    write_format,
    write_thinking,
    write_tool_choice,
    write_tools,
)
from tokenway.model.request import (
    FormatKind,
    Request,
    ResponseFormat,
    Thinking,
    Tool,
    ToolChoice,
    ToolMode,
)

OBJECT = {"type": "object", "additionalProperties": False}
RAW = msgspec.Raw(b'{"type":"object","additionalProperties":false}')
GRAMMAR = {"type": "grammar", "syntax": "lark", "definition": "x"}
TOOLS: list[dict[str, Any]] = [
    {"type": "function", "name": "f", "description": "d", "parameters": OBJECT, "strict": True},
    {"type": "custom", "name": "apply_patch", "description": "p", "format": GRAMMAR},
    {"type": "local_shell"},
]
NEUTRAL = (
    Tool("f", "d", RAW, strict=True),
    Tool("apply_patch", "p", custom=True, grammar=msgspec.Raw(json.dumps(GRAMMAR, separators=(",", ":")).encode())),
    Tool("local_shell", hosted="local_shell", raw=msgspec.Raw(b'{"type":"local_shell"}')),
)


def test_tools_of_a_namespace_stand_where_it_stands() -> None:
    """Each under a joined name; a namespace without tools is refused with its place."""
    space = {"type": "namespace", "name": "n", "description": "", "tools": TOOLS[:2]}
    found = neutral(tools=[TOOLS[2], space]).tools
    renamed = tuple(msgspec.structs.replace(tool, name=f"n__{tool.name}") for tool in NEUTRAL[:2])
    assert found == (NEUTRAL[2], *renamed)
    assert problem_of(tools=[{"type": "namespace", "name": "n"}]).param == "tools[0].tools"


def plain(value: object) -> Any:
    """What is written, as JSON has it."""
    return json.loads(msgspec.json.encode(value))


def test_tools_are_read_flat() -> None:
    """A function, a custom tool with its grammar, and one of the vendor's own."""
    assert neutral(tools=TOOLS).tools == NEUTRAL


def test_tools_are_written_as_they_were_read() -> None:
    """The same list comes out, and nothing is left out."""
    dropped: list[str] = []
    assert plain(write_tools(NEUTRAL, dropped)) == TOOLS
    assert dropped == []


def test_strict_is_always_said() -> None:
    """Where the caller said nothing it is false, which is not this API's default; parameters are never absent."""
    assert plain(write_tools([Tool("f")], [])) == [
        {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}, "strict": False}
    ]
    assert neutral(tools=[{"type": "function", "name": "f"}]).tools == (Tool("f"),)


def test_a_custom_tool_of_free_text_has_no_grammar() -> None:
    """`text` is the default; the chat API's grammar is one level deeper."""
    assert neutral(tools=[{"type": "custom", "name": "c", "format": {"type": "text"}}]).tools == (
        Tool("c", custom=True),
    )
    deeper = msgspec.Raw(b'{"type":"grammar","grammar":{"syntax":"lark","definition":"x"}}')
    assert plain(write_tools([Tool("c", custom=True, grammar=deeper)], [])) == [
        {"type": "custom", "name": "c", "format": GRAMMAR}
    ]


def test_another_vendors_tool_is_declared() -> None:
    """By its type, and breakpoints of the cache by theirs."""
    dropped: list[str] = []
    tools = [Tool("web", hosted="web_search_20250305", raw=msgspec.Raw(b"{}")), Tool("f", cache="5m")]
    assert [each["name"] for each in plain(write_tools(tools, dropped))] == ["f"]
    assert dropped == ["tools.web_search_20250305", "cache_control"]


CHOICES: list[tuple[Any, ToolChoice]] = [
    ("auto", ToolChoice(ToolMode.AUTO)),
    ("none", ToolChoice(ToolMode.NONE)),
    ("required", ToolChoice(ToolMode.REQUIRED)),
    ({"type": "function", "name": "f"}, ToolChoice(ToolMode.NAMED, ("f",))),
    ({"type": "custom", "name": "apply_patch"}, ToolChoice(ToolMode.NAMED, ("apply_patch",))),
    ({"type": "local_shell"}, ToolChoice(ToolMode.NAMED, ("local_shell",))),
    (
        {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
        ToolChoice(ToolMode.AUTO, ("f",)),
    ),
    (
        {
            "type": "allowed_tools",
            "mode": "required",
            "tools": [{"type": "custom", "name": "apply_patch"}, {"type": "local_shell"}],
        },
        ToolChoice(ToolMode.REQUIRED, ("apply_patch", "local_shell")),
    ),
]


@pytest.mark.parametrize(("shape", "choice"), CHOICES)
def test_a_choice_is_read_and_written(shape: object, choice: ToolChoice) -> None:
    """A word, one tool, or the allowed ones."""
    assert neutral(tools=TOOLS, tool_choice=shape).tool_choice == choice
    assert write_tool_choice(choice, NEUTRAL) == shape


def test_a_choice_of_a_tool_that_was_left_out_is_none() -> None:
    """Its tool is another vendor's."""
    foreign = [Tool("web", hosted="web_search_20250305")]
    assert write_tool_choice(ToolChoice(ToolMode.NAMED, ("web_search_20250305",)), foreign) is None
    assert write_tool_choice(ToolChoice(ToolMode.NAMED), foreign) is None


FORMATS: list[tuple[dict[str, Any], ResponseFormat]] = [
    ({"type": "text"}, ResponseFormat(FormatKind.TEXT)),
    ({"type": "json_object"}, ResponseFormat(FormatKind.JSON)),
    (
        {"type": "json_schema", "name": "n", "schema": OBJECT, "strict": True, "description": "d"},
        ResponseFormat(FormatKind.SCHEMA, "n", RAW, "d", strict=True),
    ),
]


@pytest.mark.parametrize(("shape", "wanted"), FORMATS)
def test_a_format_is_read_and_written(shape: dict[str, Any], wanted: ResponseFormat) -> None:
    """A schema's members stand flat beside its type."""
    assert neutral(text={"format": shape}).response_format == wanted
    assert plain(write_format(wanted, [])) == shape


def test_an_open_schema_is_not_strict() -> None:
    """OpenAI refuses the word for one with optional members: it is declared, of a tool and of an answer."""
    loose = msgspec.Raw(b'{"type":"object","properties":{"a":{}},"additionalProperties":false}')
    dropped: list[str] = []
    assert plain(write_tools([Tool("f", parameters=loose, strict=True)], dropped))[0]["strict"] is False
    assert plain(write_format(ResponseFormat(FormatKind.SCHEMA, "n", loose, strict=True), dropped))["strict"] is False
    assert dropped == ["strict", "strict"]


def test_a_schema_always_has_a_name_and_says_whether_it_is_strict() -> None:
    """This API requires the one, and both APIs differ in the other."""
    assert plain(write_format(ResponseFormat(FormatKind.SCHEMA, schema=RAW), [])) == {
        "type": "json_schema",
        "name": "answer",
        "schema": OBJECT,
        "strict": False,
    }


@pytest.mark.parametrize(
    ("given", "thinking"),
    [
        (None, None),
        ({}, None),
        ({"effort": "high"}, Thinking(effort="high")),
        ({"effort": None, "summary": "auto"}, Thinking(shown=True, summary="auto")),
        ({"generate_summary": "detailed"}, Thinking(shown=True, summary="detailed")),
        ({"max_tokens": 2000}, Thinking(budget=2000)),
        ({"enabled": False}, Thinking(enabled=False)),
    ],
)
def test_reasoning_is_read(given: object, thinking: Thinking | None) -> None:
    """A summary is how it is shown."""
    assert neutral(reasoning=given).thinking == thinking


@pytest.mark.parametrize(
    ("thinking", "limit", "shape"),
    [
        (None, None, {}),
        (Thinking(), None, {}),
        (Thinking(effort="xhigh"), None, {"effort": "xhigh"}),
        (Thinking(effort="low", shown=True), None, {"effort": "low", "summary": "auto"}),
        (Thinking(summary="concise"), None, {"summary": "concise"}),
        (Thinking(summary="verbose"), None, {"summary": "auto"}),
        (Thinking(enabled=False), None, {"effort": "none"}),
        (Thinking(budget=0), None, {"effort": "none"}),
        (Thinking(budget=-1), None, {}),
        (Thinking(budget=800), 1000, {"effort": "high"}),
        (Thinking(budget=799), 1000, {"effort": "medium"}),
        (Thinking(budget=499), 1000, {"effort": "low"}),
        (Thinking(budget=199), 1000, {"effort": "minimal"}),
        (Thinking(budget=8192), None, {"effort": "medium"}),
    ],
)
def test_reasoning_is_written(thinking: Thinking | None, limit: int | None, shape: dict[str, str]) -> None:
    """A budget becomes a word by its share of the answer's limit."""
    assert write_thinking(Request("m", (), thinking=thinking, max_tokens=limit)) == shape


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"tools": [{}]}, "tools[0].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tools": [{"type": "function", "name": "f", "parameters": "x"}]}, "tools[0].parameters"),
        ({"tool_choice": "maybe"}, "tool_choice"),
        ({"tool_choice": {"type": "function"}}, "tool_choice.name"),
        ({"tool_choice": {"type": "allowed_tools", "mode": "none", "tools": []}}, "tool_choice.mode"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"text": {"format": {"type": "json_schema", "schema": {}}}}, "text.format.name"),
        ({"text": {"format": {"type": "json_schema", "name": "n", "schema": []}}}, "text.format.schema"),
        ({"reasoning": {"effort": 3}}, "reasoning.effort"),
    ],
)
def test_a_mistake_is_named_by_its_place(members: dict[str, Any], param: str) -> None:
    """Status 400 and the path of the field."""
    problem = problem_of(**members)
    assert (problem.status, problem.param) == (400, param)
