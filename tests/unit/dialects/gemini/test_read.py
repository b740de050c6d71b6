"""Gemini requests as neutral ones."""

from __future__ import annotations

import msgspec
import pytest

from tests.unit.dialects.gemini.samples import HELLO, neutral
from tokenway.dialects.gemini.read import read
from tokenway.model.errors import Refusal
from tokenway.model.request import (
    FormatKind,
    Message,
    Role,
    Text,
    Thinking,
    ToolChoice,
    ToolMode,
)


def decoded(raw: msgspec.Raw) -> object:
    """What raw JSON says."""
    return msgspec.json.decode(raw)


def test_every_generation_field_has_its_place() -> None:
    """Names are taken in both spellings, whole numbers may be written as floats."""
    found = neutral(
        {
            **HELLO,
            "generation_config": {
                "temperature": 0.5,
                "top_p": 0.9,
                "topK": 40.0,
                "candidateCount": 2,
                "maxOutputTokens": 99,
                "stop_sequences": ["a", "b"],
                "seed": 7,
                "presencePenalty": 0.1,
                "frequencyPenalty": 0.2,
                "responseLogprobs": True,
                "logprobs": 3,
                "responseModalities": ["TEXT"],
                "thinkingConfig": {"thinkingBudget": 512, "include_thoughts": True},
            },
            "serviceTier": "STANDARD",
        }
    )
    assert (found.temperature, found.top_p, found.top_k, found.n, found.max_tokens) == (0.5, 0.9, 40, 2, 99)
    assert (found.stop, found.seed, found.presence_penalty, found.frequency_penalty) == (("a", "b"), 7, 0.1, 0.2)
    assert (found.logprobs, found.top_logprobs, found.service_tier) == (True, 3, "default")
    assert found.thinking == Thinking(budget=512, shown=True)
    assert found.rest == {}
    assert found.messages == (Message(Role.USER, (Text("hello"),)),)


def test_levels_of_thinking() -> None:
    """A level is an effort; thoughts are only shown when asked for."""
    found = neutral({**HELLO, "generationConfig": {"thinkingConfig": {"thinkingLevel": "high"}}})
    assert found.thinking == Thinking(effort="high", shown=False)


@pytest.mark.parametrize(
    "instruction", ["be brief", {"parts": [{"text": "be brief"}]}, {"role": "user", "parts": {"text": "be brief"}}]
)
def test_the_system_instruction_comes_first(instruction: object) -> None:
    """It may be a content or a bare text."""
    found = neutral({**HELLO, "system_instruction": instruction})
    assert found.messages[0] == Message(Role.SYSTEM, (Text("be brief"),))


def test_tools() -> None:
    """Functions get JSON schemas from either of their two fields; Google's own tools are hosted ones."""
    found = neutral(
        {
            **HELLO,
            "tools": [
                {
                    "functionDeclarations": [
                        {"name": "f", "description": "does", "parameters": {"type": "OBJECT", "properties": {}}},
                        {"name": "g", "parameters_json_schema": {"type": "object"}, "behavior": "BLOCKING"},
                        {"name": "h"},
                    ]
                },
                {"googleSearch": {}, "url_context": {}},
            ],
        }
    )
    assert [(each.name, each.description, each.hosted) for each in found.tools] == [
        ("f", "does", ""),
        ("g", "", ""),
        ("h", "", ""),
        ("", "", "googleSearch"),
        ("", "", "urlContext"),
    ]
    assert decoded(found.tools[0].parameters) == {"type": "object", "properties": {}}
    assert decoded(found.tools[1].parameters) == {"type": "object"}
    assert decoded(found.tools[3].raw) == {"googleSearch": {}}
    assert set(found.rest) == {"functionDeclarations.behavior"}


@pytest.mark.parametrize(
    ("config", "expected", "strict"),
    [
        ({"mode": "AUTO"}, ToolChoice(ToolMode.AUTO), None),
        ({"mode": "any"}, ToolChoice(ToolMode.REQUIRED), None),
        ({"mode": "ANY", "allowedFunctionNames": ["f"]}, ToolChoice(ToolMode.NAMED, ("f",)), None),
        ({"mode": "ANY", "allowed_function_names": ["f", "g"]}, ToolChoice(ToolMode.REQUIRED, ("f", "g")), None),
        ({"mode": "NONE", "allowedFunctionNames": ["f"]}, ToolChoice(ToolMode.NONE), None),
        ({"mode": "VALIDATED"}, ToolChoice(ToolMode.AUTO), True),
        ({"mode": "MODE_UNSPECIFIED"}, None, None),
        ({}, None, None),
    ],
)
def test_tool_choice(config: object, expected: ToolChoice | None, strict: bool | None) -> None:
    """`ANY` with one name is that tool; `VALIDATED` is a free choice of strict tools."""
    body = {
        **HELLO,
        "tools": [{"functionDeclarations": [{"name": "f"}]}],
        "toolConfig": {"functionCallingConfig": config},
    }
    found = neutral(body)
    assert found.tool_choice == expected
    assert found.tools[0].strict is strict


