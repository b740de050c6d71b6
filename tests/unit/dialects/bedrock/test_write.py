"""A neutral request, written as a body of Converse."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest

from tokenway.dialects.base import Upstream
from tokenway.dialects.bedrock.read import read
from tokenway.dialects.bedrock.write import write
from tokenway.model.catalog import Capabilities, Quirks
from tokenway.model.errors import Refusal
from tokenway.model.request import (
    FormatKind,
    Media,
    MediaKind,
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
    ToolResult,
)

CLAUDE = "us.anthropic.claude-sonnet-4-6"
USER = Message(Role.USER, (Text("hi"),))
SCHEMA = msgspec.Raw(
    b'{"type":"object","properties":{"a":{"type":"number","const":0.10}},"additionalProperties":false}'
)
TOOL = Tool("f", "does f", SCHEMA)
CALLED = (
    USER,
    Message(Role.ASSISTANT, (ToolCall("t", "f", "{}"),)),
    Message(Role.USER, (ToolResult("t", (Text("x"),)),)),
)


def written(
    model: str = CLAUDE,
    messages: tuple[Message, ...] = (USER,),
    upstream: Upstream | None = None,
    **fields: Any,
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The body of a request with these fields, without its messages, and what was dropped."""
    found = write(Request("asked", messages, **fields), upstream or Upstream(model))
    body = json.loads(found.body)
    assert body.pop("messages")
    return body, found.dropped


def test_a_plain_request() -> None:
    """Nothing is said that was not asked for; the model is in the path."""
    found = write(Request("asked", (Message(Role.SYSTEM, (Text("s"),)), USER), stream=True), Upstream(CLAUDE))
    assert json.loads(found.body) == {
        "messages": [{"role": "user", "content": [{"text": "hi"}]}],
        "system": [{"text": "s"}],
    }
    assert found.dropped == ()


def test_inference() -> None:
    """Limits have Converse's names."""
    fields: dict[str, Any] = {"max_tokens": 7, "top_p": 0.9, "stop": ("a", "b")}
    inference = {"maxTokens": 7, "topP": 0.9, "stopSequences": ["a", "b"]}
    assert written(**fields, top_k=5) == (
        {"inferenceConfig": inference, "additionalModelRequestFields": {"top_k": 5}},
        (),
    )
    body, dropped = written("meta.llama3-70b-instruct-v1:0", **fields, temperature=0.5)
    assert (body, dropped) == ({"inferenceConfig": inference | {"temperature": 0.5}}, ())


@pytest.mark.parametrize(
    ("model", "fields", "inference", "dropped"),
    [
        (CLAUDE, {"temperature": 1.5}, {"temperature": 1}, ("temperature",)),
        (CLAUDE, {"stop": ("\n", "a")}, {"stopSequences": ["a"]}, ("stop",)),
        ("amazon.nova-pro-v1:0", {"stop": ("\n", "a", "")}, {"stopSequences": ["\n", "a"]}, ("stop",)),
        (CLAUDE, {"thinking": Thinking(enabled=True), "temperature": 0.5}, None, ("temperature",)),
        (CLAUDE, {"thinking": Thinking(enabled=True), "temperature": 1}, None, ()),
        (CLAUDE, {"thinking": Thinking(enabled=True), "top_p": 0.5}, None, ("top_p",)),
        (CLAUDE, {"thinking": Thinking(enabled=True), "top_p": 0.95}, {"topP": 0.95}, ()),
        (CLAUDE, {"temperature": 0.5, "top_p": 0.5}, {"temperature": 0.5}, ("top_p",)),
        (CLAUDE, {"temperature": 0.5, "top_p": 1}, {"temperature": 0.5}, ()),
        ("anthropic.claude-opus-5", {"temperature": 0.5, "top_k": 5}, None, ("top_k", "temperature")),
        ("anthropic.claude-opus-5", {"temperature": 1, "top_p": 0.99}, None, ("top_p",)),
        ("anthropic.claude-v2:1", {"temperature": 0.5, "top_p": 0.5}, {"temperature": 0.5, "topP": 0.5}, ()),
    ],
)
def test_what_does_not_fit(
    model: str, fields: dict[str, Any], inference: dict[str, Any] | None, dropped: tuple[str, ...]
) -> None:
    """A value beyond the range, a stop that is only space for Claude, and settings that its reasoning forbids."""
    body, found = written(model, **fields)
    assert body.get("inferenceConfig") == inference
    assert found == dropped


