"""Media types: what they are, and what a URL's ending tells."""

from __future__ import annotations

import pytest

from tokenway.dialects.gemini.media_types import guessed_type, kind_of
from tokenway.model.request import MediaKind


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://x.test/a/cat.PNG", "image/png"),
        ("https://x.test/cat.jpeg?size=3.gif#top.mp3", "image/jpeg"),
        ("report.pdf", "application/pdf"),
        ("https://x.test/png", ""),
        ("https://x.test/.png", ""),
        ("https://x.test/cat.unknown", ""),
        ("https://x.png/cat", ""),
    ],
)
def test_the_ending_tells(url: str, expected: str) -> None:
    """The last extension of the path counts, not of the query, the fragment or the host."""
    assert guessed_type(url) == expected


@pytest.mark.parametrize(
    ("media_type", "kind"),
    [
        ("image/png", MediaKind.IMAGE),
        ("Audio/mpeg", MediaKind.AUDIO),
        ("video/mp4", MediaKind.VIDEO),
        ("application/pdf", MediaKind.DOCUMENT),
        ("", MediaKind.DOCUMENT),
    ],
)
def test_kinds(media_type: str, kind: MediaKind) -> None:
    """What is no picture, sound or film is a document."""
    assert kind_of(media_type) is kind
