"""The messages of a chat request, read into neutral turns.

A role becomes a role, but results: messages of the role `tool` (and the older `function`) that follow each other are
one `USER` turn of tool results, each of which must answer a call that stands before it. An assistant's turn begins with
its reasoning, then comes its content, then its calls, as models make them.

Members of a message that say nothing to a model (`annotations`, what clients echo of an answer) are passed over;
unknown kinds of content become `Foreign` parts, which other dialects declare as dropped.
Sources: OpenAI API reference, "Create chat completion"; OpenRouter's guides for files, video, reasoning and prompt
caching; Google's "OpenAI compatibility" for `extra_content`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from tokenway.dialects.base import UNREADABLE
from tokenway.dialects.openai_chat.words import (
    ENCRYPTED,
    SUMMARY,
    Detail,
    continues,
    details_of,
    is_known,
    sniffed,
    split_data_url,
)
from tokenway.dialects.seal import GEMINI, unseal
from tokenway.dialects.walk import Node, is_base64
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

_Part = Text | Media | Reasoning | ToolCall | ToolResult | Refusal | Foreign

_decode: Final = msgspec.json.Decoder().decode

AUDIO_TYPES: Final[dict[str, str]] = {
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "flac": "audio/flac",
    "opus": "audio/opus",
    "ogg": "audio/ogg",
    "aac": "audio/aac",
    "m4a": "audio/mp4",
    "webm": "audio/webm",
    "aiff": "audio/aiff",
    "pcm16": "audio/pcm",
}
"""`input_audio.format` to media types: OpenAI's two, and those that OpenRouter's guide for audio adds."""

_ENDINGS: Final = {
    "pdf": "application/pdf",
    "txt": "text/plain",
    "md": "text/markdown",
    "csv": "text/csv",
    "html": "text/html",
    "json": "application/json",
    "xml": "application/xml",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
}
"""Media types by the ending of a file's name, for files that come without one."""

_KINDS: Final = {"image": MediaKind.IMAGE, "audio": MediaKind.AUDIO, "video": MediaKind.VIDEO}
_CACHES: Final = {"5m": "5m", "1h": "1h"}


class Conversation:
    """The turns read so far, with the tool calls in them."""

    def __init__(self) -> None:
        self.turns: list[Message] = []
        self._calls: dict[str, ToolCall] = {}
        self._functions: dict[str, ToolCall] = {}
        """The last call of each name that was made without an id."""
        self._results: list[ToolResult] = []

    def take(self, node: Node) -> None:
        """One message; raises Refusal (400) that names the field which is wrong."""
        read = node.need("role").one_of(_ROLES)
        if read not in {Conversation.tool, Conversation.function}:
            self.flush()
        read(self, node)

    def flush(self) -> None:
        """Ends a run of results."""
        if self._results:
            self.turns.append(Message(Role.USER, tuple(self._results)))
            self._results = []

    def _turn(self, role: Role, node: Node, parts: list[_Part]) -> None:
        if parts:
            name = node.at("name")
            self.turns.append(Message(role, _marked(node, parts), "" if name is None else name.text()))

    # -- one method for each role ------------------------------------------------------------------------

    def system(self, node: Node) -> None:
        """Instructions."""
        self._turn(Role.SYSTEM, node, _content(node.need("content")))

    def developer(self, node: Node) -> None:
        """Instructions, by their newer name."""
        self._turn(Role.DEVELOPER, node, _content(node.need("content")))

    def user(self, node: Node) -> None:
        """What a user says and shows; an empty text stays, for a turn has to have something in it."""
        self._turn(Role.USER, node, _content(node.need("content")) or [Text("")])

    def assistant(self, node: Node) -> None:
        """What a model said, with its reasoning and its calls."""
        parts: list[_Part] = [*_reasoning(node)]
        content, refusal, sound = node.at("content"), node.at("refusal"), node.at("audio")
        if content is not None:
            parts += _content(content)
        if refusal is not None and refusal.text():
            parts.append(Refusal(refusal.text()))
        if sound is not None:
            parts.append(Foreign("audio", sound.raw()))
        images = node.at("images")
        for item in images.items() if images is not None else ():
            parts += _image(item)
        calls, function = node.at("tool_calls"), node.at("function_call")
        for item in calls.items() if calls is not None else ():
            call = _call(item)
            self._calls[call.id] = call
            parts.append(call)
        if function is not None:
            call = function_call(function, f"function_{len(self.turns)}")
            self._functions[call.name] = self._calls[call.id] = call
            parts.append(call)
        self._turn(Role.ASSISTANT, node, _signed(parts))

    def tool(self, node: Node) -> None:
        """What a tool gave."""
        identity = node.need("tool_call_id")
        call = self._calls.get(identity.text())
        if call is None:
            raise identity.wrong(f"there is no earlier tool call with the id '{identity.text()[:64]}'")
        self._result(node, call)

    def function(self, node: Node) -> None:
        """What a tool gave, in the way before tools had ids."""
        name = node.need("name")
        call = self._functions.get(name.text())
        if call is None:
            raise name.wrong(f"there is no earlier function call of '{name.text()[:64]}'")
        self._result(node, call)

    def _result(self, node: Node, call: ToolCall) -> None:
        content = node.at("content")
        parts = [] if content is None else _content(content)
        kept = tuple(part for part in parts if isinstance(part, Text | Media))
        if len(kept) < len(parts):
            raise node.need("content").wrong("the result of a tool is text, images or files")
        self._results.append(ToolResult(call.id, kept, call.name, custom=call.custom, cache=cache_of(node)))


