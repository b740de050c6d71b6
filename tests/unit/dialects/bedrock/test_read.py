"""A caller's request for Converse, read into the neutral form."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from tokenway.dialects.bedrock.read import read
from tokenway.dialects.seal import ANTHROPIC, GEMINI, OPENAI
from tokenway.model.errors import Problem, Refusal
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

USER = {"role": "user", "content": [{"text": "hi"}]}
BLOCK = "messages[0].content[0].{}"


def request(**members: Any) -> Request:
    """The neutral request of a body with these members."""
    return read(json.dumps({"messages": [USER], **members}).encode(), "m", stream=False)


def parts(*blocks: dict[str, Any], role: str = "user") -> tuple[object, ...]:
    """The parts of one turn."""
    return request(messages=[{"role": role, "content": list(blocks)}]).messages[0].parts


def rest(found: Request) -> dict[str, Any]:
    """What had no neutral place, decoded."""
    return {name: msgspec.json.decode(raw) for name, raw in found.rest.items()}


def refused(body: dict[str, Any]) -> Problem:
    """The problem that reading this body ends in."""
    with pytest.raises(Refusal) as raised:
        read(json.dumps(body).encode(), "m", stream=False)
    assert raised.value.problem.status == 400
    return raised.value.problem


def test_a_plain_request() -> None:
    """The system comes first, model and stream are the path's; null and empty members say nothing."""
    body = {"messages": [USER], "system": [{"text": "be brief"}], "inferenceConfig": {}, "toolConfig": None}
    messages = (Message(Role.SYSTEM, (Text("be brief"),)), Message(Role.USER, (Text("hi"),)))
    found = read(json.dumps(body).encode(), "a:0", stream=True)
    assert found == Request("a:0", messages, stream=True, words="amazon-bedrock")
    assert request(system=[]).messages == (Message(Role.USER, (Text("hi"),)),)


def test_what_is_asked_for() -> None:
    """Limits, tools, a schema and the tier have neutral fields."""
    found = request(
        inferenceConfig={"maxTokens": 7, "temperature": 0.5, "topP": 1, "stopSequences": ["a", "b"]},
        toolConfig={
            "tools": [
                {
                    "toolSpec": {
                        "name": "f",
                        "description": "d",
                        "inputSchema": {"json": {"type": "object"}},
                        "strict": True,
                    }
                },
                {"cachePoint": {"type": "default", "ttl": "1h"}},
                {"toolSpec": {"name": "g", "inputSchema": {"json": {}}}},
                {"systemTool": {"name": "nova_grounding"}},
            ],
            "toolChoice": {"tool": {"name": "f"}},
        },
        outputConfig={
            "textFormat": {
                "type": "json_schema",
                "structure": {"jsonSchema": {"schema": '{ "type": "object"}', "name": "City", "description": "d"}},
            },
            "effort": "high",
        },
        serviceTier={"type": "flex"},
    )
    assert (found.max_tokens, found.temperature, found.top_p, found.stop) == (7, 0.5, 1, ("a", "b"))
    assert found.tools == (
        Tool("f", "d", msgspec.Raw(b'{"type":"object"}'), strict=True, cache="1h"),
        Tool("g", parameters=msgspec.Raw(b"{}")),
        Tool("", hosted="systemTool", raw=msgspec.Raw(b'{"systemTool":{"name":"nova_grounding"}}')),
    )
    assert found.tool_choice == ToolChoice(ToolMode.NAMED, ("f",))
    assert found.response_format == ResponseFormat(FormatKind.SCHEMA, "City", msgspec.Raw(b'{ "type": "object"}'), "d")
    assert found.thinking == Thinking(effort="high")
    assert found.service_tier == "flex"
    assert found.rest == {}


@pytest.mark.parametrize(
    ("choice", "expected"),
    [({"auto": {}}, ToolChoice(ToolMode.AUTO)), ({"any": {}}, ToolChoice(ToolMode.REQUIRED))],
)
def test_choices_of_tools(choice: dict[str, Any], expected: ToolChoice) -> None:
    """There are three."""
    tools = [{"toolSpec": {"name": "f", "inputSchema": {"json": {}}}}]
    assert request(toolConfig={"tools": tools, "toolChoice": choice}).tool_choice == expected


def test_the_vendors_own_fields() -> None:
    """Reasoning and `top_k` are neutral, with an effort said elsewhere; the rest is kept by its name."""
    found = request(
        outputConfig={"effort": "low"},
        additionalModelRequestFields={"thinking": {"type": "adaptive"}, "top_k": 5, "anthropic_beta": ["x"]},
    )
    assert found.thinking == Thinking(effort="low", enabled=True)
    assert found.top_k == 5
    assert rest(found) == {"additionalModelRequestFields": {"anthropic_beta": ["x"]}}


