"""Neutral requests, written for an upstream of the chat dialect."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from tokenway.dialects.base import Upstream
from tokenway.dialects.openai_chat.write import write_request
from tokenway.model.catalog import Quirks
from tokenway.model.request import (
    FormatKind,
    Message,
    Request,
    ResponseFormat,
    Role,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolMode,
)

BASE = Request("asked", (Message(Role.USER, (Text("hi"),)),))
RAW = msgspec.Raw(b'{"type":"object","additionalProperties":false}')
OBJECT = {"type": "object", "additionalProperties": False}
LOOSE = msgspec.Raw(b'{"type":"object","properties":{"a":{}},"additionalProperties":false}')
F = Tool("f", "d", RAW, strict=True)
G = Tool("g")


def write(quirks: Quirks | None = None, **fields: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What is added to the least body, and what is dropped."""
    request = msgspec.structs.replace(BASE, **fields)
    written = write_request(request, Upstream("theirs", quirks=quirks or Quirks()))
    body = json.loads(written.body)
    assert body.pop("model") == "theirs"
    assert body.pop("messages") == [{"role": "user", "content": "hi"}]
    return body, written.dropped


FREE = Quirks(custom_tools=True)


def test_nothing_is_sent_that_was_not_said() -> None:
    """Model and messages alone."""
    assert write() == ({}, ())


def test_a_stream_is_asked_for_its_usage() -> None:
    """Where the server takes the option."""
    assert write(stream=True)[0] == {"stream": True, "stream_options": {"include_usage": True}}
    assert write(Quirks(usage_flag=False), stream=True)[0] == {"stream": True}


@pytest.mark.parametrize(
    ("grammar", "expected"),
    [
        (
            {"type": "grammar", "syntax": "lark", "definition": "d"},
            {"type": "grammar", "grammar": {"syntax": "lark", "definition": "d"}},
        ),
        ({"type": "grammar", "grammar": {"syntax": "lark"}}, {"type": "grammar", "grammar": {"syntax": "lark"}}),
        ({"type": "text"}, {"type": "text"}),
    ],
)
def test_a_grammar_stands_one_level_deeper(grammar: dict[str, Any], expected: dict[str, Any]) -> None:
    """The Responses API has it flat."""
    tool = Tool("c", custom=True, grammar=msgspec.Raw(json.dumps(grammar).encode()))
    assert write(FREE, tools=(tool,))[0]["tools"] == [{"type": "custom", "custom": {"name": "c", "format": expected}}]


@pytest.mark.parametrize(
    ("options", "is_sent"),
    [
        ('{"mode":"explicit","ttl":"30m"}', True),
        ('{"mode":"explicit","ttl":"12h"}', False),
        ('{"mode":"explicit","prewarm":true}', False),
    ],
)
def test_options_of_the_cache_that_only_the_responses_api_has(options: str, is_sent: bool) -> None:
    """They are declared, all of them: a server would refuse the call."""
    raw = msgspec.Raw(options.encode())
    body, dropped = write(rest={"prompt_cache_options": raw})
    assert ("prompt_cache_options" in body, dropped) == (is_sent, () if is_sent else ("prompt_cache_options",))


def test_the_limit_has_the_servers_name() -> None:
    """The newer one, or the older."""
    assert write(max_tokens=5)[0] == {"max_completion_tokens": 5}
    assert write(Quirks(limit_field="max_tokens"), max_tokens=5)[0] == {"max_tokens": 5}


def test_plain_fields() -> None:
    """Under their own names."""
    fields: dict[str, Any] = {
        "temperature": 0.5,
        "top_p": 0.9,
        "frequency_penalty": 1.0,
        "presence_penalty": 2.0,
        "seed": 3,
        "n": 2,
        "logprobs": True,
        "top_logprobs": 4,
        "user": "u",
        "prompt_cache_key": "k",
        "verbosity": "low",
        "service_tier": "flex",
    }
    assert write(**fields, stop=("a", "b"), logit_bias=msgspec.Raw(b'{"1":2}')) == (
        {**fields, "stop": ["a", "b"], "logit_bias": {"1": 2}},
        (),
    )


