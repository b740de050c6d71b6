"""The turns of a neutral request, as Bedrock's `messages` and `system`."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenway.dialects.bedrock.content import Content, plain_id
from tokenway.dialects.seal import ANTHROPIC, GEMINI, OPENAI
from tokenway.model.errors import Problem, Refusal
from tokenway.model.request import (
    NO_JSON,
    Foreign,
    Media,
    MediaKind,
    Message,
    Reasoning,
    Role,
    Text,
    ToolCall,
    ToolResult,
)
from tokenway.model.request import Refusal as Declined

IMAGE = Media(MediaKind.IMAGE, "image/png", "iVBO", place="p")
USER = Message(Role.USER, (Text("hi"),))
CALL = ToolCall("t1", "f", '{"a":1}')


def written(*messages: Message, vendor: str = "anthropic") -> tuple[list[dict[str, Any]], list[str]]:
    """The turns, and what was dropped."""
    dropped: dict[str, None] = {}
    return Content(vendor, dropped).turns(messages), list(dropped)


def blocks(*parts: Any, role: Role = Role.USER, vendor: str = "anthropic") -> tuple[list[dict[str, Any]], list[str]]:
    """The blocks of one turn, and what was dropped."""
    before = () if role is Role.USER else (USER,)
    turns, dropped = written(*before, Message(role, parts), vendor=vendor)
    return turns[-1]["content"], dropped


def refused(*messages: Message) -> Problem:
    """The problem that writing these turns ends in."""
    with pytest.raises(Refusal) as raised:
        written(*messages)
    assert raised.value.problem.status == 400
    return raised.value.problem


def test_turns_alternate() -> None:
    """Turns of one role are joined, blank texts and turns without anything are left out."""
    turns, dropped = written(
        Message(Role.SYSTEM, (Text("s"),)),
        USER,
        Message(Role.USER, (Text(" "), Text("more"))),
        Message(Role.ASSISTANT, (Text(""),)),
        Message(Role.DEVELOPER, (Text("d"),)),
        Message(Role.USER, (Text("again"),)),
        Message(Role.ASSISTANT, (Text("so"), Declined("no"))),
    )
    assert turns == [
        {"role": "user", "content": [{"text": "hi"}, {"text": "more"}, {"text": "again"}]},
        {"role": "assistant", "content": [{"text": "so"}, {"text": "no"}]},
    ]
    assert dropped == []


def test_the_system() -> None:
    """System and developer messages are collected in order, with their cache points."""
    messages = [
        Message(Role.SYSTEM, (Text("a", "1h"),), name="n"),
        USER,
        Message(Role.DEVELOPER, (Text(""), Text("b"))),
    ]
    dropped: dict[str, None] = {}
    assert Content("anthropic", dropped).system(messages) == [
        {"text": "a"},
        {"cachePoint": {"type": "default", "ttl": "1h"}},
        {"text": "b"},
    ]
    assert list(dropped) == ["name"]
    with pytest.raises(Refusal) as raised:
        Content("anthropic", {}).system([Message(Role.SYSTEM, (IMAGE,))])
    assert raised.value.problem.param == "p"


@pytest.mark.parametrize(
    "messages", [(), (Message(Role.ASSISTANT, (Text("a"),)), USER), (Message(Role.SYSTEM, (Text("s"),)),)]
)
def test_the_user_begins(messages: tuple[Message, ...]) -> None:
    """Bedrock has no other beginning, and none is made up."""
    assert refused(*messages).param == "messages"


def test_calls_and_results() -> None:
    """Results of one turn stand together; one that failed says so; blank texts in it are left out."""
    turns, dropped = written(
        USER,
        Message(Role.ASSISTANT, (CALL, ToolCall("call.2", "g", ""))),
        Message(Role.USER, (ToolResult("t1", (Text("x"), IMAGE)),)),
        Message(Role.USER, (ToolResult("call.2", (Text(""),), is_error=True), Text("go on"))),
    )
    other = plain_id("call.2")
    assert turns[1:] == [
        {
            "role": "assistant",
            "content": [
                {"toolUse": {"toolUseId": "t1", "name": "f", "input": msgspec.Raw(b'{"a":1}')}},
                {"toolUse": {"toolUseId": other, "name": "g", "input": {}}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "toolResult": {
                        "toolUseId": "t1",
                        "content": [{"text": "x"}, {"image": {"format": "png", "source": {"bytes": "iVBO"}}}],
                    }
                },
                {"toolResult": {"toolUseId": other, "content": [], "status": "error"}},
                {"text": "go on"},
            ],
        },
    ]
    assert dropped == []


@given(st.text(max_size=100), st.text(max_size=100))
def test_ids_are_plain_and_tell_calls_apart(one: str, other: str) -> None:
    """Any id becomes one of Bedrock's, the same each time, and two stay two."""
    found = plain_id(one)
    assert 1 <= len(found) <= 64
    assert found.replace("-", "a").replace("_", "a").isalnum()
    assert found.isascii()
    assert plain_id(one) == found
    assert (plain_id(other) == found) == (one == other)


