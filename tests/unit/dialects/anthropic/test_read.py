"""Anthropic's requests in the neutral form."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from tokenway.dialects.anthropic.read import read
from tokenway.dialects.seal import ANTHROPIC, GEMINI, OPENAI
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

HI = [{"role": "user", "content": "hi"}]
CALL = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}}


def request(**members: Any) -> Request:
    """A request with these members."""
    body = {"model": "m", "max_tokens": 10, "messages": HI, **members}
    return read(json.dumps(body).encode(), "m", False)


def parts(*blocks: dict[str, Any], role: str = "user") -> tuple[Any, ...]:
    """What these blocks of a message are."""
    return request(messages=[{"role": role, "content": list(blocks)}]).messages[0].parts


def raw(value: object) -> msgspec.Raw:
    """Compact JSON."""
    return msgspec.Raw(msgspec.json.encode(value))


def test_roles_and_texts() -> None:
    """The system comes first; a system message in the conversation stays where it stands."""
    found = request(
        system="be good",
        messages=[
            *HI,
            {"role": "assistant", "content": [{"type": "text", "text": "yo"}]},
            {"role": "system", "content": "now"},
        ],
    )
    assert found.messages == (
        Message(Role.SYSTEM, (Text("be good"),)),
        Message(Role.USER, (Text("hi"),)),
        Message(Role.ASSISTANT, (Text("yo"),)),
        Message(Role.SYSTEM, (Text("now"),)),
    )


def test_breakpoints_of_the_cache() -> None:
    """Five minutes unless it says an hour, on any block and tool."""
    short, long = {"type": "ephemeral"}, {"type": "ephemeral", "ttl": "1h"}
    found = request(
        system=[{"type": "text", "text": "a", "cache_control": long}, {"type": "text", "text": "b"}],
        messages=[{"role": "assistant", "content": [{**CALL, "cache_control": short}]}],
        tools=[{"name": "f", "input_schema": {}, "cache_control": short}],
    )
    assert found.messages[0].parts == (Text("a", "1h"), Text("b"))
    assert found.messages[1].parts == (ToolCall("toolu_1", "f", '{"a":1}', cache="5m"),)
    assert found.tools[0].cache == "5m"


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QUJD"}},
            Media(MediaKind.IMAGE, "image/png", data="QUJD", place="messages[0].content[0]"),
        ),
        (
            {"type": "image", "source": {"type": "url", "url": "https://a/i.png"}},
            Media(MediaKind.IMAGE, url="https://a/i.png", place="messages[0].content[0]"),
        ),
        (
            {"type": "document", "source": {"type": "url", "url": "https://a/pdf/1"}},
            Media(MediaKind.DOCUMENT, "application/pdf", url="https://a/pdf/1", place="messages[0].content[0]"),
        ),
        (
            {"type": "document", "title": "T", "source": {"type": "file", "file_id": "file_1"}},
            Media(MediaKind.DOCUMENT, file_id="file_1", title="T", place="messages[0].content[0]"),
        ),
        (
            {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "QUJD"}},
            Media(MediaKind.DOCUMENT, "application/pdf", data="QUJD", place="messages[0].content[0]"),
        ),
        (
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words"}},
            Media(MediaKind.DOCUMENT, "text/plain", text="words", place="messages[0].content[0]"),
        ),
        (
            {"type": "document", "source": {"type": "content", "content": "words"}},
            Media(MediaKind.DOCUMENT, "text/plain", text="words", place="messages[0].content[0]"),
        ),
        (
            {
                "type": "search_result",
                "title": "T",
                "source": "https://a",
                "content": [{"type": "text", "text": "found"}],
            },
            Text("T\nhttps://a\nfound"),
        ),
        (
            {"type": "container_upload", "file_id": "x"},
            Foreign("container_upload", raw({"type": "container_upload", "file_id": "x"}), ANTHROPIC),
        ),
    ],
)
def test_blocks(block: dict[str, Any], expected: object) -> None:
    """Each kind of media and source; what only Anthropic has is kept whole."""
    assert parts(block) == (expected,)


def test_a_document_of_blocks_is_its_text_and_its_images() -> None:
    """Nobody else has documents with images inside."""
    image = {"type": "image", "source": {"type": "url", "url": "https://a/i.png"}}
    source = {"type": "content", "content": [{"type": "text", "text": "a"}, image, {"type": "text", "text": "b"}]}
    first, second = parts({"type": "document", "source": source})
    assert (first.text, second.url) == ("a\nb", "https://a/i.png")


def test_calls_and_results() -> None:
    """A result knows the name of its tool; its content is text or blocks."""
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QUJD"}}
    results = [
        {"type": "tool_result", "tool_use_id": "toolu_1", "content": "4", "is_error": True},
        {"type": "tool_result", "tool_use_id": "toolu_2", "content": [{"type": "text", "text": "5"}, image]},
        {"type": "tool_result", "tool_use_id": "toolu_2"},
    ]
    found = request(
        messages=[
            {"role": "assistant", "content": [CALL, {**CALL, "id": "toolu_2", "name": "g", "input": {}}]},
            {"role": "user", "content": results},
        ]
    )
    place = "messages[1].content[1].content[1]"
    assert found.messages[0].parts == (ToolCall("toolu_1", "f", '{"a":1}'), ToolCall("toolu_2", "g", "{}"))
    assert found.messages[1].parts == (
        ToolResult("toolu_1", (Text("4"),), "f", is_error=True),
        ToolResult("toolu_2", (Text("5"), Media(MediaKind.IMAGE, "image/png", data="QUJD", place=place)), "g"),
        ToolResult("toolu_2", (), "g"),
    )


def test_thoughts_tell_whose_they_are() -> None:
    """A seal of another vendor's comes back to it, also onto the call that it belongs to."""
    found = parts(
        {"type": "thinking", "thinking": "a", "signature": "c2ln"},
        {"type": "thinking", "thinking": "b", "signature": "tw1.google-gemini-v1.sig"},
        {"type": "thinking", "thinking": "c", "signature": "tw1.openai-responses-v1.enc"},
        {"type": "thinking", "thinking": "d", "signature": ""},
        {"type": "redacted_thinking", "data": "opaque"},
        {"type": "redacted_thinking", "data": "tw1.openai-responses-v1.enc"},
        CALL,
        {"type": "redacted_thinking", "data": "tw1.google-gemini-v1@toolu_1.sig"},
        {"type": "redacted_thinking", "data": "tw1.google-gemini-v1@lost.sig"},
        role="assistant",
    )
    assert found == (
        Reasoning("a", "c2ln", format=ANTHROPIC),
        Reasoning("b", "sig", format=GEMINI),
        Reasoning("c", sealed="enc", format=OPENAI, summary=True),
        Reasoning("d"),
        Reasoning(sealed="opaque", format=ANTHROPIC),
        Reasoning(sealed="enc", format=OPENAI),
        ToolCall("toolu_1", "f", '{"a":1}', signature="sig", format=GEMINI),
        Reasoning(sealed="sig", format=GEMINI),
    )


