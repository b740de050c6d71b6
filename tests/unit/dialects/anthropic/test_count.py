"""The estimate of a request's input tokens."""

from __future__ import annotations

import base64
import struct

import msgspec
import pytest

from tokenway.dialects.anthropic.count import (
    FORMAT,
    IMAGE,
    PAGE,
    PER_CALL,
    PER_MESSAGE,
    PER_REQUEST,
    PER_TOOL,
    TOOLS,
    count,
    image_tokens,
    text_tokens,
)
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
    Tool,
    ToolCall,
    ToolResult,
)


def png(width: int, height: int) -> str:
    """The beginning of a PNG of that size, in base64."""
    return base64.b64encode(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", width, height) + bytes(9)).decode()


def gif(width: int, height: int) -> str:
    """The beginning of a GIF of that size, in base64."""
    return base64.b64encode(b"GIF89a" + struct.pack("<HH", width, height) + bytes(9)).decode()


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2), ("a" * 400, 100), ("日本語", 2), ("日本語abcd", 3)],
)
def test_text(text: str, tokens: int) -> None:
    """Four letters to a token, or one and a half of another script."""
    assert text_tokens(text) == tokens


@pytest.mark.parametrize(
    ("data", "tokens"),
    [(png(750, 100), 100), (gif(75, 10), 1), (png(8000, 8000), IMAGE), ("/9j/4AAQ", IMAGE), ("", IMAGE), ("!", IMAGE)],
)
def test_images(data: str, tokens: int) -> None:
    """By width and height where the data tells them, else the most."""
    assert image_tokens(data) == tokens


def test_a_request_is_the_sum_of_its_parts() -> None:
    """Messages, tools, media, thoughts, schemas."""
    document = Media(MediaKind.DOCUMENT, "application/pdf", data="A" * 250_000)
    parts = (
        Text("a" * 40),
        Media(MediaKind.IMAGE, url="https://a/i.png"),
        document,
        Media(MediaKind.DOCUMENT, text="a" * 40),
        Reasoning("a" * 40),
        Reasoning(sealed="a" * 30),
        ToolCall("c", "ffff", '{"a":1}  '),
        ToolResult("c", (Text("a" * 40),)),
        Foreign("x", msgspec.Raw(b'{"a":1}  ')),
    )
    request = Request(
        "m",
        (Message(Role.USER, parts),),
        tools=(Tool("ffff", "a" * 40, msgspec.Raw(b'{"a":1}  ')), Tool("w", hosted="w", raw=msgspec.Raw(b"{} "))),
        response_format=ResponseFormat(FormatKind.SCHEMA, schema=msgspec.Raw(b"{} ")),
    )
    messages = PER_MESSAGE + 10 + IMAGE + 3 * PAGE + 10 + 10 + 10 + (PER_CALL + 1 + 3) + (PER_CALL + 10) + 3
    tools = TOOLS + (PER_TOOL + 1 + 10 + 3) + (PER_TOOL + 1 + 1)
    assert count(request) == PER_REQUEST + messages + tools + FORMAT + 1