def test_what_has_no_neutral_place_is_kept() -> None:
    """Members that only Bedrock knows stay under its names; the gateway's own do not."""
    found = request(
        guardrailConfig={"guardrailIdentifier": "g"},
        requestMetadata={"team": "blue"},
        performanceConfig={"latency": "optimized"},
        inferenceConfig={"new": 1},
        outputConfig={"other": 2},
        provider={"order": ["a"]},
        models=["b"],
        session_id="s",
    )
    assert rest(found) == {
        "guardrailConfig": {"guardrailIdentifier": "g"},
        "requestMetadata": {"team": "blue"},
        "performanceConfig": {"latency": "optimized"},
        "inferenceConfig.new": 1,
        "outputConfig.other": 2,
    }


MEDIA = [
    (
        {"image": {"format": "png", "source": {"bytes": "iVBO"}}},
        Media(MediaKind.IMAGE, "image/png", "iVBO", place=BLOCK.format("image")),
    ),
    (
        {"image": {"format": "jpeg", "source": {"s3Location": {"uri": "s3://b/k.jpg"}}}},
        Media(MediaKind.IMAGE, "image/jpeg", url="s3://b/k.jpg", place=BLOCK.format("image")),
    ),
    (
        {"document": {"format": "pdf", "name": "report", "source": {"bytes": "JVBE"}}},
        Media(MediaKind.DOCUMENT, "application/pdf", "JVBE", title="report", place=BLOCK.format("document")),
    ),
    (
        {"document": {"name": "d", "source": {"text": "hello"}}},
        Media(MediaKind.DOCUMENT, "text/plain", text="hello", title="d", place=BLOCK.format("document")),
    ),
    (
        {"document": {"name": "d", "format": "md", "source": {"content": [{"text": "a"}, {"text": "b"}]}}},
        Media(MediaKind.DOCUMENT, "text/markdown", text="a\n\nb", title="d", place=BLOCK.format("document")),
    ),
    (
        {"video": {"format": "mp4", "source": {"bytes": "AAAA"}}},
        Media(MediaKind.VIDEO, "video/mp4", "AAAA", place=BLOCK.format("video")),
    ),
    (
        {"audio": {"format": "mp3", "source": {"bytes": "AAAA"}}},
        Media(MediaKind.AUDIO, "audio/mpeg", "AAAA", place=BLOCK.format("audio")),
    ),
]


@pytest.mark.parametrize(("block", "media"), MEDIA)
def test_media(block: dict[str, Any], media: Media) -> None:
    """Formats become media types, and each piece knows its place."""
    assert parts(block) == (media,)


def test_what_a_document_says_besides() -> None:
    """Context, citations and the owner of a bucket have no neutral place."""
    source = {"s3Location": {"uri": "s3://b/k", "bucketOwner": "123456789012"}}
    block = {"document": {"name": "d", "source": source, "context": "c", "citations": {"enabled": True}}}
    assert rest(request(messages=[{"role": "user", "content": [block]}])) == {
        "document.context": "c",
        "document.citations": {"enabled": True},
        "s3Location.bucketOwner": "123456789012",
    }


def test_a_tools_call_and_its_result() -> None:
    """A result has the name of its tool; JSON and search results become text."""
    call = {"toolUse": {"toolUseId": "t1", "name": "f", "input": {"a": "é"}}}
    result = {
        "toolUseId": "t1",
        "content": [{"text": "x"}, {"json": {"b": 1}}, {"image": {"format": "png", "source": {"bytes": "iVBO"}}}],
        "status": "error",
    }
    found = request(
        messages=[USER, {"role": "assistant", "content": [call]}, {"role": "user", "content": [{"toolResult": result}]}]
    )
    assert found.messages[1].parts == (ToolCall("t1", "f", '{"a":"é"}'),)
    image = Media(MediaKind.IMAGE, "image/png", "iVBO", place="messages[2].content[0].toolResult.content[2].image")
    assert found.messages[2].parts == (ToolResult("t1", (Text("x"), Text('{"b":1}'), image), "f", is_error=True),)


