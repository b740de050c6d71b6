"""Neutral requests for an Anthropic upstream."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from tokenway.dialects.anthropic.read import read
from tokenway.dialects.anthropic.write import write
from tokenway.dialects.base import Upstream
from tokenway.dialects.seal import ANTHROPIC
from tokenway.model.catalog import Capabilities, Quirks
from tokenway.model.errors import Refusal
from tokenway.model.request import (
    Foreign,
    FormatKind,
    Media,
    MediaKind,
    Message,
    Reasoning,
    Request,
    ResponseFormat,
    Role,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolMode,
    ToolResult,
)

OLD, NEW = "claude-sonnet-4-5", "claude-opus-4-8"
USER = Message(Role.USER, (Text("hi"),))
TOOL = Tool("f", "d", msgspec.Raw(b'{"properties":{},"type":"object"}'))
CALL = Message(Role.ASSISTANT, (ToolCall("c", "f", "{}"),))
RESULT = Message(Role.USER, (ToolResult("c", (Text("4"),)),))
FORCED = ToolChoice(ToolMode.REQUIRED)


def written(
    upstream: str | Upstream = OLD, *messages: Message, **members: Any
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The body for this upstream, and what is declared as dropped."""
    to = Upstream(upstream) if isinstance(upstream, str) else upstream
    found = write(Request("asked", messages or (USER,), **members), to)
    return json.loads(found.body), found.dropped


def turns(*messages: Message) -> list[tuple[str, list[str]]]:
    """Roles of the turns with the types of their blocks."""
    body, _ = written(OLD, *messages)
    return [(turn["role"], [block["type"] for block in turn["content"]]) for turn in body["messages"]]


def test_the_least_request() -> None:
    """Model and limit must be said; nothing else is."""
    assert written() == (
        {
            "model": OLD,
            "max_tokens": 64_000,
            "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
        },
        (),
    )


@pytest.mark.parametrize(
    ("model", "asked", "most", "limit"),
    [
        (OLD, None, None, 64_000),
        (OLD, None, 8000, 8000),
        (OLD, 500, 8000, 500),
        (OLD, 9000, 8000, 8000),
        (OLD, 90_000, None, 90_000),
        ("some-model", None, None, 4096),
    ],
)
def test_the_limit(model: str, asked: int | None, most: int | None, limit: int) -> None:
    """The caller's, but never more than the endpoint can; without one the most that there can be."""
    upstream = Upstream(model, Capabilities(max_output=most))
    assert written(upstream, max_tokens=asked)[0]["max_tokens"] == limit


