"""The neutral request: what its records say by themselves."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tokenway.model.request import (
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
    ToolChoice,
    ToolMode,
    ToolResult,
    prefilled,
    why_not_continued,
)


def test_parts_tell_their_kind_where_they_are_written_down() -> None:
    """A message goes through JSON and comes back as it was: goldens and tests write requests so."""
    said = Message(Role.USER, (Text("hi"), ToolResult("1", (Media(MediaKind.IMAGE, url="http://x"),), is_error=True)))
    text = msgspec.json.encode(said)
    assert b'"part":"tool_result"' in text
    assert msgspec.json.decode(text, type=Message) == said


def test_an_effort_alone_is_declared_as_one() -> None:
    """Callers who can ask for an effort without reasoning have a field of its own for it."""
    assert Thinking("low", shown=True).declared == "effort"
    assert {Thinking("low", enabled=True).declared, Thinking("low", 9).declared, Thinking().declared} == {"thinking"}


# -- an answer that goes on ----------------------------------------------------------------------------------

ASKED = Request("m", (Message(Role.SYSTEM, (Text("be"),)), Message(Role.USER, (Text("hi"),))), max_tokens=10)


def test_a_text_becomes_the_models_last_turn() -> None:
    """Without the white space at its end; the limit is lowered by a token for four characters, to no less than one."""
    found = prefilled(ASKED, "  so far \n\t")
    assert found.messages == (*ASKED.messages, Message(Role.ASSISTANT, (Text("  so far"),)))
    assert (found.continues, found.max_tokens) == (True, 8)
    assert prefilled(ASKED, "abc").max_tokens == 10
    assert prefilled(ASKED, "a" * 400).max_tokens == 1
    assert prefilled(msgspec.structs.replace(ASKED, max_tokens=None), "abcd").max_tokens is None
    assert (ASKED.continues, len(ASKED.messages)) == (False, 2)


def test_a_text_is_added_to_what_the_caller_has_begun() -> None:
    """Exactly, and behind whatever else stands there."""
    begun = msgspec.structs.replace(ASKED, messages=(*ASKED.messages, Message(Role.ASSISTANT, (Text("Well, ", "5m"),))))
    assert prefilled(begun, "so far ").messages[2:] == (Message(Role.ASSISTANT, (Text("Well, so far", "5m"),)),)
    thought = Message(Role.ASSISTANT, (Reasoning("hm"),))
    other = prefilled(msgspec.structs.replace(ASKED, messages=(thought,)), "so")
    assert other.messages == (Message(Role.ASSISTANT, (Reasoning("hm"), Text("so"))),)
    empty = prefilled(msgspec.structs.replace(ASKED, messages=(Message(Role.ASSISTANT, ()),)), "so")
    assert empty.messages == (Message(Role.ASSISTANT, (Text("so"),)),)
    assert prefilled(msgspec.structs.replace(ASKED, messages=()), "so").messages == (
        Message(Role.ASSISTANT, (Text("so"),)),
    )


@pytest.mark.parametrize("text", ["", " ", "\n\n"])
def test_white_space_is_nothing_to_go_on_with(text: str) -> None:
    """The answer is to begin anew."""
    assert prefilled(ASKED, text) is ASKED


@pytest.mark.parametrize(
    ("thinking", "kept"),
    [
        (None, False),
        (Thinking("high"), False),
        (Thinking(budget=4000, shown=True), False),
        (Thinking("none"), True),
        (Thinking(budget=0), True),
        (Thinking(enabled=False), True),
    ],
)
def test_reasoning_is_not_asked_for_again(thinking: Thinking | None, kept: bool) -> None:
    """It comes before an answer; that there is to be none is still said."""
    found = prefilled(msgspec.structs.replace(ASKED, thinking=thinking), "so")
    assert found.thinking == (thinking if kept else None)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, ""),
        ({"n": 1, "logprobs": False, "top_logprobs": 0, "stop": ("x",), "thinking": Thinking("high")}, ""),
        ({"response_format": ResponseFormat(FormatKind.TEXT)}, ""),
        ({"tools": (Tool("f"),), "tool_choice": ToolChoice(ToolMode.AUTO)}, ""),
        ({"rest": {"store": msgspec.Raw(b"true")}}, ""),
        ({"response_format": ResponseFormat(FormatKind.JSON)}, "form"),
        ({"response_format": ResponseFormat(FormatKind.SCHEMA)}, "form"),
        ({"rest": {"guided_json": msgspec.Raw(b"{}")}}, "form"),
        ({"rest": {"responseMimeType": msgspec.Raw(b'"text/x.enum"')}}, "form"),
        ({"n": 2}, "several"),
        ({"logprobs": True}, "probabilities"),
        ({"top_logprobs": 1}, "probabilities"),
        ({"rest": {"modalities": msgspec.Raw(b'["text","audio"]')}}, "text alone"),
        ({"rest": {"responseModalities": msgspec.Raw(b'["IMAGE"]')}}, "text alone"),
        ({"tool_choice": ToolChoice(ToolMode.REQUIRED)}, "tool"),
        ({"tool_choice": ToolChoice(ToolMode.NAMED, ("f",))}, "tool"),
    ],
)
def test_what_an_answer_is_tied_to(fields: dict[str, Any], reason: str) -> None:
    """A form, a number of answers, probabilities, sound or a call; tools that are only offered are nothing."""
    found = why_not_continued(msgspec.structs.replace(ASKED, **fields))
    assert reason in found
    assert bool(found) == bool(reason)
