"""Parts of a neutral request written as Anthropic's content blocks.

Anthropic refuses empty texts, ids with other letters than its own, thoughts that it did not sign and media types that
it does not know; what can be mended is mended here, what cannot is declared or refused.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Any, Final

import msgspec

from tokenway.dialects.anthropic.answer import own_block
from tokenway.dialects.base import UNREADABLE
from tokenway.dialects.files import PDF, usual_type
from tokenway.dialects.seal import ANTHROPIC
from tokenway.model.errors import Refusal as Refused
from tokenway.model.errors import invalid_request
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

_decode_object: Final = msgspec.json.Decoder(dict[str, Any]).decode
_encode: Final = msgspec.json.encode

IMAGES: Final = ("image/jpeg", "image/png", "image/gif", "image/webp")
_BEGINNINGS: Final = {"iVBOR": "image/png", "/9j/": "image/jpeg", "R0lGOD": "image/gif", "UklGR": "image/webp"}
"""How base64 of an image begins, for callers who do not say what it is."""
_PLAIN: Final = ("application/json", "application/xml", "application/yaml", "application/javascript")
_PDF_BEGINNING: Final = "JVBERi"
_ID: Final = re.compile(r"[a-zA-Z0-9_-]+")
_NOT_ID: Final = re.compile(r"[^a-zA-Z0-9_-]")
_FILE_ID: Final = "file_"
"""How the ids of Anthropic's own files begin."""

Block = dict[str, Any] | msgspec.Raw


class Blocks:
    """Writes parts. `drop` declares what is left out; `has_urls` is whether media may be given by URL."""

    __slots__ = ("_drop", "_has_urls")

    def __init__(self, drop: Callable[[str], None], *, has_urls: bool) -> None:
        self._drop = drop
        self._has_urls = has_urls

    def of(self, message: Message) -> list[Block]:
        """The blocks of a message: results of tools first, thoughts before anything else unless they already are."""
        parts: Iterable[Any] = message.parts
        for part in message.parts:
            if isinstance(part, Media) and message.role is Role.ASSISTANT:
                raise unsupported(part, "Anthropic's models take no images or files in their own turns")
        if message.parts and not isinstance(message.parts[0], Reasoning):
            parts = sorted(message.parts, key=lambda part: not isinstance(part, Reasoning))
        if any(isinstance(part, ToolResult) for part in message.parts):
            parts = sorted(message.parts, key=lambda part: not isinstance(part, ToolResult))
        return [block for part in parts for block in self._part(part)]

    def _part(self, part: Any) -> list[Block]:
        match part:
            case Text() | Refusal():
                return [_cached(text_block(part.text), part)] if part.text.strip() else []
            case Media():
                return [_cached(self._media(part), part)]
            case ToolCall():
                if part.signature:
                    self._drop("reasoning")
                return [_cached(_call(part), part)]
            case ToolResult():
                return [_cached(self._result(part), part)]
            case Reasoning():
                return self._thought(part)
            case Foreign() if own_block(part):
                return [part.raw]
            case _:
                self._drop(part.name)
                return []

    def _thought(self, part: Reasoning) -> list[Block]:
        if part.format == ANTHROPIC and part.sealed:
            return [{"type": "redacted_thinking", "data": part.sealed}]
        if part.format == ANTHROPIC and part.signature:
            return [{"type": "thinking", "thinking": part.text, "signature": part.signature}]
        self._drop("reasoning")
        return []

    def _result(self, part: ToolResult) -> dict[str, Any]:
        block: dict[str, Any] = {"type": "tool_result", "tool_use_id": safe_id(part.id)}
        content = [block for each in part.content for block in self._part(each)]
        match content:
            case [{"type": "text", "text": text, **others}] if not others:
                block["content"] = text
            case [_, *_]:
                block["content"] = content
        if part.is_error:
            block["is_error"] = True
        return block

    def _media(self, part: Media) -> dict[str, Any]:
        if part.detail not in {"", "auto"}:
            self._drop("detail")
        if part.kind is MediaKind.IMAGE:
            if part.title:
                self._drop("title")
            return {"type": "image", "source": self._given(part) or _image(part)}
        if part.kind is MediaKind.DOCUMENT:
            titled = {"title": part.title} if part.title else {}
            return {"type": "document", "source": self._given(part) or _document(part), **titled}
        raise unsupported(part, f"Anthropic's models take no {part.kind.value}")

    def _given(self, part: Media) -> dict[str, Any] | None:
        """The source of media that are elsewhere; None where they are in the request."""
        if part.url:
            if not self._has_urls:
                raise unsupported(part, "this provider takes no URLs of media; send the data")
            if not part.url.startswith(("https://", "http://")):
                raise unsupported(part, "Anthropic takes URLs of the web only")
            if part.kind is MediaKind.DOCUMENT and part.media_type not in {"", PDF}:
                raise unsupported(part, f"Anthropic reads PDF by URL only, not '{part.media_type[:40]}'")
            return {"type": "url", "url": part.url}
        if part.file_id:
            if not part.file_id.startswith(_FILE_ID):
                raise unsupported(part, "a file's id only means something to the vendor who has the file")
            return {"type": "file", "file_id": part.file_id}
        return None