def test_system_and_developer_messages_are_collected() -> None:
    """In their order, with their breakpoints."""
    body, dropped = written(
        OLD,
        Message(Role.SYSTEM, (Text("a", "1h"),)),
        USER,
        Message(Role.DEVELOPER, (Text("b"),)),
    )
    assert body["system"] == [
        {"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        {"type": "text", "text": "b"},
    ]
    assert (len(body["messages"]), dropped) == (1, ())


def test_a_system_alone_is_a_turn() -> None:
    """Anthropic needs something to answer."""
    body, _ = written(OLD, Message(Role.SYSTEM, (Text("a"),)))
    assert body["messages"] == [{"role": "user", "content": [{"type": "text", "text": "a"}]}]
    assert "system" not in body


def test_turns_of_one_role_are_joined() -> None:
    """Results first, also when they come in messages of their own; empty messages are none."""
    calls = Message(Role.ASSISTANT, (Text("so"), ToolCall("c", "f", "{}"), ToolCall("d", "f", "{}")))
    other = Message(Role.USER, (ToolResult("d", ()),))
    assert turns(USER, Message(Role.ASSISTANT, (Text(""),)), USER, calls, RESULT, USER, other) == [
        ("user", ["text", "text"]),
        ("assistant", ["text", "tool_use", "tool_use"]),
        ("user", ["tool_result", "tool_result", "text"]),
    ]


def test_a_prefill_ends_without_a_space() -> None:
    """Anthropic refuses one that does."""
    body, _ = written(OLD, USER, Message(Role.ASSISTANT, (Text("The answer is \n", "5m"),)))
    last = {"type": "text", "text": "The answer is", "cache_control": {"type": "ephemeral"}}
    assert body["messages"][-1]["content"] == [last]


def test_tools_keep_their_schema_as_it_is() -> None:
    """A prompt cache knows it by its bytes; a type is added where none is."""
    tools = (
        TOOL,
        Tool(
            "g",
            parameters=msgspec.Raw(b'{"properties":{"a":{}},"additionalProperties":false}'),
            strict=True,
            cache="5m",
        ),
        Tool("h", strict=False),
        Tool(
            "web_fetch",
            hosted="web_fetch_20250910",
            raw=msgspec.Raw(b'{"type":"web_fetch_20250910","name":"web_fetch"}'),
        ),
        Tool("s", hosted="web_search_preview", raw=msgspec.Raw(b"{}")),
    )
    found = write(Request("m", (USER,), tools=tools), Upstream(OLD))
    assert b'"input_schema":{"properties":{},"type":"object"}' in found.body
    assert json.loads(found.body)["tools"][1:] == [
        {
            "name": "g",
            "input_schema": {"type": "object", "properties": {"a": {}}, "additionalProperties": False},
            "strict": True,
            "cache_control": {"type": "ephemeral"},
        },
        {"name": "h", "input_schema": {"type": "object", "properties": {}}},
        {"type": "web_fetch_20250910", "name": "web_fetch"},
        {"type": "web_search_20250305", "name": "web_search"},
    ]
    assert found.dropped == ()


def test_a_search_is_a_tool_of_anthropics() -> None:
    """OpenAI's chat has a member for it, and nothing has to be forced."""
    search = {"type": "web_search_20250305", "name": "web_search"}
    body, dropped = written(OLD, rest={"web_search_options": msgspec.Raw(b"{}")})
    assert (body["tools"], "tool_choice" in body, dropped) == ([search], False, ())
    hosted = Tool("s", hosted="web_search", raw=msgspec.Raw(b"{}"))
    other = written(OLD, rest={"web_search_options": msgspec.Raw(b"{}")}, words="another vendor's")
    assert ("tools" in other[0], other[1]) == (False, ("web_search_options",))
    assert written(OLD, tools=(hosted,), rest={"web_search_options": msgspec.Raw(b"{}")})[0]["tools"] == [search]


def test_a_search_that_must_not_read_the_web_is_declared() -> None:
    """Anthropic's reads it as it is now: a limit that the caller set is not lifted."""
    stored = Tool("s", hosted="web_search", raw=msgspec.Raw(b'{"type":"web_search","external_web_access":false}'))
    body, dropped = written(OLD, tools=(stored,))
    assert ("tools" in body, dropped) == (False, ("tools.web_search",))


@pytest.mark.parametrize("kind", ["web_search", "web_search_2025_08_26", "web_search_preview_2025_03_11"])
def test_a_search_is_chosen_by_its_name_here(kind: str) -> None:
    """OpenAI's callers choose it by its type."""
    search = Tool(kind, hosted=kind, raw=msgspec.Raw(b"{}"))
    body, dropped = written(OLD, tools=(search,), tool_choice=ToolChoice(ToolMode.NAMED, (kind,)))
    assert (body["tool_choice"], dropped) == ({"type": "tool", "name": "web_search"}, ())


def test_tools_without_a_counterpart_are_declared() -> None:
    """Other vendors' own tools; strictness where the model has none."""
    tools = (TOOL, Tool("g", hosted="file_search"), Tool("c", hosted="code_interpreter", raw=msgspec.Raw(b"{}")))
    body, dropped = written(OLD, tools=tools)
    assert ([tool["name"] for tool in body["tools"]], dropped) == (
        ["f"],
        ("tools.file_search", "tools.code_interpreter"),
    )
    assert written("claude-opus-4-1", tools=(Tool("f", strict=True),))[1] == ("strict",)


def test_calls_of_tools_that_are_no_more_offered() -> None:
    """Anthropic wants them described, and none is called."""
    body, _ = written(OLD, USER, CALL, RESULT)
    assert body["tools"] == [{"name": "f", "input_schema": {"type": "object"}}]
    assert body["tool_choice"] == {"type": "none"}
    body, dropped = written(OLD, USER, CALL, RESULT, tools=(Tool("f", hosted="file_search"),), tool_choice=FORCED)
    assert (body["tools"], body["tool_choice"]) == (
        [{"name": "f", "input_schema": {"type": "object"}}],
        {"type": "none"},
    )
    assert dropped == ("tools.file_search", "tool_choice")


@pytest.mark.parametrize(
    ("choice", "parallel", "expected"),
    [
        (None, None, None),
        (None, True, None),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        (ToolChoice(ToolMode.AUTO), None, {"type": "auto"}),
        (ToolChoice(ToolMode.NONE), False, {"type": "none"}),
        (FORCED, None, {"type": "any"}),
        (ToolChoice(ToolMode.NAMED, ("f",)), False, {"type": "tool", "name": "f", "disable_parallel_tool_use": True}),
    ],
)
def test_tool_choice(choice: ToolChoice | None, parallel: bool | None, expected: dict[str, Any] | None) -> None:
    """Which tools, and whether several at once."""
    body, dropped = written(OLD, tools=(TOOL,), tool_choice=choice, parallel_tool_calls=parallel)
    assert (body.get("tool_choice"), dropped) == (expected, ())


def test_a_choice_among_some_tools_offers_only_them() -> None:
    """Anthropic has no such choice."""
    body, _ = written(OLD, tools=(TOOL, Tool("g")), tool_choice=ToolChoice(ToolMode.REQUIRED, ("g",)))
    assert ([tool["name"] for tool in body["tools"]], body["tool_choice"]) == (["g"], {"type": "any"})


def test_a_choice_without_tools() -> None:
    """Nothing can be forced, and Anthropic refuses to be told."""
    lost = ToolChoice(ToolMode.NAMED, ("g",))
    body, dropped = written(OLD, tools=(TOOL, Tool("g", hosted="file_search")), tool_choice=lost)
    assert ("tool_choice" in body, dropped) == (False, ("tools.file_search", "tool_choice"))
    assert written(OLD, tool_choice=FORCED)[1] == ("tool_choice",)
    assert written(OLD, tool_choice=ToolChoice(ToolMode.AUTO))[1] == ()
    assert "tool_choice" not in written(OLD, tool_choice=ToolChoice(ToolMode.AUTO))[0]


def test_no_call_is_forced_while_the_model_thinks() -> None:
    """Where thinking was asked for, it wins; a model that thinks unasked is told not to, if it can."""
    body, dropped = written(OLD, tools=(TOOL,), tool_choice=FORCED, thinking=Thinking("high"))
    assert (body["tool_choice"], dropped) == ({"type": "auto"}, ("tool_choice",))
    body, dropped = written("claude-opus-5", tools=(TOOL,), tool_choice=FORCED)
    assert (body["tool_choice"], body["thinking"], dropped) == ({"type": "any"}, {"type": "disabled"}, ())
    body, dropped = written("claude-opus-5-5", tools=(TOOL,), tool_choice=FORCED)
    assert (body["tool_choice"], dropped) == ({"type": "auto"}, ("tool_choice",))


def test_an_effort_stands_beside_thinking() -> None:
    """Newer models take it there."""
    body, _ = written(NEW, thinking=Thinking("high"))
    assert body["thinking"] == {"type": "adaptive", "display": "summarized"}
    assert body["output_config"] == {"effort": "high"}


def test_thinking_does_not_begin_amid_calls() -> None:
    """A model that thinks by a budget refuses results for calls that it made without a thought."""
    thinking = Thinking("high")
    body, dropped = written(OLD, USER, CALL, RESULT, tools=(TOOL,), thinking=thinking, max_tokens=5000)
    assert ("thinking" in body, dropped) == (False, ("effort",))
    thought = Message(Role.ASSISTANT, (Reasoning("t", "s", format=ANTHROPIC), *CALL.parts))
    for conversation in ((USER, thought, RESULT), (USER, CALL, RESULT, CALL, USER)):
        body, dropped = written(OLD, *conversation, tools=(TOOL,), thinking=thinking, max_tokens=5000)
        assert (body["thinking"]["type"], dropped) == ("enabled", ())
    assert "thinking" in written(NEW, USER, CALL, RESULT, tools=(TOOL,), thinking=thinking)[0]


@pytest.mark.parametrize(
    ("model", "members", "said", "dropped"),
    [
        (OLD, {"temperature": 0.5}, {"temperature": 0.5}, ()),
        (OLD, {"temperature": 1.7}, {"temperature": 1}, ("temperature",)),
        (OLD, {"temperature": 0.5, "top_p": 0.9}, {"temperature": 0.5}, ("top_p",)),
        (OLD, {"temperature": 0.5, "top_p": 1.0}, {"temperature": 0.5}, ()),
        (OLD, {"top_p": 0.9, "top_k": 5}, {"top_p": 0.9, "top_k": 5}, ()),
        ("claude-3-5-haiku", {"temperature": 0.5, "top_p": 0.9}, {"temperature": 0.5, "top_p": 0.9}, ()),
        (OLD, {"temperature": 0.5, "thinking": Thinking("low")}, {}, ("temperature",)),
        (OLD, {"temperature": 1.0, "thinking": Thinking("low")}, {}, ()),
        (OLD, {"top_p": 0.97, "top_k": 5, "thinking": Thinking("low")}, {"top_p": 0.97}, ("top_k",)),
        (OLD, {"top_p": 0.5, "thinking": Thinking("low")}, {}, ("top_p",)),
        (NEW, {"temperature": 0.5, "top_p": 0.99, "top_k": 5}, {}, ("temperature", "top_k", "top_p")),
        (NEW, {"temperature": 1.0, "top_p": 1.0}, {}, ()),
    ],
)
def test_sampling(model: str, members: dict[str, Any], said: dict[str, Any], dropped: tuple[str, ...]) -> None:
    """As far as the family and its thinking let it be; values that ask for nothing are not declared."""
    body, declared = written(model, **members)
    assert {name: body[name] for name in ("temperature", "top_p", "top_k") if name in body} == said
    assert declared == dropped


def test_a_schema_for_the_answer() -> None:
    """Where the model has it and the provider takes it; Anthropic wants objects closed."""
    schema = msgspec.Raw(
        b'{"type":"object","properties":{"a":{"type":"array","items":{"type":"object","properties":{}}}}}'
    )
    wanted = ResponseFormat(FormatKind.SCHEMA, "n", schema)
    body, dropped = written(OLD, response_format=wanted)
    inner = {"type": "object", "properties": {}, "additionalProperties": False}
    assert body["output_config"] == {
        "format": {
            "type": "json_schema",
            "schema": {
                "type": "object",
                "properties": {"a": {"type": "array", "items": inner}},
                "additionalProperties": False,
            },
        }
    }
    assert dropped == ()
    assert written("claude-3-7-sonnet", response_format=wanted)[1] == ("response_format",)
    assert written(Upstream(OLD, quirks=Quirks(json_schema=False)), response_format=wanted)[1] == ("response_format",)
    assert written(OLD, response_format=ResponseFormat(FormatKind.JSON))[1] == ("response_format",)
    anything = ResponseFormat(FormatKind.SCHEMA, "n", msgspec.Raw(b'{"type":"object"}'))
    assert written(OLD, response_format=anything)[1] == ("response_format",)
    assert written(OLD, response_format=ResponseFormat(FormatKind.TEXT))[1] == ()


def test_bounds_of_a_schema_are_told_and_declared() -> None:
    """Nobody enforces them; a tool with any is not strict."""
    bounded = msgspec.Raw(b'{"type":"object","properties":{"a":{"type":"integer","minimum":1}}}')
    body, dropped = written(OLD, response_format=ResponseFormat(FormatKind.SCHEMA, "n", bounded))
    told = {"type": "integer", "description": "{minimum: 1}"}
    assert body["output_config"]["format"]["schema"]["properties"] == {"a": told}
    assert dropped == ("minimum",)
    body, dropped = written(OLD, tools=(Tool("f", parameters=bounded, strict=True),))
    assert ("strict" in body["tools"][0], dropped) == (False, ("strict",))
    assert body["tools"][0]["input_schema"]["properties"] == {"a": {"type": "integer", "minimum": 1}}


def test_what_is_left_is_said_or_declared() -> None:
    """Each once, in a stable order; values that ask for nothing are not declared."""
    body, dropped = written(
        OLD,
        Message(Role.USER, (Text("a"), Foreign("x", msgspec.Raw(b"{}"))), name="bob"),
        Message(Role.USER, (Text("a"),), name="bob"),
        stop=("END", "\n"),
        user="u",
        service_tier="flex",
        min_p=0.1,
        seed=1,
        logprobs=True,
        top_logprobs=2,
        frequency_penalty=0.5,
        presence_penalty=0.5,
        repetition_penalty=1.1,
        prompt_cache_key="k",
        verbosity="low",
        logit_bias=msgspec.Raw(b"{}"),
        metadata=msgspec.Raw(b"{}"),
        rest={"store": msgspec.Raw(b"true")},
        n=3,
        stream=True,
    )
    assert (body["stop_sequences"], body["metadata"], body["stream"]) == (["END"], {"user_id": "u"}, True)
    assert dropped == (
        *("name", "x", "stop", "service_tier", "min_p", "seed", "logprobs", "top_logprobs", "frequency_penalty"),
        *(
            "presence_penalty",
            "repetition_penalty",
            "prompt_cache_key",
            "verbosity",
            "n",
            "logit_bias",
            "metadata",
            "store",
        ),
    )
    neutral = {
        "frequency_penalty": 0,
        "presence_penalty": 0.0,
        "repetition_penalty": 1.0,
        "logprobs": False,
        "min_p": 0,
    }
    assert written(OLD, **neutral)[1] == ()


@pytest.mark.parametrize(("tier", "said"), [("auto", "auto"), ("default", "standard_only")])
def test_tiers(tier: str, said: str) -> None:
    """Anthropic has two."""
    body, dropped = written(OLD, service_tier=tier)
    assert (body["service_tier"], dropped) == (said, ())


def test_what_is_written_reads_the_same() -> None:
    """All that the dialect can say of a request survives the way there and back."""
    given = Request(
        OLD,
        (
            Message(Role.SYSTEM, (Text("s", "1h"),)),
            USER,
            Message(
                Role.ASSISTANT, (Reasoning("t", "c2ln", format=ANTHROPIC), Text("a"), ToolCall("c", "f", '{"x":1}'))
            ),
            Message(Role.USER, (ToolResult("c", (Text("4"),), "f", is_error=True), Text("b", "5m"))),
        ),
        stream=True,
        tools=(TOOL,),
        tool_choice=ToolChoice(ToolMode.AUTO),
        parallel_tool_calls=False,
        thinking=Thinking(budget=2000, enabled=True),
        max_tokens=5000,
        stop=("END",),
        user="u",
        service_tier="default",
        words=ANTHROPIC,
    )
    found = write(given, Upstream(OLD))
    assert found.dropped == ()
    assert read(found.body, OLD, True) == given


def test_no_medium_is_part_of_the_instructions() -> None:
    """Refused where it stands; Anthropic takes text only."""
    picture = Media(MediaKind.IMAGE, "image/png", "QUJD", place="system[0]")
    with pytest.raises(Refusal) as caught:
        written(OLD, Message(Role.SYSTEM, (picture,)), USER)
    assert caught.value.problem.param == "system[0]"
