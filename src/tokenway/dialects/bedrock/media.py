"""Media in Bedrock's requests and answers: its names of formats, and the names that documents must have.

Source: botocore's service model (ImageFormat, DocumentFormat, VideoFormat, AudioFormat, DocumentBlock).
"""

from __future__ import annotations

import re
from typing import Final

from tokenway.dialects.bedrock.blobs import standard_base64, to_base64
from tokenway.dialects.files import usual_type
from tokenway.model.errors import Refusal, invalid_request
from tokenway.model.request import Media, MediaKind

_OFFICE: Final = "application/vnd.openxmlformats-officedocument"

FORMATS: Final[dict[MediaKind, dict[str, str]]] = {
    MediaKind.IMAGE: {
        "image/png": "png",
        "image/jpeg": "jpeg",
        "image/gif": "gif",
        "image/webp": "webp",
    },
    MediaKind.DOCUMENT: {
        "application/pdf": "pdf",
        "text/csv": "csv",
        "application/msword": "doc",
        f"{_OFFICE}.wordprocessingml.document": "docx",
        "application/vnd.ms-excel": "xls",
        f"{_OFFICE}.spreadsheetml.sheet": "xlsx",
        "text/html": "html",
        "text/plain": "txt",
        "text/markdown": "md",
    },
    MediaKind.VIDEO: {
        "video/x-matroska": "mkv",
        "video/quicktime": "mov",
        "video/mp4": "mp4",
        "video/webm": "webm",
        "video/x-flv": "flv",
        "video/mpeg": "mpeg",
        "video/mpg": "mpg",
        "video/x-ms-wmv": "wmv",
        "video/wmv": "wmv",
        "video/3gpp": "three_gp",
    },
    MediaKind.AUDIO: {
        "audio/mpeg": "mp3",
        "audio/opus": "opus",
        "audio/wav": "wav",
        "audio/aac": "aac",
        "audio/x-aac": "x-aac",
        "audio/flac": "flac",
        "audio/mp4": "mp4",
        "audio/m4a": "m4a",
        "audio/x-m4a": "m4a",
        "audio/ogg": "ogg",
        "audio/x-matroska": "mkv",
        "audio/mpga": "mpga",
        "audio/pcm": "pcm",
        "audio/webm": "webm",
    },
}
"""Media types to Bedrock's formats; of several types for a format the first is the usual one."""

_TYPES: Final = {
    kind: {name: media_type for media_type, name in reversed(names.items())} for kind, names in FORMATS.items()
}
_BLOCKS: Final = {kind: kind.value for kind in MediaKind}
_S3: Final = "s3://"
_UNNAMEABLE: Final = re.compile(r"[^A-Za-z0-9()\[\]\s-]+")
_SPACES: Final = re.compile(r"\s+")
_EXTENSION: Final = re.compile(r"\.[A-Za-z0-9]{1,5}$")
_NAME_MAX: Final = 200


def media_type_of(kind: MediaKind, name: str) -> str:
    """The media type of one of Bedrock's formats; one that is not known is named after its kind."""
    return _TYPES[kind].get(name) or (f"{kind.value}/{name}" if name else "")


def format_of(media: Media) -> str:
    """Bedrock's format for a piece of media; raises Refusal (400) when it has none."""
    plain = usual_type(media.media_type)
    if not plain and media.url:
        extension = media.url.rpartition(".")[2].lower()
        name = {"jpg": "jpeg", "3gp": "three_gp"}.get(extension, extension)
        if name in _TYPES[media.kind]:
            return name
    if media.text and not plain:
        return "txt"
    formats = FORMATS[media.kind]
    name = formats.get(media.media_type.lower()) or formats.get(plain, "")
    if not name:
        shown = plain or "no media type"
        known = ", ".join(formats)
        raise _unsupported(media, f"Bedrock takes no {media.kind.value} of {shown[:60]}; it takes {known}")
    return name


def is_picture(media: Media) -> bool:
    """Whether an answer can hold it: an image of a format that Bedrock has."""
    return media.kind is MediaKind.IMAGE and bool(media.data) and usual_type(media.media_type) in FORMATS[media.kind]


class Names:
    """The names of a request's documents: plain, and each once. Bedrock refuses others."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def name(self, title: str) -> str:
        """A name after a document's title or file name."""
        plain = _SPACES.sub(" ", _UNNAMEABLE.sub(" ", _EXTENSION.sub("", title))).strip()[: _NAME_MAX - 10].strip()
        wanted = plain or "Document"
        name, number = wanted, 1
        while name in self._taken:
            number += 1
            name = f"{wanted} {number}"
        self._taken.add(name)
        return name


def media_block(media: Media, names: Names) -> dict[str, object]:
    """A block of a request; raises Refusal (400) at the media's place for what Bedrock does not take."""
    source = _source(media)
    shape: dict[str, object] = {"format": format_of(media), "source": source}
    if media.kind is MediaKind.DOCUMENT:
        shape["name"] = names.name(media.title)
    return {_BLOCKS[media.kind]: shape}


def _source(media: Media) -> dict[str, object]:
    if media.data:
        return {"bytes": standard_base64(media.data)}
    if media.text:
        return {"bytes": to_base64(media.text.encode())}
    if media.url.startswith(_S3):
        return {"s3Location": {"uri": media.url}}
    what = "by a URL; send its bytes, or a place in S3" if media.url else "by an id; send its bytes"
    raise _unsupported(media, f"Bedrock takes no {media.kind.value} {what}")


def _unsupported(media: Media, message: str) -> Refusal:
    where = f"'{media.place}': " if media.place else ""
    return invalid_request(f"{where}{message}.", param=media.place or None, code="unsupported_media")