def test_sampling_that_openai_does_not_have() -> None:
    """Sent where it is known, else declared."""
    fields: dict[str, Any] = {"top_k": 40, "min_p": 0.1, "repetition_penalty": 1.1}
    assert write(**fields) == ({}, ("top_k", "min_p", "repetition_penalty"))
    assert write(Quirks(sampling_extras=True), **fields) == (fields, ())


def test_hints_are_declared() -> None:
    """What has no counterpart; what happens anyway is not worth a word."""
    rest = {"container": msgspec.Raw(b"1"), "prediction": msgspec.Raw(b'{"type":"content"}')}
    body, dropped = write(metadata=msgspec.Raw(b'{"a":"b"}'), service_tier="standard_only", rest=rest)
    assert body == {"prediction": {"type": "content"}}
    assert dropped == ("service_tier", "metadata", "container")
    assert write(service_tier="auto") == ({}, ())
    assert write(rest=rest, words="another vendor's") == ({}, ("container", "prediction"))


def test_tools() -> None:
    """Functions and free text; a vendor's own are declared by their type."""
    tools = (F, Tool("h", custom=True, grammar=RAW), Tool("web", hosted="web_search", raw=RAW), Tool("g", cache="5m"))
    body, dropped = write(FREE, tools=tools, parallel_tool_calls=False)
    assert body == {
        "tools": [
            {
                "type": "function",
                "function": {"name": "f", "description": "d", "parameters": OBJECT, "strict": True},
            },
            {"type": "custom", "custom": {"name": "h", "format": OBJECT}},
            {"type": "function", "function": {"name": "g"}},
        ],
        "parallel_tool_calls": False,
    }
    assert dropped == ("tools.web_search", "cache_control")


def test_free_text_is_a_function_where_it_is_not_known() -> None:
    """As in most servers that speak like OpenAI."""
    call = Message(Role.ASSISTANT, (ToolCall("1", "h", "words", custom=True),))
    request = Request("m", (Message(Role.USER, (Text("hi"),)), call), tools=(Tool("h", custom=True, grammar=RAW),))
    found = write_request(request, Upstream("theirs"))
    body = json.loads(found.body)
    assert [(tool["type"], tool["function"]["name"]) for tool in body["tools"]] == [("function", "h")]
    assert body["messages"][1]["tool_calls"][0]["function"] == {"name": "h", "arguments": '{"input":"words"}'}
    assert found.dropped == ("tools.format",)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (ToolChoice(ToolMode.AUTO), "auto"),
        (ToolChoice(ToolMode.NONE), "none"),
        (ToolChoice(ToolMode.REQUIRED), "required"),
        (ToolChoice(ToolMode.NAMED, ("f",)), {"type": "function", "function": {"name": "f"}}),
        (ToolChoice(ToolMode.NAMED, ("c",)), {"type": "custom", "custom": {"name": "c"}}),
    ],
)
def test_tool_choice(choice: ToolChoice, expected: object) -> None:
    """A tool by its kind."""
    assert write(FREE, tools=(F, Tool("c", custom=True)), tool_choice=choice)[0]["tool_choice"] == expected


def test_a_choice_among_some_tools_sends_those() -> None:
    """Few servers know another way."""
    body, dropped = write(tools=(F, G), tool_choice=ToolChoice(ToolMode.REQUIRED, ("g",)))
    assert body == {"tools": [{"type": "function", "function": {"name": "g"}}], "tool_choice": "required"}
    assert dropped == ()


def test_a_choice_needs_its_tools() -> None:
    """Without any, only a choice that wanted one is worth a word; a tool that is not sent cannot be chosen."""
    assert write(tool_choice=ToolChoice(ToolMode.AUTO), parallel_tool_calls=True) == ({}, ())
    assert write(tool_choice=ToolChoice(ToolMode.REQUIRED)) == ({}, ("tool_choice",))
    hosted = Tool("web", hosted="web_search", raw=RAW)
    body, dropped = write(tools=(G, hosted), tool_choice=ToolChoice(ToolMode.NAMED, ("web",)))
    assert "tool_choice" not in body
    assert dropped == ("tools.web_search", "tool_choice")


