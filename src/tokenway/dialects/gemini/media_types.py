"""Media types: what they are, and which one a URL's ending tells. Gemini wants one with everything that is no text."""

from __future__ import annotations

from typing import Final

from tokenway.model.request import MediaKind

_EXTENSIONS: Final = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "heic": "image/heic",
    "heif": "image/heif",
    "bmp": "image/bmp",
    "svg": "image/svg+xml",
    "pdf": "application/pdf",
    "txt": "text/plain",
    "md": "text/markdown",
    "csv": "text/csv",
    "html": "text/html",
    "htm": "text/html",
    "json": "application/json",
    "xml": "text/xml",
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "ogg": "audio/ogg",
    "flac": "audio/flac",
    "aac": "audio/aac",
    "m4a": "audio/mp4",
    "mp4": "video/mp4",
    "mov": "video/quicktime",
    "webm": "video/webm",
    "mpeg": "video/mpeg",
    "mpg": "video/mpeg",
    "avi": "video/x-msvideo",
}


def guessed_type(url: str) -> str:
    """The media type that a URL's ending tells; empty where it tells none."""
    end = url.partition("#")[0].partition("?")[0].rpartition("/")[2]
    name, dot, extension = end.rpartition(".")
    return _EXTENSIONS.get(extension.lower(), "") if dot and name else ""


def kind_of(media_type: str) -> MediaKind:
    """What a media type is."""
    start = media_type.partition("/")[0].lower()
    return MediaKind(start) if start in {"image", "audio", "video"} else MediaKind.DOCUMENT
