"""Media as parts for a Gemini model: base64 goes inline, a URL as `fileData`, plain text as text.

Gemini wants a media type with everything. Where the caller said none, the beginning of the data tells it, or the
ending of a URL. What no Gemini model reads is refused, with the caller's place of it.

Source: Gemini API, File input methods and Document understanding.
"""

from __future__ import annotations

from typing import Final

from tokenway.dialects.gemini.media_types import guessed_type
from tokenway.model.errors import Refusal, invalid_request
from tokenway.model.request import Media

_BEGINNINGS: Final = {
    "iVBORw0K": "image/png",
    "/9j/": "image/jpeg",
    "_9j_": "image/jpeg",
    "R0lGOD": "image/gif",
    "UklGR": "image/webp",
    "JVBERi": "application/pdf",
}
"""How the base64 of well-known formats begins."""

_KINDS: Final = frozenset({"image", "audio", "video", "text"})
_APPLICATIONS: Final = frozenset(
    {
        *("application/pdf", "application/json", "application/xml", "application/rtf"),
        *("application/javascript", "application/x-javascript", "application/x-python", "application/x-typescript"),
    }
)
_GOOGLE: Final = ("gs://", "https://generativelanguage.googleapis.com/")
"""Beginnings of addresses in Google's own stores, which every endpoint of theirs can read."""


def media_part(media: Media, *, takes_urls: bool) -> dict[str, object]:
    """One piece of media as a part; raises Refusal (400) for what cannot be said."""
    if media.text:
        return {"text": media.text}
    url = media.url or (media.file_id if media.file_id.startswith(_GOOGLE) else "")
    if url:
        return _by_address(media, url, takes_urls=takes_urls)
    if not media.data:
        raise _refused(media, "a file's id of another provider means nothing to a Gemini model")
    kind = media.media_type or guessed_type(media.title) or _by_beginning(media.data)
    if not kind:
        raise _refused(media, "a Gemini model needs the media type of this data")
    if kind.partition("/")[0].lower() not in _KINDS and kind.lower() not in _APPLICATIONS:
        raise _refused(media, f"a Gemini model does not read '{kind[:60]}'")
    return {"inlineData": {"mimeType": kind, "data": media.data}}


def _by_address(media: Media, url: str, *, takes_urls: bool) -> dict[str, object]:
    if not takes_urls and not url.startswith(_GOOGLE):
        raise _refused(media, "this endpoint takes no media by URL; send the data itself in base64")
    if not url.startswith((*_GOOGLE, "https://", "http://")):
        raise _refused(media, "a Gemini model reads addresses of the web and of Google's own stores only")
    found: dict[str, object] = {"fileUri": url}
    kind = media.media_type or guessed_type(url)
    if kind:
        found["mimeType"] = kind
    return {"fileData": found}


def _by_beginning(data: str) -> str:
    return next((kind for start, kind in _BEGINNINGS.items() if data.startswith(start)), "")


def _refused(media: Media, why: str) -> Refusal:
    where = f"'{media.place}'" if media.place else f"the {media.kind.value}"
    return invalid_request(f"{where}: {why}.", param=media.place or None, code="unsupported_media")