def test_what_converse_never_has() -> None:
    """Each field that was given is declared once, and members of the caller's own."""
    fields: dict[str, Any] = {
        "min_p": 0.1,
        "frequency_penalty": 1.0,
        "presence_penalty": 1.0,
        "repetition_penalty": 1.1,
        "seed": 1,
        "logit_bias": msgspec.Raw(b'{"1":2}'),
        "logprobs": True,
        "top_logprobs": 2,
        "n": 2,
        "user": "u",
        "metadata": msgspec.Raw(b'{"a":"b"}'),
        "prompt_cache_key": "k",
        "verbosity": "low",
    }
    assert written(**fields, rest={"store": msgspec.Raw(b"true")}) == ({}, (*fields, "store"))
    idle: dict[str, Any] = {
        "frequency_penalty": 0,
        "presence_penalty": 0.0,
        "n": 1,
        "logprobs": False,
        "repetition_penalty": 1.0,
    }
    assert written(**idle) == ({}, ())


@pytest.mark.parametrize(
    ("tier", "body", "dropped"),
    [
        ("flex", {"serviceTier": {"type": "flex"}}, ()),
        ("auto", {}, ()),
        ("scale", {}, ("service_tier",)),
    ],
)
def test_the_service_tier(tier: str, body: dict[str, Any], dropped: tuple[str, ...]) -> None:
    """Tiers of the same name are asked for; `auto` is what happens anyway."""
    assert written(service_tier=tier) == (body, dropped)


def spec(name: str = "f", **more: Any) -> dict[str, Any]:
    """A tool as Bedrock has it."""
    schema = {"type": "object", "properties": {}}
    return {"toolSpec": {"name": name, "inputSchema": {"json": schema}, **more}}


def test_tools() -> None:
    """A schema passes as it is; a tool without one takes nothing; a breakpoint is a block."""
    found = write(Request("m", (USER,), tools=(TOOL, Tool("g", " ", strict=True, cache="5m"))), Upstream(CLAUDE))
    assert bytes(SCHEMA) in found.body
    assert json.loads(found.body)["toolConfig"] == {
        "tools": [
            {"toolSpec": {"name": "f", "inputSchema": {"json": json.loads(bytes(SCHEMA))}, "description": "does f"}},
            spec("g", strict=True),
            {"cachePoint": {"type": "default"}},
        ]
    }
    assert found.dropped == ()


@pytest.mark.parametrize(
    ("choice", "expected", "names"),
    [
        (ToolChoice(ToolMode.AUTO), {"auto": {}}, ["f", "g"]),
        (ToolChoice(ToolMode.REQUIRED), {"any": {}}, ["f", "g"]),
        (ToolChoice(ToolMode.NAMED, ("g",)), {"tool": {"name": "g"}}, ["f", "g"]),
        (ToolChoice(ToolMode.REQUIRED, ("g",)), {"any": {}}, ["g"]),
    ],
)
def test_choices_of_tools(choice: ToolChoice, expected: dict[str, Any], names: list[str]) -> None:
    """A choice among some leaves the others out."""
    body, dropped = written(tools=(Tool("f"), Tool("g")), tool_choice=choice)
    assert body["toolConfig"] == {"tools": [spec(name) for name in names], "toolChoice": expected}
    assert dropped == ()