def test_an_open_schema_is_not_strict() -> None:
    """OpenAI refuses the word for one with optional members: it is declared, of a tool and of an answer."""
    body, dropped = write(tools=(Tool("f", parameters=LOOSE, strict=True),))
    assert (body["tools"][0]["function"]["strict"], dropped) == (False, ("strict",))
    body, dropped = write(response_format=ResponseFormat(FormatKind.SCHEMA, "n", LOOSE, strict=True))
    assert (body["response_format"]["json_schema"]["strict"], dropped) == (False, ("strict",))
    assert write(tools=(Tool("f", parameters=LOOSE, strict=False),))[1] == ()


def test_response_format() -> None:
    """A schema gets a name where it has none; a server without schemas is declared."""
    schema = ResponseFormat(FormatKind.SCHEMA, schema=RAW, strict=True, description="d")
    named = {"name": "answer", "description": "d", "schema": OBJECT, "strict": True}
    assert write(response_format=ResponseFormat(FormatKind.TEXT)) == ({}, ())
    assert write(response_format=ResponseFormat(FormatKind.JSON))[0] == {"response_format": {"type": "json_object"}}
    assert write(response_format=schema)[0] == {"response_format": {"type": "json_schema", "json_schema": named}}
    assert write(Quirks(json_schema=False), response_format=schema) == ({}, ("response_format",))


def test_thinking_is_an_effort() -> None:
    """How it is shown cannot be said."""
    said = Thinking(effort="low", shown=False, summary="auto")
    assert write(thinking=said) == ({"reasoning_effort": "low"}, ("shown", "summary"))
    assert write(thinking=Thinking(shown=True)) == ({}, ())
    shown = msgspec.structs.replace(BASE, thinking=Thinking(shown=True))
    assert write_request(shown, Upstream("gpt-5.2")).dropped == ("shown",)
    assert write_request(shown, Upstream("gpt-5.2", quirks=Quirks(reasoning_field="reasoning_details"))).dropped == ()


@pytest.mark.parametrize(
    ("thinking", "expected"),
    [
        (Thinking(budget=9, shown=False), {"max_tokens": 9, "exclude": True}),
        (Thinking(effort="low", budget=9, summary="auto"), {"effort": "low", "summary": "auto"}),
        (Thinking(budget=0), {"enabled": False}),
        (Thinking(enabled=True, budget=-1), {"enabled": True}),
    ],
)
def test_openrouter_takes_all_of_it(thinking: Thinking, expected: dict[str, Any]) -> None:
    """In its own object."""
    assert write(Quirks(reasoning_field="reasoning_details"), thinking=thinking) == ({"reasoning": expected}, ())
    assert write(Quirks(reasoning_field="reasoning_details"), thinking=Thinking()) == ({}, ())


@pytest.mark.parametrize(
    ("mark", "of_message", "of_request"),
    [
        ("", {}, {}),
        ("prefix", {"prefix": True}, {}),
        ("partial", {"partial": True}, {}),
        ("continue_final_message", {}, {"continue_final_message": True, "add_generation_prompt": False}),
    ],
)
def test_a_begun_answer_is_marked(mark: str, of_message: dict[str, Any], of_request: dict[str, Any]) -> None:
    """As the server wants it; a turn of the model's that is over is not."""
    turns = (*BASE.messages, Message(Role.ASSISTANT, (Text("he"),)))
    request = msgspec.structs.replace(BASE, messages=turns, continues=True)
    upstream = Upstream("theirs", quirks=Quirks(prefill=mark))
    body = json.loads(write_request(request, upstream).body)
    assert body["messages"] == [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "he", **of_message}]
    assert {name: value for name, value in body.items() if name not in {"model", "messages"}} == of_request
    over = json.loads(write_request(msgspec.structs.replace(request, continues=False), upstream).body)
    assert over == {"model": "theirs", "messages": [*body["messages"][:1], {"role": "assistant", "content": "he"}]}