def test_tools() -> None:
    """Functions, and Anthropic's own tools as they are."""
    hosted = {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}
    schema = {"type": "object", "properties": {"b": {}, "a": {}}}
    found = request(
        tools=[
            {"name": "f", "description": "d", "input_schema": schema, "strict": True},
            {"type": "custom", "name": "g", "input_schema": {}},
            hosted,
        ]
    )
    assert found.tools == (
        Tool("f", "d", raw(schema), strict=True),
        Tool("g", parameters=raw({})),
        Tool("web_search", hosted="web_search_20250305", raw=raw(hosted)),
    )


@pytest.mark.parametrize(
    ("given", "choice", "parallel"),
    [
        ({"type": "auto"}, ToolChoice(ToolMode.AUTO), None),
        ({"type": "any", "disable_parallel_tool_use": True}, ToolChoice(ToolMode.REQUIRED), False),
        ({"type": "tool", "name": "f", "disable_parallel_tool_use": False}, ToolChoice(ToolMode.NAMED, ("f",)), True),
        ({"type": "none"}, ToolChoice(ToolMode.NONE), None),
    ],
)
def test_tool_choice(given: dict[str, Any], choice: ToolChoice, parallel: bool | None) -> None:
    """Which tools, and whether several at once."""
    found = request(tool_choice=given)
    assert (found.tool_choice, found.parallel_tool_calls) == (choice, parallel)