def test_amazons_own_tools() -> None:
    """Calls that Amazon answered itself are its own, and so are their results."""
    call = {"toolUse": {"toolUseId": "t1", "name": "nova_grounding", "input": {}, "type": "server_tool_use"}}
    result = {"toolResult": {"toolUseId": "t1", "content": [{"text": "x"}]}}
    found = request(messages=[USER, {"role": "assistant", "content": [call, result, {"newBlock": {}}]}])
    assert [part.name for part in found.messages[1].parts if isinstance(part, Foreign)] == [
        "server_tool_use",
        "toolResult",
        "newBlock",
    ]


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (
            {"reasoningText": {"text": "hm", "signature": "c2ln"}},
            Reasoning("hm", "c2ln", format=ANTHROPIC),
        ),
        ({"reasoningText": {"text": "hm"}}, Reasoning("hm", format=ANTHROPIC)),
        ({"redactedContent": "RXVRRg=="}, Reasoning(sealed="EuQF", format=ANTHROPIC)),
        (
            {"reasoningText": {"text": "hm", "signature": "tw1.openai-responses-v1.gAAA"}},
            Reasoning("hm", sealed="gAAA", format=OPENAI),
        ),
        (
            {"reasoningText": {"text": "hm", "signature": "tw1.google-gemini-v1.Q2c="}},
            Reasoning("hm", "Q2c=", format=GEMINI),
        ),
        ({"redactedContent": "dHcxLm9wZW5haS1yZXNwb25zZXMtdjEuZ0FBQg=="}, Reasoning(sealed="gAAB", format=OPENAI)),
    ],
)
def test_reasoning(block: dict[str, Any], expected: Reasoning) -> None:
    """A signature is Claude's, or another vendor's that the gateway had put there."""
    assert parts({"reasoningContent": block}, role="assistant") == (expected,)


def test_a_calls_signature_goes_back_to_it() -> None:
    """Gemini's signature came as a block behind the call, and is the call's again."""
    call = {"toolUse": {"toolUseId": "c1", "name": "f", "input": {}}}
    sealed = {"reasoningContent": {"redactedContent": "dHcxLmdvb2dsZS1nZW1pbmktdjFAYzEuYzJsbg=="}}
    assert parts(call, sealed, {"text": "a"}, role="assistant") == (
        ToolCall("c1", "f", "{}", signature="c2ln", format=GEMINI),
        Text("a"),
    )


def test_cache_points_stand_at_the_part_before() -> None:
    """The first has nothing before it, and is declared; one behind reasoning stands at what came before that."""
    point = {"cachePoint": {"type": "default"}}
    hour = {"cachePoint": {"type": "default", "ttl": "1h"}}
    thought = {"reasoningContent": {"reasoningText": {"text": "hm"}}}
    assert parts({"text": "a"}, point, {"text": "b"}, thought, hour, role="assistant") == (
        Text("a", "5m"),
        Text("b", "1h"),
        Reasoning("hm", format=ANTHROPIC),
    )
    assert rest(request(system=[point, {"text": "a"}])) == {"cachePoint": {"type": "default"}}


def test_what_guardrails_and_citations_wrap() -> None:
    """The text in a mark is kept, and the mark is declared."""
    guarded = {"guardContent": {"text": {"text": "check me", "qualifiers": ["query"]}}}
    cited = {"citationsContent": {"content": [{"text": "so "}, {"text": "it is"}], "citations": []}}
    found = request(messages=[{"role": "user", "content": [guarded, cited]}])
    assert found.messages[0].parts == (Text("check me"), Text("so it is"))
    assert set(found.rest) == {"guardContent", "citationsContent"}
    image = {"guardContent": {"image": {"format": "png", "source": {"bytes": "iVBO"}}}}
    assert isinstance(parts(image)[0], Media)


def test_what_is_not_known_of_a_block_is_kept_by_its_name() -> None:
    """In each of them; what asks for nothing is not."""
    image = {"format": "png", "source": {"s3Location": {"uri": "s3://b/k", "x": 1}}, "error": {"message": "m"}}
    point = {"type": "default", "x": 1}
    call = {"toolUseId": "t", "name": "f", "input": {}, "x": 1}
    thought = {"reasoningText": {"text": "hm", "x": 1}}
    found = request(
        messages=[
            {"role": "user", "content": [{"image": image}, {"cachePoint": point}], "x": 1},
            {"role": "assistant", "content": [{"reasoningContent": thought}, {"toolUse": call}]},
            {"role": "user", "content": [{"toolResult": {"toolUseId": "t", "content": [], "type": "x"}}]},
        ],
        toolConfig={
            "tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {}}, "x": 1, "y": False}}],
            "toolChoice": {"any": {"x": 1}},
            "x": 1,
        },
        serviceTier={"type": "flex", "x": 1},
        outputConfig={
            "textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": "{}"}}, "x": 1},
        },
        additionalModelRequestFields={"thinking": {"type": "adaptive", "x": 1}},
    )
    places = (
        "messages image.error s3Location cachePoint toolUse reasoningText toolResult.type toolSpec toolChoice.any "
        "toolConfig serviceTier textFormat"
    )
    expected = {name if name.endswith(("error", "type")) else f"{name}.x" for name in places.split()}
    assert set(found.rest) == {*expected, "additionalModelRequestFields"}