_ROLES: Final[dict[str, Callable[[Conversation, Node], None]]] = {
    "system": Conversation.system,
    "developer": Conversation.developer,
    "user": Conversation.user,
    "assistant": Conversation.assistant,
    "tool": Conversation.tool,
    "function": Conversation.function,
}


def cache_of(node: Node) -> str:
    """A breakpoint of the prompt cache, OpenAI's own or Anthropic's and OpenRouter's: empty, `5m` or `1h`."""
    control = node.at("cache_control")
    if control is None:
        return breakpoint_of(node)
    ttl = control.at("ttl")
    return "5m" if ttl is None else ttl.one_of(_CACHES)


def breakpoint_of(node: Node) -> str:
    """OpenAI's `prompt_cache_breakpoint`, whose lifetimes are 30 minutes and 12 hours: empty, `5m` or `1h`."""
    mark = node.at("prompt_cache_breakpoint")
    if mark is None:
        return ""
    lifetime = mark.at("ttl")
    return "1h" if lifetime is not None and lifetime.text() == "12h" else "5m"


def _marked(node: Node, parts: list[_Part]) -> tuple[_Part, ...]:
    """The parts, with the breakpoint of the whole message at the last of them."""
    cache = cache_of(node)
    if cache and isinstance(parts[-1], Text | Media | ToolCall | ToolResult):
        return (*parts[:-1], msgspec.structs.replace(parts[-1], cache=cache))
    return tuple(parts)


# -- content ---------------------------------------------------------------------------------------------


def _content(node: Node) -> list[_Part]:
    """A text or a list of parts."""
    if node.is_text:
        return [Text(node.text())] if node.text() else []
    if not node.is_list:
        raise node.wrong("it must be a text or a list of parts", code="invalid_type")
    parts: list[_Part] = []
    for item in node.items():
        kind = item.need("type").text()
        read = _PARTS.get(kind)
        if read is None:
            parts.append(Foreign(kind, item.raw()))
        else:
            parts += read(item)
    return parts


def _text(node: Node) -> list[_Part]:
    text = node.need("text").text()
    return [Text(text, cache_of(node))] if text else []


def _refusal(node: Node) -> list[_Part]:
    return [Refusal(node.need("refusal").text())]


def _thinking(node: Node) -> list[_Part]:
    """Mistral's reasoning inside of the content."""
    inner = node.need("thinking")
    texts = [inner.text()] if inner.is_text else [item.need("text").text() for item in inner.items()]
    text = "".join(texts)
    return [Reasoning(text)] if text else []


