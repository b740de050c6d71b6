"""Turns, written as messages of a chat request."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest

from tokenway.dialects.openai_chat.write_messages import Messages
from tokenway.dialects.seal import ANTHROPIC, GEMINI
from tokenway.model.catalog import Quirks
from tokenway.model.errors import Refusal as Refused
from tokenway.model.request import (
    Foreign,
    Media,
    MediaKind,
    Message,
    Reasoning,
    Refusal,
    Role,
    Text,
    ToolCall,
    ToolResult,
)

PNG = Media(MediaKind.IMAGE, "image/png", "AAAA", place="here")
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


def write(*turns: Message, **quirks: Any) -> tuple[list[dict[str, Any]], list[str]]:
    """The messages of these turns, and what was dropped."""
    messages = Messages(Quirks(**quirks))
    return messages.write(turns), list(messages.dropped)


def user(*parts: Any) -> Message:
    """A user's turn."""
    return Message(Role.USER, parts)


def assistant(*parts: Any) -> Message:
    """A model's turn."""
    return Message(Role.ASSISTANT, parts)


def content(*parts: Any, **quirks: Any) -> Any:
    """The content of a user's turn."""
    return write(user(*parts), **quirks)[0][0]["content"]


def test_text_is_one_text() -> None:
    """Several parts are joined: apart from each other for a user, as they are for a model."""
    turns = (
        Message(Role.SYSTEM, (Text("s"), Text("t"))),
        Message(Role.USER, (Text("u"), Text("v")), "ann"),
        assistant(Text("a"), Text("b")),
    )
    assert write(*turns) == (
        [
            {"role": "system", "content": "s\n\nt"},
            {"role": "user", "content": "u\n\nv", "name": "ann"},
            {"role": "assistant", "content": "ab"},
        ],
        [],
    )


def test_developers_need_a_server_that_knows_them() -> None:
    """Else they are the system."""
    turn = Message(Role.DEVELOPER, (Text("d"),))
    assert write(turn)[0][0]["role"] == "system"
    assert write(turn, developer_role=True)[0][0]["role"] == "developer"


def test_results_come_first() -> None:
    """Each in its own message, and those of all the user's turns together; then what the user said."""
    turns = (
        assistant(ToolCall("x", "f", '{"a":1}'), ToolCall("y", "g", "ls", custom=True)),
        user(Text("so"), ToolResult("x", (Text("1"), Text("2")), "f")),
        user(ToolResult("y", (Text("no"),), "g", is_error=True)),
    )
    assert write(*turns)[0] == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "x", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
                {"id": "y", "type": "custom", "custom": {"name": "g", "input": "ls"}},
            ],
        },
        {"role": "tool", "tool_call_id": "x", "content": "1\n\n2"},
        {"role": "tool", "tool_call_id": "y", "content": "Error: no"},
        {"role": "user", "content": "so"},
    ]


def test_what_a_tool_shows_is_shown_by_the_user() -> None:
    """Behind the results, before what the user said."""
    shown = user(ToolResult("x", (Text("see"), PNG)), Text("so"))
    assert write(shown)[0] == [
        {"role": "tool", "tool_call_id": "x", "content": "see"},
        {"role": "user", "content": [IMAGE, {"type": "text", "text": "so"}]},
    ]
    assert write(user(ToolResult("x", (PNG,))))[0] == [
        {"role": "tool", "tool_call_id": "x", "content": ""},
        {"role": "user", "content": [IMAGE]},
    ]


def test_images() -> None:
    """By data or by URL, with how closely to look."""
    url = Media(MediaKind.IMAGE, url="https://i", detail="low")
    assert content(PNG, url) == [
        IMAGE,
        {"type": "image_url", "image_url": {"url": "https://i", "detail": "low"}},
    ]
    assert content(Media(MediaKind.IMAGE, data="/9j/"))[0]["image_url"]["url"] == "data:image/jpeg;base64,/9j/"


def test_documents() -> None:
    """A PDF is a file; plain text stands in the message, below its title."""
    plain = base64.b64encode("é".encode()).decode()
    assert content(
        Media(MediaKind.DOCUMENT, "application/pdf", "JVBERi0=", title="a.pdf"),
        Media(MediaKind.DOCUMENT, "application/pdf", "JVBERi0="),
        Media(MediaKind.DOCUMENT, "text/plain", text="body", title="T"),
        Media(MediaKind.DOCUMENT, "text/csv", plain),
        Media(MediaKind.DOCUMENT, file_id="file-1"),
    ) == [
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}},
        {"type": "file", "file": {"filename": "document.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}},
        {"type": "text", "text": "T\n\nbody"},
        {"type": "text", "text": "é"},
        {"type": "file", "file": {"file_id": "file-1"}},
    ]


def test_how_closely_to_look_at_a_document_is_declared() -> None:
    """The dialect asks that of images only."""
    pdf = Media(MediaKind.DOCUMENT, "application/pdf", "JVBERi0=", detail="low")
    assert write(user(pdf))[1] == ["detail"]


def test_sound_and_films() -> None:
    """Sound by its data, whatever its type is called; films by data or URL."""
    assert content(
        Media(MediaKind.AUDIO, "audio/mpeg", "AAAA"),
        Media(MediaKind.AUDIO, "audio/mp3", "AAAA"),
        Media(MediaKind.VIDEO, "video/mp4", "AAAA"),
        Media(MediaKind.VIDEO, url="https://v"),
    ) == [
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}},
        {"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AAAA"}},
        {"type": "video_url", "video_url": {"url": "https://v"}},
    ]


