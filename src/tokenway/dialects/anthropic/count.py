"""An estimate of a request's input tokens, for `count_tokens` where the upstream cannot count.

It is an estimate and nothing is charged by it: a client uses it to know when a conversation grows too long, and for
that it is near enough; short requests can be a third off. Text counts by the usual four characters of English to a
token, other scripts by fewer, JSON by three; images by Anthropic's rule of width times height over 750, where the data
tells the size (PNG and GIF do in their first bytes), else by the most that an image costs. Source: Anthropic's Vision,
PDF support, Token counting.
"""

from __future__ import annotations

import base64
import binascii
from typing import Final

from tokenway.model.request import (
    NO_JSON,
    Foreign,
    Media,
    MediaKind,
    Message,
    Reasoning,
    Refusal,
    Request,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)

IMAGE: Final = 1600
"""The most tokens of one image: larger ones are made smaller first."""
PIXELS: Final = 750
"""Pixels to a token."""
PAGE: Final = 2000
"""Tokens of a document's page, as text and as image."""
PAGE_BASE64: Final = 100_000
"""Characters of base64 in which a page is expected to fit."""
PER_REQUEST: Final = 8
PER_MESSAGE: Final = 4
PER_CALL: Final = 16
"""What stands around a tool call or its result."""
PER_TOOL: Final = 30
"""What stands around a tool's name, description and schema."""
TOOLS: Final = 496
"""What Anthropic's own instructions for tools take, once: as much as with Claude 4.5."""
FORMAT: Final = 130
"""What its instructions for an answer by a schema take."""
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_HEAD: Final = 32
"""Characters of base64 that hold the sizes of a PNG or a GIF."""


def count(request: Request) -> int:
    """About how many tokens the request's input has."""
    total = PER_REQUEST + sum(_message(message) for message in request.messages)
    if request.tools:
        total += TOOLS + sum(_tool(tool) for tool in request.tools)
    if request.response_format is not None:
        total += FORMAT + _json(len(bytes(request.response_format.schema)))
    return total


def text_tokens(text: str) -> int:
    """Tokens of prose: four letters of ASCII, or one and a half of anything else, to a token."""
    size = len(text)
    if not size:
        return 0
    plain = size if text.isascii() else sum(char < "\x80" for char in text)
    return -(-(3 * plain + 8 * (size - plain)) // 12)


def _json(size: int) -> int:
    return -(-size // 3)


def _message(message: Message) -> int:
    return PER_MESSAGE + sum(_part(part) for part in message.parts)


def _part(part: Text | Media | Reasoning | ToolCall | ToolResult | Refusal | Foreign) -> int:
    match part:
        case Text() | Refusal():
            return text_tokens(part.text)
        case Media():
            return _media(part)
        case Reasoning():
            return text_tokens(part.text) or _json(len(part.sealed))
        case ToolCall():
            return PER_CALL + text_tokens(part.name) + _json(len(part.arguments))
        case ToolResult():
            return PER_CALL + sum(_part(each) for each in part.content)
        case Foreign():
            return _json(len(bytes(part.raw)))


def _media(media: Media) -> int:
    if media.kind is MediaKind.IMAGE:
        return image_tokens(media.data)
    if media.text:
        return text_tokens(media.text)
    return PAGE * max(1, -(-len(media.data) // PAGE_BASE64))


def image_tokens(data: str) -> int:
    """Tokens of an image in base64: by its size where that can be told, else the most."""
    try:
        head = base64.b64decode(data[:_HEAD].replace("-", "+").replace("_", "/"))
    except (binascii.Error, ValueError):
        return IMAGE
    if head.startswith(_PNG) and len(head) >= 24:
        width, height = int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")
    elif head[:4] == b"GIF8" and len(head) >= 10:
        width, height = int.from_bytes(head[6:8], "little"), int.from_bytes(head[8:10], "little")
    else:
        return IMAGE
    return min(IMAGE, max(1, -(-width * height // PIXELS)))


def _tool(tool: Tool) -> int:
    described = text_tokens(tool.name) + text_tokens(tool.description)
    schema = tool.raw if tool.hosted else tool.parameters
    return PER_TOOL + described + (_json(len(bytes(schema))) if schema != NO_JSON else 0)
