"""Neutral requests as Gemini ones."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.dialects.gemini.samples import neutral, raw
from tokenway.dialects.base import Upstream
from tokenway.dialects.gemini.write import write
from tokenway.dialects.seal import GEMINI
from tokenway.model.catalog import Quirks
from tokenway.model.errors import Refusal
from tokenway.model.request import (
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

UPSTREAM = Upstream("gemini-2.5-flash")
HELLO = (Message(Role.USER, (Text("hello"),)),)
F, G = Tool("f"), Tool("g")


def body(upstream: Upstream = UPSTREAM, **fields: Any) -> dict[str, Any]:
    """What a request with these fields becomes."""
    found = json.loads(write(Request("m", HELLO, **fields), upstream).body)
    assert isinstance(found, dict)
    return found


def dropped(upstream: Upstream = UPSTREAM, **fields: Any) -> tuple[str, ...]:
    """What it cannot say."""
    return write(Request("m", HELLO, **fields), upstream).dropped


def test_the_smallest_request() -> None:
    """Model and stream are in the path, so a body holds the contents alone."""
    assert body(stream=True) == {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}


def test_generation_fields() -> None:
    """Each under Gemini's name."""
    found = body(
        max_tokens=9,
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        seed=1,
        n=2,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        stop=("a", "b"),
        logprobs=True,
        top_logprobs=3,
    )
    assert found["generationConfig"] == {
        "temperature": 0.5,
        "topP": 0.9,
        "topK": 40,
        "maxOutputTokens": 9,
        "candidateCount": 2,
        "seed": 1,
        "presencePenalty": 0.1,
        "frequencyPenalty": 0.2,
        "stopSequences": ["a", "b"],
        "responseLogprobs": True,
        "logprobs": 3,
    }


def test_too_many_stops_are_refused() -> None:
    """Gemini takes five; fewer would change the answer."""
    assert body(stop=tuple("abcde"))["generationConfig"]["stopSequences"] == list("abcde")
    with pytest.raises(Refusal) as caught:
        body(stop=tuple("abcdef"))
    assert (caught.value.problem.param, caught.value.problem.code) == ("stop", "unsupported_parameter")


def test_nothing_but_a_system_message_is_the_users_word() -> None:
    """Gemini wants contents; without any message there are none."""
    written = json.loads(write(Request("m", (Message(Role.SYSTEM, (Text("be"),)),)), UPSTREAM).body)
    assert written == {"contents": [{"role": "user", "parts": [{"text": "be"}]}]}
    with pytest.raises(Refusal) as caught:
        write(Request("m", ()), UPSTREAM)
    assert caught.value.problem.param == "messages"


def test_tools() -> None:
    """Functions keep their JSON schema, Google's own tools are what they were; others are declared."""
    tools = (
        Tool("f", "does", raw({"type": "object", "$defs": {}}), strict=True, cache="5m"),
        Tool("", hosted="googleSearch", raw=raw({"googleSearch": {"a": 1}})),
        Tool("", hosted="web_search_20250305", raw=raw({"type": "web_search_20250305"})),
        G,
    )
    assert body(tools=tools)["tools"] == [
        {
            "functionDeclarations": [
                {"name": "f", "description": "does", "parametersJsonSchema": {"type": "object", "$defs": {}}},
                {"name": "g"},
            ]
        },
        {"googleSearch": {"a": 1}},
    ]
    assert dropped(tools=tools) == ("cache_control", "strict", "tools.web_search_20250305")


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (ToolChoice(ToolMode.AUTO), {"mode": "AUTO"}),
        (ToolChoice(ToolMode.NONE), {"mode": "NONE"}),
        (ToolChoice(ToolMode.REQUIRED), {"mode": "ANY"}),
        (ToolChoice(ToolMode.REQUIRED, ("f",)), {"mode": "ANY", "allowedFunctionNames": ["f"]}),
        (ToolChoice(ToolMode.NAMED, ("g",)), {"mode": "ANY", "allowedFunctionNames": ["g"]}),
        (ToolChoice(ToolMode.AUTO, ("f", "g")), {"mode": "VALIDATED", "allowedFunctionNames": ["f", "g"]}),
    ],
)
def test_tool_choice(choice: ToolChoice, expected: dict[str, object]) -> None:
    """A named tool is the only one of `ANY`; a free choice among some is `VALIDATED`."""
    assert body(tools=(F, G), tool_choice=choice)["toolConfig"] == {"functionCallingConfig": expected}


