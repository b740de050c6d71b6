"""Formats and names of media."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenway.dialects.bedrock.media import FORMATS, Names, format_of, is_picture, media_block, media_type_of
from tokenway.model.errors import Refusal
from tokenway.model.request import Media, MediaKind

PLACE = "messages[0].content[1].image_url"


@pytest.mark.parametrize("kind", list(MediaKind))
def test_formats_have_media_types(kind: MediaKind) -> None:
    """The usual media type of every format is read as that format again."""
    for name in set(FORMATS[kind].values()):
        assert format_of(Media(kind, media_type_of(kind, name))) == name


@pytest.mark.parametrize(
    ("media", "block"),
    [
        (
            Media(MediaKind.IMAGE, "image/png", "iVBO"),
            {"image": {"format": "png", "source": {"bytes": "iVBO"}}},
        ),
        (
            Media(MediaKind.IMAGE, "image/jpg", "_-8"),
            {"image": {"format": "jpeg", "source": {"bytes": "/+8="}}},
        ),
        (
            Media(MediaKind.IMAGE, url="s3://bucket/a.JPG"),
            {"image": {"format": "jpeg", "source": {"s3Location": {"uri": "s3://bucket/a.JPG"}}}},
        ),
        (
            Media(MediaKind.DOCUMENT, "application/pdf; x=y", "JVBE", title="my report_v2.pdf"),
            {"document": {"format": "pdf", "source": {"bytes": "JVBE"}, "name": "my report v2"}},
        ),
        (
            Media(MediaKind.DOCUMENT, text="hello"),
            {"document": {"format": "txt", "source": {"bytes": "aGVsbG8="}, "name": "Document"}},
        ),
        (
            Media(MediaKind.VIDEO, "video/3gpp", "AAAA"),
            {"video": {"format": "three_gp", "source": {"bytes": "AAAA"}}},
        ),
        (
            Media(MediaKind.AUDIO, "audio/wav", "UklG"),
            {"audio": {"format": "wav", "source": {"bytes": "UklG"}}},
        ),
    ],
)
def test_blocks(media: Media, block: dict[str, object]) -> None:
    """Bytes in standard letters, a place in S3, a document with its name."""
    assert media_block(media, Names()) == block


@pytest.mark.parametrize(
    ("media", "why"),
    [
        (Media(MediaKind.IMAGE, "image/png", url="https://example.com/a.png", place=PLACE), "no image by a URL"),
        (Media(MediaKind.IMAGE, url="https://example.com/picture", place=PLACE), "no image by a URL"),
        (Media(MediaKind.DOCUMENT, "application/pdf", file_id="file-1", place=PLACE), "no document by an id"),
        (Media(MediaKind.IMAGE, file_id="file-1", place=PLACE), "no image by an id"),
        (Media(MediaKind.IMAGE, "image/tiff", "AAAA", place=PLACE), "no image of image/tiff"),
        (Media(MediaKind.IMAGE, "", "AAAA", place=PLACE), "no image of no media type"),
        (Media(MediaKind.AUDIO, "audio/midi", "AAAA", place=PLACE), "no audio of audio/midi"),
    ],
)
def test_what_bedrock_does_not_take(media: Media, why: str) -> None:
    """A URL, an id or a format that Bedrock has not is refused at its place, and why is told."""
    with pytest.raises(Refusal) as raised:
        media_block(media, Names())
    problem = raised.value.problem
    assert (problem.status, problem.param, problem.code) == (400, PLACE, "unsupported_media")
    assert why in problem.message


def test_names_are_plain_and_each_once() -> None:
    """Letters that Bedrock refuses become spaces, an extension goes, and a name that comes again is numbered."""
    names = Names()
    titles = ["a/b.pdf", "a b", "", "héllo (1) [x]-y", "a b 2", "***.txt"]
    assert [names.name(title) for title in titles] == [
        "a b",
        "a b 2",
        "Document",
        "h llo (1) [x]-y",
        "a b 2 2",
        "Document 2",
    ]


@given(st.lists(st.text(max_size=260), max_size=6))
def test_every_name_is_one_that_bedrock_takes(titles: list[str]) -> None:
    """Whatever the title: allowed letters, no two spaces in a row, at most 200, no name twice."""
    names = Names()
    found = [names.name(title) for title in titles]
    assert len(set(found)) == len(found)
    for name in found:
        assert re.fullmatch(r"[A-Za-z0-9()\[\]-]+( [A-Za-z0-9()\[\]-]+)*", name)
        assert len(name) <= 200


def test_pictures_of_answers() -> None:
    """Only an image with bytes in a known format can stand in an answer."""
    assert is_picture(Media(MediaKind.IMAGE, "image/webp", "AAAA"))
    assert not is_picture(Media(MediaKind.IMAGE, "image/webp", url="https://x"))
    assert not is_picture(Media(MediaKind.IMAGE, "image/bmp", "AAAA"))
    assert not is_picture(Media(MediaKind.AUDIO, "audio/wav", "AAAA"))


def test_a_format_that_is_not_known_keeps_its_name() -> None:
    """A format of tomorrow becomes a media type of its kind."""
    assert media_type_of(MediaKind.IMAGE, "avif") == "image/avif"
    assert media_type_of(MediaKind.IMAGE, "") == ""