def _image(node: Node) -> list[_Part]:
    place = node.need("image_url")
    url = place if place.is_text else place.need("url")
    detail = None if place.is_text else place.at("detail")
    media = _from_url(MediaKind.IMAGE, url, place.path, "image/png")
    return [msgspec.structs.replace(media, detail="" if detail is None else detail.text(), cache=cache_of(node))]


def _video(node: Node) -> list[_Part]:
    place = node.need("video_url")
    media = _from_url(MediaKind.VIDEO, place if place.is_text else place.need("url"), place.path, "video/mp4")
    return [msgspec.structs.replace(media, cache=cache_of(node))]


def _document(node: Node) -> list[_Part]:
    """Mistral's documents."""
    place = node.need("document_url")
    media = _from_url(MediaKind.DOCUMENT, place if place.is_text else place.need("url"), place.path, "application/pdf")
    name = node.at("document_name")
    return [msgspec.structs.replace(media, title="" if name is None else name.text(), cache=cache_of(node))]


def _audio(node: Node) -> list[_Part]:
    place = node.need("input_audio")
    data, name = place.need("data"), place.at("format")
    split = split_data_url(data.text())
    media_type = "" if name is None else AUDIO_TYPES.get(name.text(), f"audio/{name.text()}")
    if split is not None:
        media_type, text = media_type or split[0], split[1]
        _check(data, text)
    else:
        text = data.base64()
    sound = Media(MediaKind.AUDIO, media_type or "audio/wav", text, place=place.path, cache=cache_of(node))
    return [sound]


def _file(node: Node) -> list[_Part]:
    place = node.need("file")
    data, identity, name = place.at("file_data"), place.at("file_id"), place.at("filename")
    title = "" if name is None else name.text()
    cache = cache_of(node)
    if data is None:
        if identity is None:
            raise place.wrong("it must have 'file_data' or 'file_id'", code="missing_required_parameter")
        return [Media(MediaKind.DOCUMENT, file_id=identity.text(), title=title, place=place.path, cache=cache)]
    default = _ENDINGS.get(title.rpartition(".")[2].lower(), "application/pdf")
    if ":" in data.text()[:_SCHEME]:
        media = _from_url(MediaKind.DOCUMENT, data, place.path, default)
    else:
        text = data.base64()
        media = Media(MediaKind.DOCUMENT, sniffed(text, default), text, place=place.path)
    kind = _KINDS.get(media.media_type.partition("/")[0], MediaKind.DOCUMENT)
    return [msgspec.structs.replace(media, kind=kind, title=title, cache=cache)]


_SCHEME: Final = 12
"""How far into a URL its colon stands at the latest; base64 has none."""

_PARTS: Final[dict[str, Callable[[Node], list[_Part]]]] = {
    "text": _text,
    "image_url": _image,
    "input_audio": _audio,
    "file": _file,
    "video_url": _video,
    "document_url": _document,
    "refusal": _refusal,
    "thinking": _thinking,
}
"""Every other kind of part is a vendor's own."""


def _from_url(kind: MediaKind, url: Node, place: str, default: str) -> Media:
    """Media by a URL, or by the base64 in it."""
    text = url.text()
    if not text.startswith("data:"):
        if ":" not in text[:_SCHEME]:
            raise url.wrong("it must be a URL, or a data URL with base64")
        return Media(kind, url=text, place=place)
    split = split_data_url(text)
    if split is None:
        raise url.wrong("a data URL must be in base64: 'data:TYPE;base64,DATA'")
    media_type, data = split
    _check(url, data)
    return Media(kind, media_type or sniffed(data, default), data, place=place)


def _check(node: Node, data: str) -> None:
    if not is_base64(data):
        raise node.wrong("it is not valid base64", code="invalid_base64")


# -- what a model gave -----------------------------------------------------------------------------------