def test_sampling_and_the_rest() -> None:
    """Numbers, stops, the user; a tier in the words that others have."""
    found = request(
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        stop_sequences=["a", "b"],
        service_tier="standard_only",
        metadata={"user_id": "u", "team": "blue"},
        output_config={"effort": "low", "format": {"type": "json_schema", "schema": {"type": "object"}}},
    )
    assert (found.temperature, found.top_p, found.top_k, found.stop) == (0.5, 0.9, 40, ("a", "b"))
    assert (found.service_tier, found.user, found.metadata) == ("default", "u", raw({"team": "blue"}))
    assert found.response_format == ResponseFormat(FormatKind.SCHEMA, "output", raw({"type": "object"}), strict=True)
    assert found.thinking == Thinking(effort="low")
    assert not found.rest


def test_what_has_no_neutral_place_is_kept_by_its_name() -> None:
    """At the top, in blocks, in tools and in the output's configuration: whoever writes it declares it."""
    found = request(
        messages=[
            {"role": "assistant", "content": [CALL]},
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "tool_hint", "x": 1}]},
                    {
                        "type": "document",
                        "context": "c",
                        "citations": {"enabled": True},
                        "source": {"type": "url", "url": "https://a"},
                    },
                ],
            },
        ],
        tools=[{"name": "f", "input_schema": {}, "defer_loading": True, "eager_input_streaming": False}],
        output_config={"task_budget": {"total": 1}},
        container="c1",
        provider={"only": ["x"]},
        field_of_tomorrow=1,
    )
    assert set(found.rest) == {
        "tool_hint",
        "context",
        "citations",
        "defer_loading",
        "task_budget",
        "container",
        "field_of_tomorrow",
    }


def test_a_tool_that_was_found_is_its_name() -> None:
    """Elsewhere nothing has to be loaded, so the result of a search for tools says which they are."""
    content = [{"type": "tool_reference", "tool_name": name, "of_reference": 1} for name in ("WebSearch", "TaskCreate")]
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": content}
    found = request(messages=[{"role": "assistant", "content": [CALL]}, {"role": "user", "content": [result]}])
    (part,) = found.messages[1].parts
    assert isinstance(part, ToolResult)
    assert part.content == (Text("WebSearch"), Text("TaskCreate"))
    assert set(found.rest) == {"of_reference"}


def test_what_is_not_known_of_a_block_is_kept_by_its_name() -> None:
    """In each of them, also inside of others; what asks for nothing is not."""
    text = {"type": "text", "text": "a", "of_text": 1, "cache_control": {"type": "ephemeral", "of_cache": 1}}
    search = {
        "type": "search_result",
        "title": "t",
        "source": "s",
        "content": [{**text, "of_found": 1}],
        "of_search": 1,
    }
    image = {"type": "image", "source": {"type": "url", "url": "https://a", "of_source": 1}, "of_image": 1}
    called = [
        {**CALL, "caller": {"type": "direct"}, "of_call": 1},
        {"type": "thinking", "thinking": "hm", "signature": "s", "of_thought": 1},
        {"type": "redacted_thinking", "data": "x", "of_seal": 1},
    ]
    found = request(
        messages=[
            {"role": "user", "content": [text, search, image], "of_message": 1},
            {"role": "assistant", "content": called},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "of_result": 1}]},
        ],
        tools=[{"name": "f", "input_schema": {}, "of_tool": 1, "type": "custom"}],
        tool_choice={"type": "auto", "of_choice": 1},
        thinking={"type": "adaptive", "display": "updates", "of_thinking": 1},
        output_config={"format": {"type": "json_schema", "schema": {}, "of_format": 1}},
    )
    places = "text cache found search source image call thought seal message result tool choice thinking format"
    assert set(found.rest) == {"cache_control", "thinking.display", *(f"of_{place}" for place in places.split())}


def test_a_document_of_blocks_without_text_is_its_images() -> None:
    """With the document's breakpoint behind the last; its title, and breakpoints amid text, are kept to be declared."""
    image = {"type": "image", "source": {"type": "url", "url": "https://a"}}
    cache = {"type": "ephemeral"}
    document = {
        "type": "document",
        "title": "t",
        "source": {"type": "content", "content": [image]},
        "cache_control": cache,
    }
    found = request(messages=[{"role": "user", "content": [document]}])
    (medium,) = found.messages[0].parts
    assert isinstance(medium, Media)
    assert (medium.kind, medium.url, medium.cache) == (MediaKind.IMAGE, "https://a", "5m")
    assert set(found.rest) == {"title"}
    text = {"type": "text", "text": "a", "cache_control": cache}
    found = request(
        messages=[{"role": "user", "content": [{**document, "source": {"type": "content", "content": [text]}}]}]
    )
    assert set(found.rest) == {"cache_control"}