@pytest.mark.parametrize(
    ("config", "kind", "schema"),
    [
        ({"responseMimeType": "application/json"}, FormatKind.JSON, None),
        (
            {"responseMimeType": "application/json", "responseSchema": {"type": "OBJECT"}},
            FormatKind.SCHEMA,
            {"type": "object"},
        ),
        ({"response_json_schema": {"type": "object"}}, FormatKind.SCHEMA, {"type": "object"}),
        ({"responseMimeType": "text/plain"}, None, None),
    ],
)
def test_response_formats(config: object, kind: FormatKind | None, schema: object) -> None:
    """JSON with a schema of either sort, or any JSON, or plain text."""
    found = neutral({**HELLO, "generationConfig": config}).response_format
    assert (found and found.kind) is kind
    if found is not None and schema is not None:
        assert decoded(found.schema) == schema


def test_an_enumeration_as_the_answer_has_no_counterpart() -> None:
    """A bare word as the answer is declared, not turned into JSON."""
    config = {"responseMimeType": "text/x.enum", "responseSchema": {"type": "STRING", "enum": ["a"]}}
    found = neutral({**HELLO, "generationConfig": config})
    assert found.response_format is None
    assert set(found.rest) == {"responseMimeType", "responseSchema"}


def test_what_has_no_place_is_kept() -> None:
    """Google's own settings and unknown members go to the rest under the names that documents use."""
    found = neutral(
        {
            **HELLO,
            "model": "models/x",
            "safety_settings": [],
            "cachedContent": "c",
            "labels": {"a": "b"},
            "generationConfig": {"responseModalities": ["TEXT", "IMAGE"], "speech_config": {}},
            "toolConfig": {"retrievalConfig": {}},
            "provider": {"order": []},
            "session_id": "s",
        }
    )
    assert set(found.rest) == {
        "safetySettings",
        "cachedContent",
        "labels",
        "responseModalities",
        "speechConfig",
        "retrievalConfig",
    }


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"contents": [{"role": "assistant", "parts": []}]}, "contents[0].role"),
        ({"generationConfig": {"temperature": "warm"}}, "generationConfig.temperature"),
        ({"generationConfig": {"stopSequences": [1]}}, "generationConfig.stopSequences[0]"),
        (
            {"generationConfig": {"thinkingConfig": {"thinkingLevel": "LOTS"}}},
            "generationConfig.thinkingConfig.thinkingLevel",
        ),
        (
            {"generationConfig": {"thinkingConfig": {"thinkingBudget": -2}}},
            "generationConfig.thinkingConfig.thinkingBudget",
        ),
        ({"tools": [{"functionDeclarations": [{}]}]}, "tools[0].functionDeclarations[0].name"),
        (
            {"tools": [{"functionDeclarations": [{"name": "f", "parameters": 1}]}]},
            "tools[0].functionDeclarations[0].parameters",
        ),
        ({"toolConfig": {"functionCallingConfig": {"mode": "SOME"}}}, "toolConfig.functionCallingConfig.mode"),
        ({"serviceTier": "slow"}, "serviceTier"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, object], param: str) -> None:
    """A Refusal has the place of the field."""
    with pytest.raises(Refusal) as caught:
        neutral({**HELLO, **changes})
    assert (caught.value.problem.status, caught.value.problem.param) == (400, param)


def nested(depth: int) -> bytes:
    """A request with a schema of this depth."""
    schema = b'{"items":' * depth + b"{}" + b"}" * depth
    return (
        b'{"contents":[{"parts":[{"text":"hi"}]}],"tools":[{"functionDeclarations":[{"name":"f","parameters":%b}]}]}'
        % schema
    )


def test_schemas_may_be_nested() -> None:
    """Deeper than anybody needs."""
    assert bytes(read(nested(200), "m", False).tools[0].parameters).count(b"items") == 200


@pytest.mark.parametrize("depth", [700, 950, 5000])
def test_endless_nesting_is_refused(depth: int) -> None:
    """A 400, not an accident."""
    with pytest.raises(Refusal):
        read(nested(depth), "m", False)