def unsupported(part: Media, why: str) -> Refused:
    """400 for media that the upstream cannot be given."""
    where = f"'{part.place}': " if part.place else ""
    return invalid_request(f"{where}{why}.", param=part.place or None, code="unsupported_media")


def text_block(text: str) -> dict[str, Any]:
    """A block of text."""
    return {"type": "text", "text": text}


def cache_control(cache: str) -> dict[str, str]:
    """A breakpoint of the prompt cache; five minutes are Anthropic's default."""
    return {"type": "ephemeral", "ttl": cache} if cache == "1h" else {"type": "ephemeral"}


def _cached(block: dict[str, Any], part: Any) -> dict[str, Any]:
    cache = getattr(part, "cache", "")
    if cache:
        block["cache_control"] = cache_control(cache)
    return block


def safe_id(call: str) -> str:
    """A tool call's id in the letters that Anthropic takes; another vendor's may have others."""
    if _ID.fullmatch(call):
        return call
    return f"{_NOT_ID.sub('_', call)}_{sha256(call.encode()).hexdigest()[:8]}"


def _call(part: ToolCall) -> dict[str, Any]:
    text = part.arguments.strip() or "{}"
    try:
        _decode_object(text)
    except UNREADABLE:
        raise invalid_request(
            f"The arguments of the tool call '{part.id}' ({part.name}) are not a JSON object.",
            param="arguments",
            code="invalid_json",
        ) from None
    return {"type": "tool_use", "id": safe_id(part.id), "name": part.name, "input": msgspec.Raw(text.encode())}


def _image(part: Media) -> dict[str, Any]:
    kind = usual_type(part.media_type)
    if not kind:
        kind = next((name for start, name in _BEGINNINGS.items() if part.data.startswith(start)), "")
    if kind not in IMAGES:
        raise unsupported(part, f"Anthropic takes images as {', '.join(IMAGES)}, not as '{kind[:40]}'")
    return {"type": "base64", "media_type": kind, "data": _standard(part.data)}


def _document(part: Media) -> dict[str, Any]:
    kind = usual_type(part.media_type)
    if part.text:
        return {"type": "text", "media_type": "text/plain", "data": part.text}
    if kind == PDF or (not kind and part.data.startswith(_PDF_BEGINNING)):
        return {"type": "base64", "media_type": PDF, "data": _standard(part.data)}
    if kind.startswith("text/") or kind in _PLAIN:
        try:
            return {"type": "text", "media_type": "text/plain", "data": base64.b64decode(_standard(part.data)).decode()}
        except UnicodeDecodeError:
            raise unsupported(part, f"the document says that it is '{kind[:40]}' and is no text") from None
    raise unsupported(part, f"Anthropic takes documents as PDF or text, not as '{kind[:40]}'")


def _standard(data: str) -> str:
    """Base64 in its standard letters and padded, as Anthropic wants it."""
    plain = data.replace("-", "+").replace("_", "/")
    return plain + "=" * (-len(plain) % 4)
