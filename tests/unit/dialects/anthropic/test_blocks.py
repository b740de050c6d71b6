"""Parts as Anthropic's content blocks."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
import pytest

from tokenway.dialects.anthropic.blocks import Blocks, safe_id
from tokenway.dialects.seal import ANTHROPIC, GEMINI, OPENAI
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

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode()
JPEG = base64.b64encode(b"\xff\xd8\xff\xe0\0\x10JFIF").decode()
PDF = base64.b64encode(b"%PDF-1.7").decode()
WORDS = base64.b64encode("é words?>".encode()).decode()
OWN = {"type": "container_upload", "file_id": "file_1"}


def blocks(*parts: Any, has_urls: bool = True) -> tuple[list[dict[str, Any]], list[str]]:
    """What is written of these parts, and what is declared."""
    dropped: list[str] = []
    found = Blocks(dropped.append, has_urls=has_urls).of(Message(Role.USER, parts))
    return json.loads(msgspec.json.encode(found)), dropped


@pytest.mark.parametrize(
    ("part", "block"),
    [
        (Text("a"), {"type": "text", "text": "a"}),
        (Text("a", "5m"), {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}),
        (Text("a", "1h"), {"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}}),
        (Refusal("no"), {"type": "text", "text": "no"}),
        (Reasoning("t", "sig", format=ANTHROPIC), {"type": "thinking", "thinking": "t", "signature": "sig"}),
        (Reasoning(sealed="x", format=ANTHROPIC), {"type": "redacted_thinking", "data": "x"}),
        (
            ToolCall("c", "f", '{"b": 1.0, "a": 2}'),
            {"type": "tool_use", "id": "c", "name": "f", "input": {"b": 1, "a": 2}},
        ),
        (ToolCall("c", "f", " "), {"type": "tool_use", "id": "c", "name": "f", "input": {}}),
        (ToolResult("c", ()), {"type": "tool_result", "tool_use_id": "c"}),
        (ToolResult("c", (Text("4"),)), {"type": "tool_result", "tool_use_id": "c", "content": "4"}),
        (
            ToolResult("c", (Text("4"), Media(MediaKind.IMAGE, url="https://a")), is_error=True, cache="5m"),
            {
                "type": "tool_result",
                "tool_use_id": "c",
                "content": [
                    {"type": "text", "text": "4"},
                    {"type": "image", "source": {"type": "url", "url": "https://a"}},
                ],
                "is_error": True,
                "cache_control": {"type": "ephemeral"},
            },
        ),
        (Foreign("container_upload", msgspec.Raw(msgspec.json.encode(OWN))), OWN),
    ],
)
def test_each_part_has_its_block(part: Any, block: dict[str, Any]) -> None:
    """Nothing of it is lost."""
    assert blocks(part) == ([block], [])


@pytest.mark.parametrize(
    ("media", "source"),
    [
        (Media(MediaKind.IMAGE, "image/png", data=PNG), {"type": "base64", "media_type": "image/png", "data": PNG}),
        (Media(MediaKind.IMAGE, "image/JPG", data=JPEG), {"type": "base64", "media_type": "image/jpeg", "data": JPEG}),
        (Media(MediaKind.IMAGE, data=JPEG), {"type": "base64", "media_type": "image/jpeg", "data": JPEG}),
        (
            Media(MediaKind.IMAGE, "image/png", data="-_8"),
            {"type": "base64", "media_type": "image/png", "data": "+/8="},
        ),
        (Media(MediaKind.IMAGE, file_id="file_1"), {"type": "file", "file_id": "file_1"}),
        (
            Media(MediaKind.DOCUMENT, "application/pdf", data=PDF),
            {"type": "base64", "media_type": "application/pdf", "data": PDF},
        ),
        (Media(MediaKind.DOCUMENT, data=PDF), {"type": "base64", "media_type": "application/pdf", "data": PDF}),
        (
            Media(MediaKind.DOCUMENT, "text/csv; charset=utf-8", data=WORDS),
            {"type": "text", "media_type": "text/plain", "data": "é words?>"},
        ),
        (Media(MediaKind.DOCUMENT, text="w"), {"type": "text", "media_type": "text/plain", "data": "w"}),
        (Media(MediaKind.DOCUMENT, url="https://a/d.pdf"), {"type": "url", "url": "https://a/d.pdf"}),
    ],
)
def test_media_have_a_source(media: Media, source: dict[str, Any]) -> None:
    """By data in the letters and types that Anthropic takes, by URL, or by its own file's id."""
    assert blocks(media) == ([{"type": media.kind.value, "source": source}], [])


def test_a_documents_name_is_its_title() -> None:
    """Both are what it is called."""
    found, _ = blocks(Media(MediaKind.DOCUMENT, text="w", title="a.txt"))
    assert found[0]["title"] == "a.txt"