def test_a_choice_of_a_tool_that_is_not_there() -> None:
    """It is declared; a choice that asks for nothing is not."""
    assert dropped(tools=(F,), tool_choice=ToolChoice(ToolMode.NAMED, ("patch",))) == ("tool_choice",)
    assert dropped(tool_choice=ToolChoice(ToolMode.REQUIRED)) == ("tool_choice",)
    assert dropped(tool_choice=ToolChoice(ToolMode.AUTO)) == ()


def test_response_formats() -> None:
    """A schema, any JSON, or text; an endpoint that takes no schema gets JSON, and it is declared."""
    schema = ResponseFormat(FormatKind.SCHEMA, "answer", raw({"type": "object"}))
    assert body(response_format=schema)["generationConfig"] == {
        "responseMimeType": "application/json",
        "responseJsonSchema": {"type": "object"},
    }
    assert body(response_format=ResponseFormat(FormatKind.JSON))["generationConfig"] == {
        "responseMimeType": "application/json"
    }
    assert "generationConfig" not in body(response_format=ResponseFormat(FormatKind.TEXT))
    plain = Upstream("gemini-2.5-flash", quirks=Quirks(json_schema=False))
    assert dropped(plain, response_format=schema) == ("response_format",)


def test_thinking() -> None:
    """What the model takes is said, what it cannot do is declared."""
    assert body(thinking=Thinking(effort="high"), max_tokens=1000)["generationConfig"]["thinkingConfig"] == {
        "thinkingBudget": 800,
        "includeThoughts": True,
    }
    assert dropped(Upstream("gemini-2.0-flash"), thinking=Thinking(effort="high")) == ("effort",)
    adaptive = body(thinking=Thinking("low", -1, enabled=True), max_tokens=8000)["generationConfig"]["thinkingConfig"]
    assert adaptive == {"thinkingBudget": 1600, "includeThoughts": True}
    assert dropped(thinking=Thinking(effort="high", summary="auto")) == ()
    assert dropped(thinking=Thinking(effort="high", summary="concise")) == ("summary",)


@pytest.mark.parametrize(
    ("tier", "expected", "lost"),
    [
        ("default", "standard", ()),
        ("priority", "priority", ()),
        ("fast", "priority", ()),
        ("flex", "flex", ()),
        ("auto", None, ()),
        ("scale", None, ("service_tier",)),
    ],
)
def test_service_tiers(tier: str, expected: str | None, lost: tuple[str, ...]) -> None:
    """Those that Google has; `auto` is to leave it to Google."""
    assert body(service_tier=tier).get("serviceTier") == expected
    assert dropped(service_tier=tier) == lost


def test_what_gemini_has_no_word_for_is_declared() -> None:
    """Each once, in a stable order, with the caller's own names at the end."""
    assert dropped(
        rest={"store": raw(True)},
        metadata=raw({"a": "b"}),
        logit_bias=raw({"1": 1}),
        parallel_tool_calls=False,
        min_p=0.1,
        repetition_penalty=1.1,
        user="u",
        prompt_cache_key="k",
        verbosity="low",
    ) == (
        "parallel_tool_calls",
        "min_p",
        "repetition_penalty",
        "user",
        "prompt_cache_key",
        "verbosity",
        "logit_bias",
        "metadata",
        "store",
    )
    assert dropped(parallel_tool_calls=True) == ()


def test_what_is_written_reads_back() -> None:
    """The reader of the dialect understands it as it was meant."""
    request = Request(
        "gemini-2.5-flash",
        HELLO,
        tools=(Tool("f", "does", raw({"type": "object"})),),
        tool_choice=ToolChoice(ToolMode.NAMED, ("f",)),
        response_format=ResponseFormat(FormatKind.SCHEMA, schema=raw({"type": "object"})),
        thinking=Thinking(budget=512, shown=True),
        max_tokens=1000,
        temperature=0.5,
        top_k=4,
        seed=1,
        stop=("a",),
        n=2,
        service_tier="flex",
        words=GEMINI,
    )
    assert neutral(json.loads(write(request, UPSTREAM).body)) == request