def test_an_id_that_is_plain_stays() -> None:
    """Prompt caches see the same bytes."""
    assert plain_id("toolu_01AbC-9") == "toolu_01AbC-9"
    assert plain_id("") == "call_e3b0c44298fc1c149afbf4c8996fb924"


@pytest.mark.parametrize(
    ("part", "vendor", "expected"),
    [
        (
            Reasoning("hm", "c2ln", format=ANTHROPIC),
            "anthropic",
            {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "c2ln"}}},
        ),
        (
            Reasoning(sealed="EuQF", format=ANTHROPIC),
            "anthropic",
            {"reasoningContent": {"redactedContent": "RXVRRg=="}},
        ),
        (
            Reasoning("hm", "c2ln", format=ANTHROPIC),
            "",
            {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "c2ln"}}},
        ),
        (Reasoning("hm", "c2ln", format=ANTHROPIC), "amazon", None),
        (Reasoning("hm", format=ANTHROPIC), "anthropic", None),
        (Reasoning("hm", "Q2c=", format=GEMINI), "anthropic", None),
        (Reasoning("hm", sealed="gAAA", format=OPENAI), "anthropic", None),
    ],
)
def test_reasoning_goes_to_its_own_vendor_only(part: Reasoning, vendor: str, expected: dict[str, Any] | None) -> None:
    """A Claude gets what a Claude signed; everything else is declared."""
    found, dropped = blocks(part, Text("a"), role=Role.ASSISTANT, vendor=vendor)
    assert found == ([expected] if expected else []) + [{"text": "a"}]
    assert dropped == ([] if expected else ["reasoning"])


def test_cache_points() -> None:
    """A breakpoint is a block behind its part, at a result behind the whole of it; other vendors have none."""
    parts = (Text("a", "5m"), ToolResult("t", (Text("x", "1h"),)), Text("", "5m"))
    found, dropped = blocks(*parts)
    assert found == [
        {"text": "a"},
        {"cachePoint": {"type": "default"}},
        {"toolResult": {"toolUseId": "t", "content": [{"text": "x"}]}},
        {"cachePoint": {"type": "default", "ttl": "1h"}},
    ]
    assert dropped == []
    found, dropped = blocks(*parts, vendor="meta")
    assert [name for block in found for name in block] == ["text", "toolResult"]
    assert dropped == ["cache_control"]


def test_what_is_declared() -> None:
    """Names, traits of images, signatures of calls, and other vendors' parts."""
    image = Media(MediaKind.IMAGE, "image/png", "iVBO", detail="low", title="a.png")
    turns, dropped = written(
        Message(Role.USER, (image, Media(MediaKind.IMAGE, "image/png", "iVBO", detail="auto")), name="ann"),
        Message(Role.ASSISTANT, (ToolCall("t", "f", '{"a":1}', signature="s", format=GEMINI),)),
        Message(Role.USER, (ToolResult("t", (Text("x"),)), Foreign("server_tool_use", NO_JSON))),
    )
    assert dropped == ["name", "detail", "title", "reasoning", "server_tool_use"]
    assert bytes(turns[1]["content"][0]["toolUse"]["input"]) == b'{"a":1}'


def test_media_where_there_can_be_none() -> None:
    """A picture by the assistant and sound in a result are refused at their places."""
    problem = refused(USER, Message(Role.ASSISTANT, (IMAGE,)))
    assert (problem.param, problem.code) == ("p", "unsupported_media")
    sound = Media(MediaKind.AUDIO, "audio/wav", "UklG", place="q")
    assert refused(USER, Message(Role.USER, (ToolResult("t", (sound,)),))).param == "q"


@pytest.mark.parametrize(
    ("messages", "may_think"),
    [
        ((USER,), True),
        ((USER, Message(Role.ASSISTANT, (CALL,)), Message(Role.USER, (ToolResult("t1", (Text("x"),)),))), False),
        (
            (
                USER,
                Message(Role.ASSISTANT, (Reasoning("hm", "s", format=ANTHROPIC), CALL)),
                Message(Role.USER, (ToolResult("t1", (Text("x"),)),)),
            ),
            True,
        ),
        (
            (
                USER,
                Message(Role.ASSISTANT, (CALL,)),
                Message(Role.USER, (ToolResult("t1", (Text("x"),)),)),
                Message(Role.ASSISTANT, (Text("so"),)),
                USER,
            ),
            True,
        ),
    ],
)
def test_whether_claude_may_reason_with_a_budget(messages: tuple[Message, ...], may_think: bool) -> None:
    """Not behind the results of calls that it made without a thought; a new question is a new beginning."""
    content = Content("anthropic", {})
    content.turns(messages)
    assert content.may_think is may_think


def test_the_names_of_tools_are_gathered() -> None:
    """Bedrock wants tools where there are calls."""
    content = Content("anthropic", {})
    content.turns([USER, Message(Role.ASSISTANT, (CALL, ToolCall("t2", "g", "{}"), ToolCall("t3", "f", "{}")))])
    assert list(content.tools_used) == ["f", "g"]
