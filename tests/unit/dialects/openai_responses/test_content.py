"""Parts of a message: text, pictures, files, sound."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.dialects.openai_responses.made import neutral, problem_of
from tokenway.dialects.openai_responses.content import write_part
from tokenway.model.errors import Refusal as Refused
from tokenway.model.request import Foreign, Media, MediaKind, Text, ToolResult

PLACE = "input[0].content[0]"


def parts(*given: dict[str, Any]) -> tuple[Any, ...]:
    """The neutral parts of a user's message."""
    return neutral(input=[{"role": "user", "content": list(given)}]).messages[0].parts


@pytest.mark.parametrize(
    ("given", "part"),
    [
        ({"type": "input_text", "text": "a"}, Text("a")),
        ({"type": "input_text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}}, Text("a", "5m")),
        (
            {"type": "input_text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"}},
            Text("a", "1h"),
        ),
        (
            {"type": "input_image", "image_url": "https://x/y.png", "detail": "low"},
            Media(MediaKind.IMAGE, url="https://x/y.png", detail="low", place=f"{PLACE}.image_url"),
        ),
        (
            {"type": "input_image", "image_url": "data:image/png;base64,aGk=", "detail": "auto"},
            Media(MediaKind.IMAGE, "image/png", "aGk=", place=f"{PLACE}.image_url"),
        ),
        (
            {"type": "input_image", "file_id": "file-1"},
            Media(MediaKind.IMAGE, file_id="file-1", place=f"{PLACE}.file_id"),
        ),
        (
            {"type": "input_file", "file_data": "data:application/pdf;base64,aGk=", "filename": "a.pdf"},
            Media(MediaKind.DOCUMENT, "application/pdf", "aGk=", title="a.pdf", place=f"{PLACE}.file_data"),
        ),
        (
            {"type": "input_file", "file_data": "aGk=", "filename": "a.PDF"},
            Media(MediaKind.DOCUMENT, "application/pdf", "aGk=", title="a.PDF", place=f"{PLACE}.file_data"),
        ),
        (
            {"type": "input_file", "file_data": "data:image/png;base64,aGk="},
            Media(MediaKind.IMAGE, "image/png", "aGk=", place=f"{PLACE}.file_data"),
        ),
        (
            {"type": "input_file", "file_url": "https://x/y.pdf", "detail": "low"},
            Media(MediaKind.DOCUMENT, url="https://x/y.pdf", detail="low", place=f"{PLACE}.file_url"),
        ),
        (
            {"type": "input_file", "file_id": "file-1"},
            Media(MediaKind.DOCUMENT, file_id="file-1", place=f"{PLACE}.file_id"),
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}},
            Media(MediaKind.AUDIO, "audio/wav", "aGk=", place=f"{PLACE}.input_audio.data"),
        ),
    ],
)
def test_parts_are_read(given: dict[str, Any], part: Text | Media) -> None:
    """With the place they came from, for whom it concerns later."""
    assert parts(given) == (part,)


def test_an_unknown_part_is_foreign() -> None:
    """By its type."""
    assert [(type(part), part.name) for part in parts({"type": "input_smell", "x": 1})] == [(Foreign, "input_smell")]


