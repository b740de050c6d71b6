"""Neutral turns as messages of a chat request.

The dialect wants the result of a tool in a message of its own, right behind the call, and in text. So of the user's
turns that follow each other the results come first, each as a `tool` message, then what the user said; images and files
that a tool gave stand at the beginning of that. A turn that is only text is sent as one text, because servers that copy
the dialect often know no lists there.
Source: OpenAI API reference, "Create chat completion".
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable
from itertools import groupby
from typing import Any, Final

import msgspec

from tokenway.dialects.files import file_name, usual_type
from tokenway.dialects.openai_chat.answer import details_from, signature
from tokenway.dialects.openai_chat.read_messages import AUDIO_TYPES
from tokenway.dialects.openai_chat.words import data_url, sniffed
from tokenway.dialects.seal import GEMINI
from tokenway.model.catalog import Quirks
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

_AUDIO_FORMATS: Final = {kind: name for name, kind in AUDIO_TYPES.items()}

_WEB: Final = ("https://", "http://")

_BETWEEN: Final = "\n\n"
"""Between texts that were apart: instructions, what a user said, what a tool gave."""
_ERROR: Final = "Error: "
"""How the result of a tool that failed begins; the dialect has no other mark for it."""

DETAILS: Final = "reasoning_details"
CONTENT: Final = "reasoning_content"
EXTRA: Final = "extra_content"
"""The values of `Quirks.reasoning_field`."""


class Messages:
    """Writes the turns of one request; `dropped` are the names of what could not be said, in the order of the turns."""

    def __init__(self, quirks: Quirks) -> None:
        self._quirks = quirks
        self.dropped: dict[str, None] = {}
        self.written: list[dict[str, Any]] = []

    def write(self, turns: Iterable[Message]) -> list[dict[str, Any]]:
        """The messages; raises Refusal (400) for media that cannot be said."""
        for role, run in groupby(turns, key=lambda turn: turn.role):
            if role is Role.USER:
                self._user(list(run))
            elif role is Role.ASSISTANT:
                for turn in _joined(run):
                    self._assistant(turn)
            else:
                for turn in run:
                    _ROLES[role](self, turn)
        return self.written

    def drop(self, name: str) -> None:
        """Sets down that something could not be said."""
        self.dropped[name] = None

    def _put(self, turn: Message | None, message: dict[str, Any]) -> None:
        if turn is not None and turn.name:
            message["name"] = turn.name
        self.written.append(message)

    # -- turns -------------------------------------------------------------------------------------------

    def _system(self, turn: Message) -> None:
        for part in turn.parts:
            if isinstance(part, Media) and inlined(part) is None:
                raise unsupported(part, "this model takes text only in a system message")
        is_developer = turn.role is Role.DEVELOPER and self._quirks.developer_role
        content = self._content(turn.parts)
        if content:
            self._put(turn, {"role": "developer" if is_developer else "system", "content": content})

    def _user(self, run: list[Message]) -> None:
        """The results of a run of the user's turns, then each turn without them."""
        shown: list[Text | Media] = []
        for turn in run:
            for part in turn.parts:
                if isinstance(part, ToolResult):
                    shown += self._result(part)
        for turn in run:
            rest = [part for part in turn.parts if not isinstance(part, ToolResult)]
            content = self._content([*shown, *rest])
            if content or any(isinstance(part, Text) for part in rest):
                self._put(turn, {"role": "user", "content": content})
                shown = []
        if shown:
            self._put(None, {"role": "user", "content": self._content(shown)})

    def _result(self, part: ToolResult) -> list[Text | Media]:
        """Writes the message of a result; what of it must be shown in another message."""
        if part.cache:
            self.drop("cache_control")
        texts: list[str] = []
        shown: list[Text | Media] = []
        for item in part.content:
            text = item.text if isinstance(item, Text) else inlined(item)
            if text is None:
                shown.append(item)
            else:
                texts.append(text)
            if isinstance(item, Text) and item.cache:
                self.drop("cache_control")
        content = (_ERROR if part.is_error else "") + _BETWEEN.join(texts)
        self._put(None, {"role": "tool", "tool_call_id": part.id, "content": content})
        return shown

    def _assistant(self, turn: Message) -> None:
        texts = [part.text for part in turn.parts if isinstance(part, Text)]
        refusals = [part.text for part in turn.parts if isinstance(part, Refusal)]
        calls = [self._call(part) for part in turn.parts if isinstance(part, ToolCall)]
        message: dict[str, Any] = {"role": "assistant", "content": "".join(texts) if texts else None}
        if refusals:
            message["refusal"] = "".join(refusals)
        if calls:
            message["tool_calls"] = calls
        message |= self._reasoning(turn)
        for part in turn.parts:
            if isinstance(part, Media):
                raise unsupported(part, "this model takes no images or files in its own turns")
            if isinstance(part, Foreign):
                self.drop(part.name)
            elif isinstance(part, Text | ToolCall) and part.cache:
                self.drop("cache_control")
        if message["content"] is not None or len(message) > len(("role", "content")):
            self._put(turn, message)

    def _call(self, part: ToolCall) -> dict[str, Any]:
        """A call; Google's signature at it goes back to Google alone."""
        inner, name = ("custom", "input") if part.custom else ("function", "arguments")
        call: dict[str, Any] = {"id": part.id, "type": inner, inner: {"name": part.name, name: part.arguments}}
        field = self._quirks.reasoning_field
        if part.signature and part.format == GEMINI and field == EXTRA:
            call["extra_content"] = signature(part.signature, part.format)
        elif part.signature and field != DETAILS:
            self.drop("reasoning")
        return call

    def _reasoning(self, turn: Message) -> dict[str, Any]:
        """Former reasoning, where the upstream takes it back."""
        field = self._quirks.reasoning_field
        if field == DETAILS:
            details = details_from(_with_calls(turn))
            return {DETAILS: details} if details else {}
        thoughts = [part for part in turn.parts if isinstance(part, Reasoning)]
        if not thoughts:
            return {}
        if field != CONTENT or any(part.sealed or part.signature for part in thoughts):
            self.drop("reasoning")
        text = "".join(part.text for part in thoughts)
        return {CONTENT: text} if field == CONTENT and text else {}

    # -- content -----------------------------------------------------------------------------------------

    def _content(self, parts: Iterable[Any]) -> Any:
        """One text where there is nothing else, else a list of parts."""
        written: list[dict[str, Any]] = []
        for part in parts:
            if isinstance(part, Foreign):
                self.drop(part.name)
                continue
            if getattr(part, "cache", ""):
                self.drop("cache_control")
            written.append(self._part(part))
        if all(part["type"] == "text" for part in written):
            return _BETWEEN.join(part["text"] for part in written)
        return written

    def _part(self, part: Any) -> dict[str, Any]:
        if isinstance(part, Media):
            if part.detail and part.kind is not MediaKind.IMAGE:
                self.drop("detail")
            text = inlined(part)
            if text is not None:
                return {"type": "text", "text": text}
            if part.title and not (part.kind is MediaKind.DOCUMENT and part.data):
                self.drop("title")
            return _MEDIA[part.kind](self, part)
        return {"type": "text", "text": part.text}

    def _image(self, part: Media) -> dict[str, Any]:
        if part.url and not self._quirks.image_urls:
            raise unsupported(part, "this model takes no images by URL; send the image itself")
        if not part.url and not part.data:
            raise unsupported(part, "this model takes no images by a file's id")
        _check_type(part, "image/")
        _check_url(part)
        url = part.url or data_url(part.media_type or sniffed(part.data, "image/png"), part.data)
        return {"type": "image_url", "image_url": {"url": url} | ({"detail": part.detail} if part.detail else {})}

    def _document(self, part: Media) -> dict[str, Any]:
        if part.file_id.startswith("file-"):
            return {"type": "file", "file": {"file_id": part.file_id}}
        if not part.data:
            raise unsupported(part, "this model takes documents only with their content, not by URL or another's id")
        media_type = part.media_type or sniffed(part.data, "application/pdf")
        name = file_name(part.title, media_type)
        return {"type": "file", "file": {"filename": name, "file_data": data_url(media_type, part.data)}}

    def _audio(self, part: Media) -> dict[str, Any]:
        if not part.data:
            raise unsupported(part, "this model takes sound only with its data")
        name = _AUDIO_FORMATS.get(usual_type(part.media_type))
        if name is None:
            raise unsupported(part, f"this model takes no sound of the type '{part.media_type}'")
        return {"type": "input_audio", "input_audio": {"data": part.data, "format": name}}

    def _video(self, part: Media) -> dict[str, Any]:
        if not part.url and not part.data:
            raise unsupported(part, "this model takes no films by a file's id")
        _check_type(part, "video/")
        _check_url(part)
        url = part.url or data_url(part.media_type or "video/mp4", part.data)
        return {"type": "video_url", "video_url": {"url": url}}