def test_a_search_result_is_its_text() -> None:
    """Title, source and what it says; whether it is to be cited is declared."""
    found = {"title": "t", "source": "s", "content": [{"text": "a"}, {"text": "b"}], "citations": {"enabled": True}}
    read = request(messages=[{"role": "user", "content": [{"searchResult": found}]}])
    assert read.messages[0].parts == (Text("t\ns\na\nb"),)
    assert set(read.rest) == {"searchResult.citations"}


def test_a_cache_point_before_all_tools_is_kept() -> None:
    """There is nothing to keep in a cache."""
    found = request(toolConfig={"tools": [{"cachePoint": {"type": "default"}}]})
    assert set(found.rest) == {"cachePoint"}


def turn(*blocks: dict[str, Any], role: str = "user") -> dict[str, Any]:
    """A body with one turn."""
    return {"messages": [{"role": role, "content": list(blocks)}]}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "messages"),
        ({"messages": {}}, "messages"),
        ({"messages": [{"role": "tool", "content": []}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": "hi"}]}, "messages[0].content"),
        (turn({"text": "a", "image": {}}), "messages[0].content[0]"),
        (turn({}), "messages[0].content[0]"),
        (turn({"text": 1}), "messages[0].content[0].text"),
        (turn({"image": {"format": "png", "source": {"bytes": "%"}}}), BLOCK.format("image.source.bytes")),
        (turn({"image": {"format": "png"}}), "messages[0].content[0].image.source"),
        (turn({"image": {"source": {"x": 1}}}), BLOCK.format("image.source.x")),
        (
            turn({"toolUse": {"toolUseId": "t", "name": "f", "input": "x"}}, role="assistant"),
            "messages[0].content[0].toolUse.input",
        ),
        (turn({"toolUse": {"toolUseId": "t", "name": "f", "input": {}}}), "messages[0].content[0].toolUse"),
        (turn({"toolUse": {"toolUseId": "t", "name": "f", "input": {}}}, role="system"), BLOCK.format("toolUse")),
        (turn({"toolResult": {"toolUseId": "t", "content": []}}, role="assistant"), BLOCK.format("toolResult")),
        (turn({"toolResult": {"toolUseId": "t", "content": []}}), "messages[0].content[0].toolResult.toolUseId"),
        (turn({"reasoningContent": {"x": 1}}, role="assistant"), "messages[0].content[0].reasoningContent"),
        (
            turn({"reasoningContent": {"redactedContent": "%"}}, role="assistant"),
            "messages[0].content[0].reasoningContent.redactedContent",
        ),
        ({"messages": [USER], "inferenceConfig": {"maxTokens": 0}}, "inferenceConfig.maxTokens"),
        ({"messages": [USER], "inferenceConfig": {"temperature": "1"}}, "inferenceConfig.temperature"),
        ({"messages": [USER], "toolConfig": {}}, "toolConfig.tools"),
        ({"messages": [USER], "toolConfig": {"tools": [], "toolChoice": {"none": {}}}}, "toolConfig.toolChoice"),
        (
            {"messages": [USER], "toolConfig": {"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": []}}}]}},
            "toolConfig.tools[0].toolSpec.inputSchema.json",
        ),
        (
            {
                "messages": [USER],
                "outputConfig": {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": "{"}}}},
            },
            "outputConfig.textFormat.structure.jsonSchema.schema",
        ),
    ],
)
def test_what_is_wrong_is_refused_at_its_place(body: dict[str, Any], param: str) -> None:
    """Roles, types, base64, unions of two and results without a call are told with the way to them."""
    assert refused(body).param == param


def test_a_result_of_something_unknown() -> None:
    """A result holds text, JSON and media only."""
    call = {"toolUse": {"toolUseId": "t", "name": "f", "input": {}}}
    result = {"toolResult": {"toolUseId": "t", "content": [{"cachePoint": {}}]}}
    messages = [*turn(call, role="assistant")["messages"], *turn(result)["messages"]]
    problem = refused({"messages": messages})
    assert problem.param == "messages[1].content[0].toolResult.content[0].cachePoint"