def test_a_tools_output_may_hold_pictures() -> None:
    """Beside its text; what is unknown stands beside the result."""
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    content = [
        {"type": "input_text", "text": "a"},
        {"type": "input_image", "image_url": "data:image/png;base64,aGk="},
        {"type": "refusal", "refusal": "x"},
    ]
    output = {"type": "function_call_output", "call_id": "c", "output": content}
    result, other = neutral(input=[call, output]).messages[1].parts
    picture = Media(MediaKind.IMAGE, "image/png", "aGk=", place="input[1].output[1].image_url")
    assert result == ToolResult("c", (Text("a"), picture), "f")
    assert isinstance(other, Foreign)


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"text": "a"}, "type"),
        ({"type": "input_text"}, "text"),
        ({"type": "input_image"}, ""),
        ({"type": "input_image", "image_url": "ftp://x"}, "image_url"),
        ({"type": "input_image", "image_url": "data:image/png;base64,???"}, "image_url"),
        ({"type": "input_image", "image_url": "data:image/png,abc"}, "image_url"),
        ({"type": "input_file"}, ""),
        ({"type": "input_file", "file_data": "???"}, "file_data"),
        ({"type": "input_audio", "input_audio": {"data": "aGk=", "format": "ogg"}}, "input_audio.format"),
        ({"type": "input_audio", "input_audio": {"data": "?", "format": "mp3"}}, "input_audio.data"),
    ],
)
def test_a_mistake_is_named_by_its_place(given: dict[str, Any], param: str) -> None:
    """Status 400 and the path of the field."""
    problem = problem_of(input=[{"role": "user", "content": [given]}])
    assert (problem.status, problem.param) == (400, f"{PLACE}.{param}".rstrip("."))


def test_content_is_a_text_or_a_list() -> None:
    """An object is neither."""
    assert problem_of(input=[{"role": "user", "content": {}}]).param == "input[0].content"


@pytest.mark.parametrize(
    ("part", "shape"),
    [
        (Text("a", "5m"), {"type": "input_text", "text": "a"}),
        (
            Media(MediaKind.IMAGE, "image/png", "aGk=", detail="high"),
            {"type": "input_image", "detail": "high", "image_url": "data:image/png;base64,aGk="},
        ),
        (
            Media(MediaKind.IMAGE, url="https://x"),
            {"type": "input_image", "detail": "auto", "image_url": "https://x"},
        ),
        (Media(MediaKind.IMAGE, file_id="f"), {"type": "input_image", "detail": "auto", "file_id": "f"}),
        (
            Media(MediaKind.DOCUMENT, "text/csv", "aGk="),
            {"type": "input_file", "filename": "document.csv", "file_data": "data:text/csv;base64,aGk="},
        ),
        (
            Media(MediaKind.DOCUMENT, data="aGk=", title="a.pdf"),
            {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,aGk="},
        ),
        (
            Media(MediaKind.DOCUMENT, url="https://x", detail="low"),
            {"type": "input_file", "detail": "low", "file_url": "https://x"},
        ),
        (Media(MediaKind.DOCUMENT, file_id="f"), {"type": "input_file", "file_id": "f"}),
        (Media(MediaKind.DOCUMENT, text="b"), {"type": "input_text", "text": "b"}),
        (Media(MediaKind.DOCUMENT, text="b", title="a"), {"type": "input_text", "text": "a\n\nb"}),
        (
            Media(MediaKind.AUDIO, "audio/mpeg", "aGk="),
            {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "mp3"}},
        ),
    ],
)
def test_parts_are_written(part: Text | Media, shape: dict[str, object]) -> None:
    """In this API's shapes."""
    assert write_part(part, image_urls=True) == shape


@pytest.mark.parametrize(
    "part",
    [
        Media(MediaKind.VIDEO, "video/mp4", "aGk=", place="p"),
        Media(MediaKind.AUDIO, "audio/ogg", "aGk=", place="p"),
        Media(MediaKind.AUDIO, url="https://x", place="p"),
        Media(MediaKind.IMAGE, url="https://x", place="p"),
        Media(MediaKind.IMAGE, data="aGk=", place="p"),
        Media(MediaKind.DOCUMENT, place="p"),
        Media(MediaKind.DOCUMENT, file_id="file_011C", place="p"),
        Media(MediaKind.IMAGE, file_id="file_011C", place="p"),
    ],
)
def test_media_without_a_part_of_this_api_are_refused(part: Media) -> None:
    """With the caller's own place; pictures by URL where the upstream does not take them."""
    with pytest.raises(Refused) as refused:
        write_part(part, image_urls=False)
    problem = refused.value.problem
    assert (problem.status, problem.param, problem.code) == (400, "p", "unsupported_media")
