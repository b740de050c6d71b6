"""Messages of a chat request, read into turns."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tokenway.dialects.openai_chat.read_messages import Conversation, joined
from tokenway.dialects.openai_chat.words import details_of
from tokenway.dialects.seal import ANTHROPIC, GEMINI, OPENAI
from tokenway.dialects.walk import Node
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

USER = {"role": "user", "content": "hi"}


def read(*messages: dict[str, Any]) -> list[Message]:
    """The turns of these messages."""
    conversation = Conversation()
    for item in Node(list(messages), "messages").items():
        conversation.take(item)
    conversation.flush()
    return conversation.turns


def parts(content: Any, role: str = "user") -> tuple[Any, ...]:
    """The parts of a message with this content."""
    return read({"role": role, "content": content})[0].parts


def refused(*messages: dict[str, Any]) -> str | None:
    """The place that a refusal names."""
    with pytest.raises(Refused) as raised:
        read(*messages)
    assert raised.value.problem.status == 400
    return raised.value.problem.param


def call(identity: str, name: str = "f", arguments: Any = "{}", **more: Any) -> dict[str, Any]:
    """A tool call."""
    return {"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}} | more


def test_roles() -> None:
    """Each is a turn in its place, with the name of who speaks."""
    turns = read(
        {"role": "system", "content": "s"},
        {"role": "developer", "content": "d"},
        {"role": "user", "content": "u", "name": "ann"},
        {"role": "assistant", "content": "a"},
    )
    assert turns == [
        Message(Role.SYSTEM, (Text("s"),)),
        Message(Role.DEVELOPER, (Text("d"),)),
        Message(Role.USER, (Text("u"),), "ann"),
        Message(Role.ASSISTANT, (Text("a"),)),
    ]


def test_an_unknown_role_is_refused() -> None:
    """With its place."""
    assert refused(USER, {"role": "robot", "content": "x"}) == "messages[1].role"


def test_empty_turns() -> None:
    """A user's stays as an empty text, others are nothing."""
    assert read({"role": "user", "content": ""}, {"role": "assistant", "content": None}) == [
        Message(Role.USER, (Text(""),))
    ]


def test_images() -> None:
    """By URL, by data, and as the bare text that some clients send; the media type is the data URL's."""
    found = parts(
        [
            {"type": "image_url", "image_url": {"url": "https://i", "detail": "low"}},
            {"type": "image_url", "image_url": {"url": "data:image/jpg;base64,/9j/4AAQ"}},
            {"type": "image_url", "image_url": "data:;base64,iVBORw0KGgo="},
        ]
    )
    assert found == (
        Media(MediaKind.IMAGE, url="https://i", detail="low", place="messages[0].content[0].image_url"),
        Media(MediaKind.IMAGE, "image/jpeg", "/9j/4AAQ", place="messages[0].content[1].image_url"),
        Media(MediaKind.IMAGE, "image/png", "iVBORw0KGgo=", place="messages[0].content[2].image_url"),
    )


@pytest.mark.parametrize(
    "url", ["data:image/png;base64,###", "data:image/png,abc", "picture.png", "data:image/png;base64,"]
)
def test_an_image_must_be_one(url: str) -> None:
    """Broken base64 and what is no URL are refused with their place."""
    image = {"type": "image_url", "image_url": {"url": url}}
    assert refused(USER, USER, {"role": "user", "content": [image]}) == "messages[2].content[0].image_url.url"