_ROLES: Final[dict[Role, Callable[[Messages, Message], None]]] = {
    Role.SYSTEM: Messages._system,  # noqa: SLF001 - the table of this module's own class
    Role.DEVELOPER: Messages._system,  # noqa: SLF001
}
_MEDIA: Final[dict[MediaKind, Callable[[Messages, Media], dict[str, Any]]]] = {
    MediaKind.IMAGE: Messages._image,  # noqa: SLF001
    MediaKind.DOCUMENT: Messages._document,  # noqa: SLF001
    MediaKind.AUDIO: Messages._audio,  # noqa: SLF001
    MediaKind.VIDEO: Messages._video,  # noqa: SLF001
}


def _joined(run: Iterable[Message]) -> Iterable[Message]:
    """The model's turns, with one that follows calls joined to them: their results must come next."""
    before: Message | None = None
    for turn in run:
        if before is not None and any(isinstance(part, ToolCall) for part in before.parts):
            before = msgspec.structs.replace(before, parts=before.parts + turn.parts)
            continue
        if before is not None:
            yield before
        before = turn
    if before is not None:
        yield before


def _with_calls(turn: Message) -> list[Reasoning]:
    """A turn's reasoning for OpenRouter, where what Google signed of a turn with calls has the id of the first."""
    calls = [part for part in turn.parts if isinstance(part, ToolCall)]
    thoughts = [part for part in turn.parts if isinstance(part, Reasoning)]
    if not calls:
        return thoughts
    whose = [
        msgspec.structs.replace(part, id=calls[0].id) if part.sealed and part.format == GEMINI and not part.id else part
        for part in thoughts
    ]
    return whose + [
        Reasoning(sealed=call.signature, format=call.format, id=call.id) for call in calls if call.signature
    ]


def inlined(part: Media) -> str | None:
    """A plain document as text below its title; None for anything else."""
    if part.text:
        text = part.text
    elif part.kind is MediaKind.DOCUMENT and part.media_type.startswith("text/") and part.data:
        plain = part.data.replace("-", "+").replace("_", "/")
        text = base64.b64decode(plain + "=" * (-len(plain) % 4)).decode("utf-8", "replace")
    else:
        return None
    return f"{part.title}{_BETWEEN}{text}" if part.title else text


def unsupported(part: Media, message: str) -> Refused:
    """400 for media that this dialect cannot say, with the caller's place of it."""
    where = f"'{part.place}': " if part.place else ""
    return invalid_request(f"{where}{message}.", param=part.place or None, code="unsupported_media")


def _check_url(part: Media) -> None:
    if part.url and not part.url.startswith(_WEB):
        raise unsupported(part, "this model takes addresses of the web only, not a vendor's own store")


def _check_type(part: Media, beginning: str) -> None:
    if part.media_type and not part.media_type.startswith(beginning):
        raise unsupported(part, f"'{part.media_type[:40]}' is no type of such media")