@pytest.mark.parametrize(
    ("part", "name"),
    [
        (Reasoning("t"), "reasoning"),
        (Reasoning("t", "sig", format=GEMINI), "reasoning"),
        (Reasoning("t", sealed="x", format=OPENAI), "reasoning"),
        (Foreign("executableCode", msgspec.Raw(b"{}")), "executableCode"),
        (Foreign("compaction", msgspec.Raw(b"{}"), OPENAI), "compaction"),
    ],
)
def test_what_cannot_be_said_is_declared(part: Any, name: str) -> None:
    """No vendor is ever shown another's seals."""
    assert blocks(part) == ([], [name])


def test_properties_without_a_place_are_declared() -> None:
    """The rest of their part is said."""
    assert blocks(Media(MediaKind.IMAGE, url="https://a", detail="high"))[1] == ["detail"]
    assert blocks(Media(MediaKind.IMAGE, url="https://a", detail="auto"))[1] == []
    assert blocks(Media(MediaKind.IMAGE, url="https://a", title="a.png"))[1] == ["title"]
    assert blocks(Media(MediaKind.DOCUMENT, url="https://a", detail="low"))[1] == ["detail"]
    found, dropped = blocks(ToolCall("c", "f", "{}", signature="s", format=GEMINI))
    assert (len(found), dropped) == (1, ["reasoning"])


def test_empty_texts_are_left_out() -> None:
    """Anthropic refuses them; there is nothing in them to lose."""
    assert blocks(Text(""), Text(" \n"), Refusal(""), ToolResult("c", (Text(""),))) == (
        [{"type": "tool_result", "tool_use_id": "c"}],
        [],
    )


@pytest.mark.parametrize(
    "media",
    [
        Media(MediaKind.AUDIO, "audio/wav", data="QUJD", place="p"),
        Media(MediaKind.VIDEO, url="https://a", place="p"),
        Media(MediaKind.IMAGE, "image/tiff", data="QUJD", place="p"),
        Media(MediaKind.IMAGE, data="QUJD", place="p"),
        Media(MediaKind.IMAGE, url="gs://bucket/a.png", place="p"),
        Media(MediaKind.IMAGE, file_id="file-openai", place="p"),
        Media(MediaKind.DOCUMENT, "application/zip", data="QUJD", place="p"),
        Media(MediaKind.DOCUMENT, "text/html", url="https://a/b", place="p"),
        Media(MediaKind.DOCUMENT, "text/plain", data="/w==", place="p"),
    ],
)
def test_media_that_cannot_be_given_are_refused(media: Media) -> None:
    """400 at its place: an answer that has not seen it would be a wrong one."""
    with pytest.raises(Refused) as caught:
        blocks(media)
    problem = caught.value.problem
    assert (problem.status, problem.param, problem.code) == (400, "p", "unsupported_media")


def test_a_provider_may_take_no_urls() -> None:
    """Then the caller has to send the data."""
    with pytest.raises(Refused):
        blocks(Media(MediaKind.IMAGE, url="https://a", place="p"), has_urls=False)


@pytest.mark.parametrize("arguments", ["{", "[1]", '"x"', '{"a":1} x'])
def test_broken_arguments_are_refused(arguments: str) -> None:
    """400 that names the call: Anthropic takes objects only."""
    with pytest.raises(Refused, match=r"'call_7' \(f\)") as caught:
        blocks(ToolCall("call_7", "f", arguments))
    assert caught.value.problem.status == 400


def test_a_model_shows_nothing() -> None:
    """Anthropic takes images in the user's turns only; another vendor's model may have made one."""
    picture = Media(MediaKind.IMAGE, "image/png", PNG, place="messages[1].images[0]")
    with pytest.raises(Refused) as caught:
        Blocks(list[str]().append, has_urls=True).of(Message(Role.ASSISTANT, (Text("here"), picture)))
    assert (caught.value.problem.status, caught.value.problem.param) == (400, "messages[1].images[0]")


def test_ids_are_in_anthropics_letters() -> None:
    """Another vendor's id stays the same for a call and its result, and two of them stay apart."""
    assert safe_id("call_1-A") == "call_1-A"
    found, _ = blocks(ToolResult("functions.f:0", ()), ToolCall("functions.f:0", "f", "{}"))
    assert found[0]["tool_use_id"] == found[1]["id"] == safe_id("functions.f:0")
    assert safe_id("a.b").startswith("a_b_")
    assert safe_id("a.b") != safe_id("a:b")


def test_results_come_first_and_thoughts_before_what_follows_them() -> None:
    """Anthropic wants it so; an order that is already right is left alone."""
    found, _ = blocks(Text("a"), ToolResult("c", ()), Text("b"), ToolResult("d", ()))
    assert [each["type"] for each in found] == ["tool_result", "tool_result", "text", "text"]
    thought = Reasoning("t", "s", format=ANTHROPIC)
    found, _ = blocks(Text("a"), thought, ToolCall("c", "f", "{}"))
    assert [each["type"] for each in found] == ["thinking", "text", "tool_use"]
    found, _ = blocks(thought, Text("a"), thought, Text("b"))
    assert [each["type"] for each in found] == ["thinking", "text", "thinking", "text"]