def test_no_tools() -> None:
    """The choice `none` leaves the tools out; behind calls they must stay, and the choice is declared."""
    none = ToolChoice(ToolMode.NONE)
    assert written(tools=(Tool("f"),), tool_choice=none) == ({}, ())
    kept = ({"toolConfig": {"tools": [spec()]}}, ("tool_choice",))
    assert written(messages=CALLED, tools=(Tool("f"),), tool_choice=none) == kept


def test_calls_without_tools() -> None:
    """Turns with calls need tools: the names that were called stand for them."""
    assert written(messages=CALLED) == ({"toolConfig": {"tools": [spec()]}}, ())


def test_a_call_that_cannot_be_forced() -> None:
    """The tool is not there; a name that only stands for a call of before is not to be called."""
    free = Tool("c", hosted="file_search")
    for mode, names in ((ToolMode.REQUIRED, ()), (ToolMode.NAMED, ("c",))):
        choice = ToolChoice(mode, names)
        assert written(tools=(free,), tool_choice=choice) == ({}, ("tools.file_search", "tool_choice"))
        stands = {"toolConfig": {"tools": [spec()]}}
        assert written(messages=CALLED, tools=(free,), tool_choice=choice) == (
            stands,
            ("tools.file_search", "tool_choice"),
        )
    named = ToolChoice(ToolMode.NAMED, ("c",))
    body, dropped = written(tools=(Tool("f"), free), tool_choice=named)
    assert (body, dropped) == ({"toolConfig": {"tools": [spec()]}}, ("tools.file_search", "tool_choice"))


def test_tools_that_are_declared() -> None:
    """Tools of other kinds, the choice of one at a time, and strictness where it is not known."""
    tools = (Tool("f", strict=True), Tool("", hosted="web_search_20250305"))
    body, dropped = written("meta.llama3-1-8b-instruct-v1:0", tools=tools, parallel_tool_calls=False)
    assert body["toolConfig"]["tools"] == [spec()]
    assert dropped == ("strict", "tools.web_search_20250305", "parallel_tool_calls")
    assert written(tools=(Tool("f"),), parallel_tool_calls=True)[1] == ()


def test_a_tools_name_that_bedrock_does_not_take() -> None:
    """Its calls could not be told back to the caller under another name."""
    with pytest.raises(Refusal) as raised:
        written(tools=(Tool("server.tool"),))
    assert (raised.value.problem.status, raised.value.problem.param) == (400, "tools")


def test_a_schema_for_the_answer() -> None:
    """It is JSON in a text; where it cannot be said it is declared."""
    wanted = ResponseFormat(FormatKind.SCHEMA, "City", SCHEMA, "a city", strict=True)
    body, dropped = written(response_format=wanted)
    assert body["outputConfig"]["textFormat"] == {
        "type": "json_schema",
        "structure": {"jsonSchema": {"schema": bytes(SCHEMA).decode(), "name": "City", "description": "a city"}},
    }
    assert dropped == ()
    bounded = msgspec.Raw(b'{"type":"object","properties":{"a":{"type":"number","minimum":1}}}')
    body, dropped = written(response_format=ResponseFormat(FormatKind.SCHEMA, schema=bounded))
    assert json.loads(body["outputConfig"]["textFormat"]["structure"]["jsonSchema"]["schema"]) == {
        "type": "object",
        "properties": {"a": {"type": "number", "description": "{minimum: 1}"}},
        "additionalProperties": False,
    }
    assert dropped == ("minimum",)
    old = Upstream(CLAUDE, quirks=Quirks(json_schema=False))
    assert written(response_format=wanted, upstream=old) == ({}, ("response_format",))
    assert written(response_format=ResponseFormat(FormatKind.JSON)) == ({}, ("response_format",))
    anything = ResponseFormat(FormatKind.SCHEMA, schema=msgspec.Raw(b'{"type":"object"}'))
    assert written(response_format=anything) == ({}, ("response_format",))
    assert written(response_format=ResponseFormat(FormatKind.TEXT)) == ({}, ())