@pytest.mark.parametrize(
    ("part", "quirks"),
    [
        (Media(MediaKind.IMAGE, url="https://i", place="here"), {"image_urls": False}),
        (Media(MediaKind.IMAGE, file_id="file_1", place="here"), {}),
        (Media(MediaKind.IMAGE, "text/plain", "AAAA", place="here"), {}),
        (Media(MediaKind.DOCUMENT, url="https://d", place="here"), {}),
        (Media(MediaKind.DOCUMENT, file_id="file_1", place="here"), {}),
        (Media(MediaKind.AUDIO, url="https://a", place="here"), {}),
        (Media(MediaKind.AUDIO, "audio/midi", "AAAA", place="here"), {}),
        (Media(MediaKind.VIDEO, file_id="file_1", place="here"), {}),
    ],
)
def test_what_cannot_be_said_is_refused(part: Media, quirks: dict[str, Any]) -> None:
    """With the caller's place of it."""
    with pytest.raises(Refused) as raised:
        content(part, **quirks)
    problem = raised.value.problem
    assert (problem.status, problem.param, problem.code) == (400, "here", "unsupported_media")


def test_a_model_shows_nothing() -> None:
    """Its own turns have no place for images."""
    with pytest.raises(Refused) as raised:
        write(assistant(PNG))
    assert raised.value.problem.code == "unsupported_media"


SIGNED = Reasoning("t", "s", format=ANTHROPIC)


def test_reasoning_goes_only_where_it_is_taken() -> None:
    """Elsewhere it is declared; a turn that had nothing else is left out."""
    assert write(assistant(SIGNED, Text("a"))) == ([{"role": "assistant", "content": "a"}], ["reasoning"])
    assert write(assistant(SIGNED)) == ([], ["reasoning"])


def test_plain_reasoning_is_given_back() -> None:
    """To servers that take its text; what seals it cannot be said there."""
    plain = {"role": "assistant", "content": "a", "reasoning_content": "t"}
    quirk = {"reasoning_field": "reasoning_content"}
    assert write(assistant(Reasoning("t"), Text("a")), **quirk) == ([plain], [])
    assert write(assistant(SIGNED, Text("a")), **quirk) == ([plain], ["reasoning"])
    assert write(assistant(Reasoning(sealed="d", format=ANTHROPIC), Text("a")), **quirk) == (
        [{"role": "assistant", "content": "a"}],
        ["reasoning"],
    )


def test_reasoning_is_given_back_as_it_came() -> None:
    """To OpenRouter, whose items say whose they are."""
    found, dropped = write(assistant(SIGNED, Text("a")), reasoning_field="reasoning_details")
    assert found[0]["reasoning_details"] == [
        {"type": "reasoning.text", "text": "t", "format": ANTHROPIC, "index": 0, "signature": "s"}
    ]
    assert dropped == []


def test_googles_signatures_go_to_google() -> None:
    """At the call; to others they are declared."""
    call = ToolCall("x", "f", "{}", signature="g", format=GEMINI)
    assert write(assistant(call))[1] == ["reasoning"]
    found, dropped = write(assistant(call), reasoning_field="extra_content")
    assert found[0]["tool_calls"][0]["extra_content"] == {"google": {"thought_signature": "g"}}
    assert dropped == []


def test_googles_signatures_stand_in_openrouters_list() -> None:
    """By the id of the call; one that has lost it gets the first call's."""
    signed = ToolCall("c", "f", "{}", signature="g", format=GEMINI)
    messages, dropped = write(assistant(signed), reasoning_field="reasoning_details")
    detail = {"type": "reasoning.encrypted", "data": "g", "format": GEMINI, "id": "c", "index": 0}
    assert (messages[0]["reasoning_details"], dropped) == ([detail], [])
    lost = assistant(Reasoning(sealed="g", format=GEMINI), ToolCall("c", "f", "{}"), ToolCall("d", "f", "{}"))
    assert write(lost, reasoning_field="reasoning_details")[0][0]["reasoning_details"] == [detail]


def test_refusals_are_given_back() -> None:
    """In the field that they came in."""
    assert write(assistant(Refusal("no")))[0] == [{"role": "assistant", "content": None, "refusal": "no"}]


def test_what_is_dropped_is_declared_once() -> None:
    """A vendor's own parts by their name, breakpoints of a cache by theirs."""
    foreign = Foreign("server_tool_use", msgspec.Raw(b"{}"))
    turns = (user(Text("a", "5m"), foreign), assistant(Text("b", "1h"), foreign), user(ToolResult("x", (), cache="5m")))
    assert write(*turns)[1] == ["cache_control", "server_tool_use"]
    assert write(user(foreign)) == ([], ["server_tool_use"])
    assert write(user(msgspec.structs.replace(PNG, title="a.png")))[1] == ["title"]
    assert write(user(Media(MediaKind.DOCUMENT, file_id="file-1", title="a.pdf")))[1] == ["title"]
    assert write(user(Media(MediaKind.DOCUMENT, "application/pdf", "AAAA", title="a.pdf")))[1] == []


def test_no_medium_is_part_of_the_instructions() -> None:
    """Refused where it stands, but for a document that is text."""
    with pytest.raises(Refused) as caught:
        write(Message(Role.SYSTEM, (PNG,)))
    assert caught.value.problem.param == "here"
    document = Media(MediaKind.DOCUMENT, "text/plain", text="x")
    assert write(Message(Role.SYSTEM, (document,)))[0] == [{"role": "system", "content": "x"}]
