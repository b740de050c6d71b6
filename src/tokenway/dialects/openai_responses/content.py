"""The content of a message or of a tool's output: a caller's parts to neutral ones, and neutral ones to parts.

Source: OpenAI API reference, Responses, `input`: `input_text`, `input_image`, `input_file`, `input_audio`, and
`output_text` and `refusal` of the model's own messages.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tokenway.dialects.files import PDF, file_name, type_of, usual_type
from tokenway.dialects.openai_chat.read_messages import breakpoint_of
from tokenway.dialects.walk import Node, is_base64
from tokenway.model.errors import Refusal as Refused
from tokenway.model.errors import invalid_request
from tokenway.model.request import (
    Foreign,
    Media,
    MediaKind,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)

Part = Text | Media | Reasoning | ToolCall | ToolResult | Refusal | Foreign

_WEB: Final = ("https://", "http://")
_ANTHROPICS_FILE: Final = "file_"
"""How the ids of Anthropic's files begin; OpenAI's and Azure's have a hyphen there."""
_SOUNDS: Final = {"wav": "audio/wav", "mp3": "audio/mpeg"}
_SOUND_FORMATS: Final = {media_type: name for name, media_type in _SOUNDS.items()}


def read_content(content: Node, *, of_tool: bool = False) -> tuple[Part, ...]:
    """A text, or a list of parts; raises Refusal (400) that names the place of what is wrong.

    A tool's output has no refusals: it is `of_tool`.
    """
    if content.is_text:
        return (Text(content.text()),)
    if not content.is_list:
        raise content.wrong("it must be a text or a list of parts", code="invalid_type")
    return tuple(_read_part(part, of_tool=of_tool) for part in content.items())


def _read_part(part: Node, *, of_tool: bool) -> Part:
    name = part.need("type").text()
    reader = _PARTS.get(name)
    if reader is None or (of_tool and name == "refusal"):
        return Foreign(name, part.raw())
    return reader(part)


def _read_text(part: Node) -> Part:
    return Text(part.need("text").text(), breakpoint_of(part))


def _read_refusal(part: Node) -> Part:
    return Refusal(part.need("refusal").text())


def _read_image(part: Node) -> Part:
    look = _detail(part)
    url = part.at("image_url")
    if url is not None:
        return _located(MediaKind.IMAGE, url, detail=look, cache=breakpoint_of(part))
    name = part.at("file_id")
    if name is None:
        raise part.wrong("an image needs an 'image_url' or a 'file_id'", code="missing_required_parameter")
    return Media(MediaKind.IMAGE, file_id=name.text(), detail=look, cache=breakpoint_of(part), place=name.path)


def _read_file(part: Node) -> Part:
    filename = part.at("filename")
    title = "" if filename is None else filename.text()
    look = _detail(part)
    data, url, name = part.at("file_data"), part.at("file_url"), part.at("file_id")
    if data is not None and not data.text().startswith("data:"):
        media_type = type_of(title)
        return Media(
            MediaKind.DOCUMENT,
            media_type,
            data.base64(),
            title=title,
            detail=look,
            cache=breakpoint_of(part),
            place=data.path,
        )
    given = data or url
    if given is not None:
        return _located(MediaKind.DOCUMENT, given, title=title, detail=look, cache=breakpoint_of(part))
    if name is None:
        raise part.wrong("a file needs 'file_data', 'file_url' or 'file_id'", code="missing_required_parameter")
    return Media(
        MediaKind.DOCUMENT, file_id=name.text(), title=title, detail=look, cache=breakpoint_of(part), place=name.path
    )


def _read_audio(part: Node) -> Part:
    sound = part.need("input_audio")
    media_type = sound.need("format").one_of(_SOUNDS)
    data = sound.need("data")
    return Media(MediaKind.AUDIO, media_type, data.base64(), cache=breakpoint_of(part), place=data.path)