def test_reasoning() -> None:
    """It goes where the model looks for it; its budget is a share of the answer's limit, or of the endpoint's."""
    old = "anthropic.claude-3-7-sonnet-20250219-v1:0"
    assert written(old, thinking=Thinking(effort="medium"), max_tokens=4000)[0]["additionalModelRequestFields"] == {
        "thinking": {"type": "enabled", "budget_tokens": 2000}
    }
    upstream = Upstream(old, Capabilities(max_output=20000))
    assert written(upstream=upstream, thinking=Thinking(effort="low"))[0]["additionalModelRequestFields"] == {
        "thinking": {"type": "enabled", "budget_tokens": 4000}
    }
    assert written(old, messages=CALLED, thinking=Thinking(budget=2000))[1] == ("thinking",)
    assert written("us.deepseek.r1-v1:0", thinking=Thinking(effort="high"))[1] == ("effort",)


def test_the_request_is_not_changed() -> None:
    """A retry writes it again, for another model, from the same record."""
    request = Request("asked", CALLED, tools=(TOOL,), max_tokens=9)
    one = write(request, Upstream(CLAUDE))
    write(request, Upstream("amazon.nova-pro-v1:0"))
    assert write(request, Upstream(CLAUDE)) == one
    assert request.model == "asked"


FULL = Request(
    "m",
    (
        Message(Role.SYSTEM, (Text("s", "5m"),)),
        Message(
            Role.USER,
            (
                Text("look"),
                Media(MediaKind.IMAGE, "image/png", "iVBORw0KGgo="),
                Media(MediaKind.DOCUMENT, "application/pdf", "JVBE", title="report"),
            ),
        ),
        *CALLED[1:],
    ),
    tools=(TOOL,),
    tool_choice=ToolChoice(ToolMode.AUTO),
    max_tokens=100,
    temperature=0.5,
    stop=("END",),
    response_format=ResponseFormat(FormatKind.SCHEMA, "City", SCHEMA),
    service_tier="flex",
    top_k=3,
)


def test_what_is_written_is_read_again() -> None:
    """A caller of Bedrock who sent this body would mean the same request."""
    again = read(write(FULL, Upstream(CLAUDE)).body, "m", stream=False)
    placed = [
        msgspec.structs.replace(part, place="") if isinstance(part, Media) else part for part in again.messages[1].parts
    ]
    assert tuple(placed) == FULL.messages[1].parts
    result = msgspec.structs.replace(FULL.messages[3].parts[0], name="f")
    assert again.messages[0] == FULL.messages[0]
    assert again.messages[2] == FULL.messages[2]
    assert again.messages[3].parts == (result,)
    for name in ("tool_choice", "max_tokens", "temperature", "stop", "service_tier", "top_k", "response_format"):
        assert getattr(again, name) == getattr(FULL, name), name
    assert [tool.name for tool in again.tools] == ["f"]


def decoded(value: Any, shape: Any) -> Any:
    """JSON as the SDK's own objects: blobs are bytes there."""
    if shape.type_name == "structure" and not shape.is_document_type:
        return {name: decoded(member, shape.members[name]) for name, member in value.items()}
    if shape.type_name == "list":
        return [decoded(member, shape.member) for member in value]
    return base64.b64decode(value) if shape.type_name == "blob" else value


def test_amazons_sdk_would_send_our_bodies() -> None:
    """The SDK's own validation has nothing against them, and no member is unknown to its model."""
    validate = pytest.importorskip("botocore.validate")
    session = pytest.importorskip("botocore.session")
    shape = session.get_session().get_service_model("bedrock-runtime").operation_model("Converse").input_shape
    body = decoded(json.loads(write(FULL, Upstream(CLAUDE)).body), shape)
    report = validate.ParamValidator().validate({**body, "modelId": CLAUDE}, shape)
    assert report.generate_report() == ""