def test_sound() -> None:
    """The format is a media type."""
    found = parts([{"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "mp3"}}])
    assert found == (Media(MediaKind.AUDIO, "audio/mpeg", "UklGRg==", place="messages[0].content[0].input_audio"),)
    broken = {"type": "input_audio", "input_audio": {"data": "#", "format": "wav"}}
    assert refused({"role": "user", "content": [broken]}) == "messages[0].content[0].input_audio.data"


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        (
            {"file_data": "data:application/pdf;base64,JVBERi0=", "filename": "a.pdf"},
            Media(MediaKind.DOCUMENT, "application/pdf", "JVBERi0=", title="a.pdf"),
        ),
        ({"file_data": "JVBERi0="}, Media(MediaKind.DOCUMENT, "application/pdf", "JVBERi0=")),
        ({"file_data": "aGk=", "filename": "a.txt"}, Media(MediaKind.DOCUMENT, "text/plain", "aGk=", title="a.txt")),
        ({"file_data": "https://d/a.pdf"}, Media(MediaKind.DOCUMENT, url="https://d/a.pdf")),
        ({"file_data": "data:image/png;base64,AAAA"}, Media(MediaKind.IMAGE, "image/png", "AAAA")),
        ({"file_id": "file-1"}, Media(MediaKind.DOCUMENT, file_id="file-1")),
    ],
)
def test_files(file: dict[str, str], expected: Media) -> None:
    """By data, by URL and by id; the type comes from the URL, the beginning or the name."""
    assert parts([{"type": "file", "file": file}]) == (
        msgspec.structs.replace(expected, place="messages[0].content[0].file"),
    )


def test_a_file_must_be_somewhere() -> None:
    """Neither data nor an id is no file."""
    assert refused({"role": "user", "content": [{"type": "file", "file": {}}]}) == "messages[0].content[0].file"


def test_films_and_mistrals_documents() -> None:
    """Extensions of OpenRouter and Mistral."""
    found = parts(
        [
            {"type": "video_url", "video_url": {"url": "https://v"}},
            {"type": "document_url", "document_url": "https://d", "document_name": "n"},
        ]
    )
    assert found == (
        Media(MediaKind.VIDEO, url="https://v", place="messages[0].content[0].video_url"),
        Media(MediaKind.DOCUMENT, url="https://d", title="n", place="messages[0].content[1].document_url"),
    )


def test_an_unknown_part_is_a_vendors_own() -> None:
    """It is kept as it came, so that whoever cannot say it can declare it."""
    assert parts([{"type": "new_thing", "x": 1}]) == (Foreign("new_thing", msgspec.Raw(b'{"type":"new_thing","x":1}')),)
    assert refused({"role": "user", "content": [{"text": "x"}]}) == "messages[0].content[0].type"
    assert refused({"role": "user", "content": 5}) == "messages[0].content"


def test_breakpoints_of_the_cache() -> None:
    """At a part, and at a message, which is its last part; an hour is another than five minutes."""
    control = {"type": "ephemeral"}
    assert parts([{"type": "text", "text": "a", "cache_control": control | {"ttl": "1h"}}]) == (Text("a", "1h"),)
    assert read({"role": "user", "content": "a", "cache_control": control})[0].parts == (Text("a", "5m"),)
    custom = {"id": "c", "type": "custom", "custom": {"name": "f", "input": "x"}, "cache_control": control}
    found = read(USER, {"role": "assistant", "tool_calls": [custom]})[1].parts
    assert found == (ToolCall("c", "f", "x", custom=True, cache="5m"),)
    odd = {"type": "text", "text": "a", "cache_control": {"ttl": "2h"}}
    assert refused({"role": "user", "content": [odd]}) == "messages[0].content[0].cache_control.ttl"


@pytest.mark.parametrize(
    ("mark", "cache"), [({"mode": "explicit"}, "5m"), ({"ttl": "30m"}, "5m"), ({"ttl": "12h"}, "1h"), (None, "")]
)
def test_openais_own_breakpoints(mark: dict[str, str] | None, cache: str) -> None:
    """Half a day is an hour elsewhere, half an hour five minutes."""
    assert parts([{"type": "text", "text": "a", "prompt_cache_breakpoint": mark}]) == (Text("a", cache),)


def test_results_are_one_turn() -> None:
    """Messages of the role `tool` that follow each other, each with its tool's name."""
    turns = read(
        {"role": "assistant", "content": None, "tool_calls": [call("x", "f"), call("y", "g")]},
        {"role": "tool", "tool_call_id": "y", "content": "2"},
        {"role": "tool", "tool_call_id": "x", "content": [{"type": "text", "text": "1"}]},
        USER,
    )
    assert turns == [
        Message(Role.ASSISTANT, (ToolCall("x", "f", "{}"), ToolCall("y", "g", "{}"))),
        Message(Role.USER, (ToolResult("y", (Text("2"),), "g"), ToolResult("x", (Text("1"),), "f"))),
        Message(Role.USER, (Text("hi"),)),
    ]


def test_a_result_must_follow_its_call() -> None:
    """An id that no call before it has is refused, with its place."""
    calls = {"role": "assistant", "tool_calls": [call("x")]}
    stray = {"role": "tool", "tool_call_id": "z", "content": "1"}
    assert (
        refused(USER, calls, {"role": "tool", "tool_call_id": "x", "content": ""}, stray) == "messages[3].tool_call_id"
    )
    assert refused(stray, calls) == "messages[0].tool_call_id"
    assert refused(calls, {"role": "tool", "content": "1"}) == "messages[1].tool_call_id"


def test_older_functions() -> None:
    """They are answered by name; the call gets an id of its own."""
    turns = read(
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": '{"a":1}'}},
        {"role": "function", "name": "f", "content": "1"},
    )
    assert turns == [
        Message(Role.ASSISTANT, (ToolCall("function_0", "f", '{"a":1}'),)),
        Message(Role.USER, (ToolResult("function_0", (Text("1"),), "f"),)),
    ]
    assert refused({"role": "function", "name": "f", "content": "1"}) == "messages[0].name"


def test_custom_calls() -> None:
    """Their input is free text, and their result belongs to a custom tool."""
    custom = {"id": "x", "type": "custom", "custom": {"name": "f", "input": "ls"}}
    turns = read({"role": "assistant", "tool_calls": [custom]}, {"role": "tool", "tool_call_id": "x", "content": "1"})
    assert turns[0].parts == (ToolCall("x", "f", "ls", custom=True),)
    assert turns[1].parts == (ToolResult("x", (Text("1"),), "f", custom=True),)


@pytest.mark.parametrize(
    ("arguments", "expected"), [("", "{}"), (None, "{}"), ("null", "{}"), ('{"a": 1}', '{"a": 1}')]
)
def test_arguments_are_an_object(arguments: str | None, expected: str) -> None:
    """Nothing is an empty one; what is one stays as it is written."""
    turns = read({"role": "assistant", "tool_calls": [call("x", "f", arguments)]})
    assert turns[0].parts == (ToolCall("x", "f", expected),)


@pytest.mark.parametrize("arguments", ["{", "[1]", "1", 5])
def test_broken_arguments_are_refused(arguments: object) -> None:
    """With their place: other dialects have no text there."""
    message = {"role": "assistant", "tool_calls": [call("x", "f", arguments)]}
    assert refused(message) == "messages[0].tool_calls[0].function.arguments"


def test_reasoning_comes_first() -> None:
    """OpenRouter's items where they are, else the plain text; content and calls come after it."""
    details = [{"type": "reasoning.text", "text": "t", "signature": "s", "format": ANTHROPIC, "index": 0}]
    message = {"role": "assistant", "content": "a", "reasoning": "t", "reasoning_details": details, "refusal": "no"}
    assert read(message)[0].parts == (Reasoning("t", "s", format=ANTHROPIC), Text("a"), Refusal("no"))
    assert parts_of_assistant(reasoning_content="r") == (Reasoning("r"), Text("a"))
    assert parts_of_assistant(reasoning="r", reasoning_details=[]) == (Reasoning("r"), Text("a"))


def parts_of_assistant(**more: Any) -> tuple[Any, ...]:
    """The parts of an assistant's message."""
    return read({"role": "assistant", "content": "a", **more})[0].parts


def test_googles_signatures() -> None:
    """At a call and at a message."""
    extra = {"google": {"thought_signature": "g"}}
    assert read({"role": "assistant", "tool_calls": [call("x", extra_content=extra)]})[0].parts == (
        ToolCall("x", "f", "{}", signature="g", format=GEMINI),
    )
    assert parts_of_assistant(extra_content=extra) == (Reasoning("", "g", format=GEMINI), Text("a"))


def test_what_google_signed_of_a_call_is_found_in_openrouters_list() -> None:
    """By the call's id; one without it, or with another, stays a part of its own."""
    sealed = {"type": "reasoning.encrypted", "data": "g", "format": GEMINI}
    signed = ToolCall("c", "f", "{}", signature="g", format=GEMINI)
    details = [{"type": "reasoning.text", "text": "hm", "format": GEMINI}, {**sealed, "id": "c"}]
    found = parts_of_assistant(reasoning_details=details, tool_calls=[call("c")])
    assert found == (Reasoning("hm", format=GEMINI), Text("a"), signed)
    for other in (sealed, {**sealed, "id": "d"}):
        found = parts_of_assistant(reasoning_details=[other], tool_calls=[call("c")])
        thought = Reasoning(sealed="g", format=GEMINI, id=other.get("id", ""))
        assert found == (thought, Text("a"), ToolCall("c", "f", "{}"))


def test_what_an_assistant_said_aloud_is_a_vendors_own() -> None:
    """Only OpenAI knows the id."""
    assert parts_of_assistant(audio={"id": "s"}) == (Text("a"), Foreign("audio", msgspec.Raw(b'{"id":"s"}')))


def test_pictures_that_a_model_made_are_its_turns() -> None:
    """OpenRouter's `images`, as clients give them back."""
    image = {"type": "image_url", "image_url": {"url": "https://a"}, "index": 0}
    assert parts_of_assistant(images=[image]) == (
        Text("a"),
        Media(MediaKind.IMAGE, url="https://a", place="messages[0].images[0].image_url"),
    )


def test_unknown_reasoning_is_a_vendors_own() -> None:
    """What a server of OpenRouter's did is nothing that another can take."""
    detail = {"type": "reasoning.server_tool_call", "result": "x"}
    found = parts_of_assistant(reasoning_details=[detail, {"type": "reasoning.text", "text": "hm"}])
    assert [part.name if isinstance(part, Foreign) else part for part in found] == [
        Reasoning("hm"),
        "reasoning_details",
        Text("a"),
    ]


def test_thinking_inside_of_the_content() -> None:
    """Mistral's."""
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "t"}]}
    assert parts([thinking, {"type": "refusal", "refusal": "no"}], "assistant") == (Reasoning("t"), Refusal("no"))


def test_pieces_of_a_stream_are_joined() -> None:
    """A client that only collected them sends them as they came."""
    pieces = [
        {"type": "reasoning.text", "text": "a", "format": ANTHROPIC, "index": 0},
        {"type": "reasoning.text", "text": "b", "index": 0},
        {"type": "reasoning.text", "text": "", "signature": "s", "index": 0},
        {"type": "reasoning.text", "text": "c", "index": 1},
        {"type": "reasoning.encrypted", "data": "d", "format": ANTHROPIC, "index": 2},
        {"type": "reasoning.summary", "summary": "e", "id": "rs", "format": OPENAI, "index": 3},
        {"type": "reasoning.encrypted", "data": "f", "id": "rs", "format": OPENAI, "index": 4},
    ]
    assert joined(details_of(pieces)) == [
        Reasoning("ab", "s", format=ANTHROPIC),
        Reasoning("c"),
        Reasoning(sealed="d", format=ANTHROPIC),
        Reasoning("e", sealed="f", format=OPENAI, summary=True, id="rs"),
    ]
