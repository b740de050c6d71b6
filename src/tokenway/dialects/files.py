"""Names of files and of media types.

OpenAI tells what a file is by the end of its name, other dialects by a media type or a format.
"""

from __future__ import annotations

from typing import Final

PDF: Final = "application/pdf"
TYPES: Final = {
    "csv": "text/csv",
    "doc": "application/msword",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "html": "text/html",
    "json": "application/json",
    "md": "text/markdown",
    "pdf": PDF,
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "txt": "text/plain",
    "xls": "application/vnd.ms-excel",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "xml": "text/xml",
}
"""Media types of files by the end of their name."""
_USUAL: Final = {
    "image/jpg": "image/jpeg",
    "audio/mp3": "audio/mpeg",
    "audio/x-mp3": "audio/mpeg",
    "audio/wave": "audio/wav",
    "audio/x-wav": "audio/wav",
    "audio/vnd.wave": "audio/wav",
    "audio/m4a": "audio/mp4",
    "audio/x-m4a": "audio/mp4",
    "audio/x-aac": "audio/aac",
    "audio/x-flac": "audio/flac",
    "audio/x-aiff": "audio/aiff",
}
"""Media types that have several spellings; Google's own guide writes `audio/mp3`."""
_ENDS: Final = {media_type: end for end, media_type in TYPES.items()}


def usual_type(media_type: str) -> str:
    """The usual spelling of a media type, without its parameters."""
    plain = media_type.partition(";")[0].strip().lower()
    return _USUAL.get(plain, plain)


def type_of(name: str) -> str:
    """The media type of a file with this name; empty where it does not tell."""
    return TYPES.get(name.rpartition(".")[2].lower(), "")


def file_name(title: str, media_type: str) -> str:
    """A name for a file: its title, with an end that tells what it is."""
    end = _ENDS.get(media_type, "")
    if title and (type_of(title) or not end):
        return title
    return f"{title or 'document'}.{end or 'bin'}"
