"""Media as parts for a Gemini model."""

from __future__ import annotations

import pytest

from tokenway.dialects.gemini.media import media_part
from tokenway.model.errors import Refusal
from tokenway.model.request import Media, MediaKind

IMAGE = MediaKind.IMAGE
DOCUMENT = MediaKind.DOCUMENT


@pytest.mark.parametrize(
    ("media", "expected"),
    [
        (Media(IMAGE, "image/png", data="AAAA"), {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}),
        (Media(IMAGE, data="/9j/AA=="), {"inlineData": {"mimeType": "image/jpeg", "data": "/9j/AA=="}}),
        (Media(DOCUMENT, data="AAAA", title="a.pdf"), {"inlineData": {"mimeType": "application/pdf", "data": "AAAA"}}),
        (Media(MediaKind.AUDIO, "audio/wav", data="AAAA"), {"inlineData": {"mimeType": "audio/wav", "data": "AAAA"}}),
        (
            Media(IMAGE, url="https://x.test/a.webp"),
            {"fileData": {"fileUri": "https://x.test/a.webp", "mimeType": "image/webp"}},
        ),
        (Media(IMAGE, url="https://x.test/a"), {"fileData": {"fileUri": "https://x.test/a"}}),
        (
            Media(IMAGE, "image/gif", url="https://x.test/a"),
            {"fileData": {"fileUri": "https://x.test/a", "mimeType": "image/gif"}},
        ),
        (
            Media(DOCUMENT, file_id="gs://b/a.pdf"),
            {"fileData": {"fileUri": "gs://b/a.pdf", "mimeType": "application/pdf"}},
        ),
        (Media(DOCUMENT, "text/plain", text="words"), {"text": "words"}),
    ],
)
def test_media_become_parts(media: Media, expected: dict[str, object]) -> None:
    """Data goes inline, an address as file data, a plain document as text; a missing type is found where it can be."""
    assert media_part(media, takes_urls=True) == expected


@pytest.mark.parametrize(
    "media",
    [
        Media(IMAGE, data="AAAA", place="p"),
        Media(DOCUMENT, "application/zip", data="AAAA", place="p"),
        Media(DOCUMENT, file_id="file-abc", place="p"),
    ],
)
def test_what_no_gemini_model_reads_is_refused(media: Media) -> None:
    """Data of an unknown type and other providers' files are a 400 with their place."""
    with pytest.raises(Refusal) as caught:
        media_part(media, takes_urls=True)
    problem = caught.value.problem
    assert (problem.status, problem.param, problem.code) == (400, "p", "unsupported_media")


def test_addresses_are_refused_where_an_endpoint_takes_none() -> None:
    """Only Google's own stores are read by every endpoint."""
    with pytest.raises(Refusal) as caught:
        media_part(Media(IMAGE, url="https://x.test/a.png"), takes_urls=False)
    assert "base64" in caught.value.problem.message
    assert media_part(Media(IMAGE, url="gs://b/a.png"), takes_urls=False) == {
        "fileData": {"fileUri": "gs://b/a.png", "mimeType": "image/png"}
    }
