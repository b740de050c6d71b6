"""Names of files."""

from __future__ import annotations

import pytest

from tokenway.dialects.files import PDF, file_name, type_of, usual_type

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


@pytest.mark.parametrize(
    ("title", "media_type", "expected"),
    [
        ("report.pdf", PDF, "report.pdf"),
        ("report.PDF", PDF, "report.PDF"),
        ("report", PDF, "report.pdf"),
        ("Report 1.2", PDF, "Report 1.2.pdf"),
        ("", PDF, "document.pdf"),
        ("", DOCX, "document.docx"),
        ("", "application/x-odd", "document.bin"),
        ("odd", "application/x-odd", "odd"),
    ],
)
def test_a_name_tells_what_the_file_is(title: str, media_type: str, expected: str) -> None:
    """A title keeps its own end where that is known; Bedrock's names have none."""
    assert file_name(title, media_type) == expected


def test_a_type_by_a_name() -> None:
    """In small or capital letters; empty where the name does not tell."""
    assert (type_of("a.b.DOCX"), type_of("a"), type_of("a.odd")) == (DOCX, "", "")


@pytest.mark.parametrize(
    ("given", "usual"),
    [
        ("audio/mp3", "audio/mpeg"),
        ("Audio/X-WAV; rate=16000", "audio/wav"),
        ("image/jpg", "image/jpeg"),
        ("image/png", "image/png"),
        ("", ""),
    ],
)
def test_a_media_type_has_one_spelling(given: str, usual: str) -> None:
    """Whatever its sender calls it."""
    assert usual_type(given) == usual