def test_a_system_message_may_only_change_how_turns_are_made() -> None:
    """It is no message for others, and what it changes is declared."""
    change = {"role": "system", "output_config": {"effort": "low"}}
    found = request(messages=[{"role": "user", "content": "a"}, change])
    assert [message.role for message in found.messages] == [Role.USER]
    assert set(found.rest) == {"output_config"}


def test_what_is_null_or_off_asks_for_nothing() -> None:
    """It is as if it were not there."""
    found = request(
        system=None,
        thinking=None,
        tool_choice=None,
        tools=None,
        stop_sequences=None,
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "a", "cache_control": None, "citations": []},
                    {
                        "type": "document",
                        "citations": {"enabled": False},
                        "source": {"type": "url", "url": "https://a"},
                    },
                ],
            }
        ],
    )
    assert found == request(
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "a"},
                    {"type": "document", "source": {"type": "url", "url": "https://a"}},
                ],
            }
        ]
    )


def user(*blocks: object) -> dict[str, Any]:
    """Members of a request with one message of these blocks."""
    return {"messages": [{"role": "user", "content": list(blocks)}]}


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content"),
        ({"messages": "hi"}, "messages"),
        (user("x"), "messages[0].content[0]"),
        (user({"text": "x"}), "messages[0].content[0].type"),
        (user({"type": "text"}), "messages[0].content[0].text"),
        (
            user({"type": "text", "text": "x", "cache_control": {"type": "x"}}),
            "messages[0].content[0].cache_control.type",
        ),
        (
            user({"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "2h"}}),
            "messages[0].content[0].cache_control.ttl",
        ),
        (user({"type": "image"}), "messages[0].content[0].source"),
        (user({"type": "image", "source": {"type": "text", "data": "x"}}), "messages[0].content[0].source.type"),
        (
            user({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "!"}}),
            "messages[0].content[0].source.data",
        ),
        (user({"type": "tool_result", "tool_use_id": "x"}), "messages[0].content[0].tool_use_id"),
        (user(CALL), "messages[0].content[0]"),
        (user({"type": "thinking", "thinking": "x"}), "messages[0].content[0]"),
        ({"messages": [{"role": "assistant", "content": [{"type": "tool_result"}]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "system", "content": [CALL]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "system"}]}, "messages[0].content"),
        ({"system": [CALL]}, "system[0]"),
        ({"messages": [{"role": "assistant", "content": [{**CALL, "input": "x"}]}]}, "messages[0].content[0].input"),
        ({"system": 3}, "system"),
        ({"system": [{"type": "text"}]}, "system[0].text"),
        ({"tools": [{"name": "f"}]}, "tools[0].input_schema"),
        ({"tools": [{"name": "f", "input_schema": []}]}, "tools[0].input_schema"),
        ({"tools": [{"input_schema": {}}]}, "tools[0].name"),
        ({"tool_choice": {"type": "some"}}, "tool_choice.type"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_k": 1.5}, "top_k"),
        ({"stop_sequences": "x"}, "stop_sequences"),
        ({"stop_sequences": [3]}, "stop_sequences[0]"),
        ({"service_tier": "gold"}, "service_tier"),
        ({"metadata": {"user_id": 3}}, "metadata.user_id"),
        ({"output_config": {"format": {"type": "xml"}}}, "output_config.format.type"),
        ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema"),
    ],
)
def test_whatever_is_wrong_is_named(members: dict[str, Any], param: str) -> None:
    """400 with the place, so that its author finds it."""
    with pytest.raises(Refusal) as caught:
        request(**members)
    assert (caught.value.problem.status, caught.value.problem.param) == (400, param)
    assert param in caught.value.problem.message


def test_a_result_before_its_call_is_refused() -> None:
    """A call that comes later is not the one it answers."""
    result = {"type": "tool_result", "tool_use_id": "toolu_1"}
    with pytest.raises(Refusal, match="toolu_1"):
        request(messages=[{"role": "user", "content": [result]}, {"role": "assistant", "content": [CALL]}])