def _reasoning(node: Node) -> list[_Part]:
    """Former reasoning: OpenRouter's list where there is one, else plain text; unknown items are its own."""
    details = node.at("reasoning_details")
    items = [] if details is None else details.items()
    parts: list[_Part] = [*joined(details_of([item.value for item in items]))]
    if not parts:
        plain = node.at("reasoning_content") or node.at("reasoning")
        parts = [Reasoning(plain.text())] if plain is not None and plain.text() else []
    parts += [Foreign("reasoning_details", item.raw()) for item in items if not is_known(item.value)]
    google = _google(node)
    if google:
        sealed = unseal(google, GEMINI)
        parts.append(Reasoning(signature=sealed.value, format=sealed.format))
    return parts


def _signed(parts: list[_Part]) -> list[_Part]:
    """What Google signed of a call stands at the call: OpenRouter has it in its list, by the call's id."""
    calls = {part.id for part in parts if isinstance(part, ToolCall) and not part.signature}
    given = {
        part.id: part.sealed
        for part in parts
        if isinstance(part, Reasoning) and part.sealed and part.format == GEMINI and not part.text and part.id in calls
    }
    if not given:
        return parts
    found: list[_Part] = []
    for part in parts:
        if isinstance(part, ToolCall) and part.id in given:
            found.append(msgspec.structs.replace(part, signature=given[part.id], format=GEMINI))
        elif not (isinstance(part, Reasoning) and part.sealed and part.id in given):
            found.append(part)
    return found


def joined(details: list[Detail]) -> list[Reasoning]:
    """Items to parts. A client that only collected a stream's pieces sends them as they came."""
    parts: list[Reasoning] = []
    last: Detail | None = None
    for detail in details:
        part = Reasoning(detail.text, detail.signature, detail.sealed, detail.format, detail.kind == SUMMARY, detail.id)
        former = parts[-1] if parts else None
        if former is None or last is None or former.sealed or former.signature:
            parts.append(part)
            last = detail
        elif detail.kind == ENCRYPTED:
            if detail.id and detail.id == last.id:
                parts[-1] = msgspec.structs.replace(former, sealed=detail.sealed)
            else:
                parts.append(part)
                last = detail
        elif continues(last, detail):
            parts[-1] = msgspec.structs.replace(
                former,
                text=former.text + detail.text,
                signature=detail.signature,
                format=detail.format or former.format,
                id=former.id or detail.id,
            )
        else:
            parts.append(part)
            last = detail
    return parts


def _google(node: Node) -> str:
    """Google's thought signature at a call or a message."""
    extra = node.at("extra_content")
    google = extra.at("google") if extra is not None else None
    found = google.at("thought_signature") if google is not None else None
    return "" if found is None else found.text()


def _call(node: Node) -> ToolCall:
    identity, kind = node.need("id").text(), node.at("type")
    if kind is not None and kind.text() == "custom":
        custom = node.need("custom")
        text = custom.need("input").text()
        return ToolCall(identity, custom.need("name").text(), text, custom=True, cache=cache_of(node))
    call = function_call(node.need("function"), identity)
    google = _google(node)
    sealed = unseal(google, GEMINI)
    cache = cache_of(node)
    if not google:
        return msgspec.structs.replace(call, cache=cache)
    return msgspec.structs.replace(call, signature=sealed.value, format=sealed.format, cache=cache)


def function_call(node: Node, identity: str) -> ToolCall:
    """A function's name and its arguments, which are an object as text; nothing counts as an empty one."""
    arguments = node.at("arguments")
    text = "" if arguments is None else arguments.text()
    if arguments is not None and text.strip():
        value: Any = None
        try:
            value = _decode(text)
        except UNREADABLE as error:
            raise arguments.wrong(f"it is not valid JSON: {error}", code="invalid_json") from None
        if value is not None and not isinstance(value, dict):
            raise arguments.wrong("it must be a JSON object as text", code="invalid_json")
        text = text if value is not None else "{}"
    return ToolCall(identity, node.need("name").text(), text if text.strip() else "{}")