_PARTS: Final[dict[str, Callable[[Node], Part]]] = {
    "input_text": _read_text,
    "output_text": _read_text,
    "text": _read_text,
    "input_image": _read_image,
    "input_file": _read_file,
    "input_audio": _read_audio,
    "refusal": _read_refusal,
}


def _located(kind: MediaKind, node: Node, *, title: str = "", detail: str = "", cache: str = "") -> Media:
    """Media by a data URL or by an address."""
    url = node.text()
    if not url.startswith("data:"):
        if not url.startswith(_WEB):
            raise node.wrong("it is neither a data URL nor an http(s) URL")
        return Media(kind, url=url, title=title, detail=detail, cache=cache, place=node.path)
    head, comma, data = url[len("data:") :].partition(",")
    media_type, *marks = head.split(";")
    if not comma or "base64" not in marks:
        raise node.wrong("a data URL must hold base64", code="invalid_base64")
    if not is_base64(data):
        raise node.wrong("it is not valid base64", code="invalid_base64")
    kinds = {each.value: each for each in (MediaKind.IMAGE, MediaKind.AUDIO, MediaKind.VIDEO)}
    kind = kinds.get(media_type.partition("/")[0], kind)
    return Media(kind, media_type, data, title=title, detail=detail, cache=cache, place=node.path)


def _detail(part: Node) -> str:
    """How closely to look at it; `auto` is the default."""
    detail = part.at("detail")
    return "" if detail is None or detail.text() == "auto" else detail.text()


# -- writing -------------------------------------------------------------------------------------------------


def write_part(part: Text | Media, *, image_urls: bool) -> dict[str, object]:
    """A part of a user's message or of a tool's output.

    Raises Refusal (400) for what this API has no part for. `image_urls` is whether images may be given by URL.
    """
    if isinstance(part, Media) and (
        (part.url and not part.url.startswith(_WEB)) or part.file_id.startswith(_ANTHROPICS_FILE)
    ):
        raise unsupported(part)
    if isinstance(part, Text):
        return {"type": "input_text", "text": part.text}
    if part.kind is MediaKind.IMAGE:
        return _image(part, image_urls=image_urls)
    if part.kind is MediaKind.DOCUMENT:
        return _file(part)
    form = _SOUND_FORMATS.get(usual_type(part.media_type))
    if part.kind is MediaKind.AUDIO and part.data and form:
        return {"type": "input_audio", "input_audio": {"data": part.data, "format": form}}
    raise unsupported(part)


def _image(part: Media, *, image_urls: bool) -> dict[str, object]:
    shape: dict[str, object] = {"type": "input_image", "detail": part.detail or "auto"}
    if part.data and part.media_type:
        shape["image_url"] = f"data:{part.media_type};base64,{part.data}"
    elif part.url and image_urls:
        shape["image_url"] = part.url
    elif part.file_id:
        shape["file_id"] = part.file_id
    else:
        raise unsupported(part)
    return shape


def _file(part: Media) -> dict[str, object]:
    if part.text:
        return {"type": "input_text", "text": f"{part.title}\n\n{part.text}" if part.title else part.text}
    shape: dict[str, object] = {"type": "input_file"}
    if part.detail:
        shape["detail"] = part.detail
    if part.data:
        media_type = part.media_type or PDF
        shape["filename"] = file_name(part.title, media_type)
        shape["file_data"] = f"data:{media_type};base64,{part.data}"
    elif part.url:
        shape["file_url"] = part.url
    elif part.file_id:
        shape["file_id"] = part.file_id
    else:
        raise unsupported(part)
    return shape


def unsupported(part: Media) -> Refused:
    """400 for media that the upstream's API does not take in this place."""
    how = f"{part.media_type or part.kind.value} by {'URL' if part.url else 'file id' if part.file_id else 'data'}"
    return invalid_request(
        f"'{part.place or part.kind.value}': the upstream does not take {how} here.",
        param=part.place or None,
        code="unsupported_media",
    )
