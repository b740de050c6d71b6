"""Words that readers and writers share."""

from __future__ import annotations

import pytest

from tokenway.dialects.openai_chat.words import (
    ENCRYPTED,
    SUMMARY,
    TEXT,
    Detail,
    annotated,
    continues,
    data_url,
    details_of,
    made_call_id,
    searched,
    sniffed,
    split_data_url,
    text_of,
)
from tokenway.model.event import Cited


def test_details_are_read_by_their_type() -> None:
    """Each type has its text in another member; an unknown format counts as none."""
    items = [
        {"type": "reasoning.text", "text": "a", "signature": "s", "format": "anthropic-claude-v1", "index": 0},
        {"type": "reasoning.summary", "summary": "b", "format": "unknown", "id": "rs"},
        {"type": "reasoning.encrypted", "data": "c", "index": None},
    ]
    assert details_of(items) == [
        Detail(TEXT, "a", "s", format="anthropic-claude-v1", index=0),
        Detail(SUMMARY, "b", id="rs"),
        Detail(ENCRYPTED, sealed="c"),
    ]


@pytest.mark.parametrize("items", [None, "x", {}, [1], [{"type": "other", "text": "a"}], [{"type": "reasoning.text"}]])
def test_what_says_nothing_is_passed_over(items: object) -> None:
    """Nulls, other shapes, other types and empty items give nothing."""
    assert details_of(items) == []


@pytest.mark.parametrize(
    ("former", "later", "expected"),
    [
        (Detail(TEXT, "a", index=0), Detail(TEXT, "b", index=0), True),
        (Detail(TEXT, "a", index=0), Detail(TEXT, "b", index=1), False),
        (Detail(TEXT, "a"), Detail(TEXT, "b", index=1), True),
        (Detail(TEXT, "a", index=0), Detail(SUMMARY, "b", index=0), False),
        (Detail(SUMMARY, "a", id="x"), Detail(SUMMARY, "b", id="y"), False),
    ],
)
def test_pieces_of_one_reasoning_agree(former: Detail, later: Detail, *, expected: bool) -> None:
    """In kind, index and id, as far as both say them."""
    assert continues(former, later) is expected


def test_a_made_id_depends_on_its_seed_alone() -> None:
    """The same answer read twice has the same ids, and two calls of it have two."""
    assert made_call_id("a", 1) == made_call_id("a", 1)
    assert made_call_id("a", 1) != made_call_id("a", 2)
    assert len(made_call_id("a")) <= 40


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("data:image/png;base64,AAAA", ("image/png", "AAAA")),
        ("data:IMAGE/JPG;base64,AAAA", ("image/jpeg", "AAAA")),
        ("data:text/plain;charset=utf-8;base64,AAAA", ("text/plain", "AAAA")),
        ("data:;base64,AAAA", ("", "AAAA")),
        ("data:text/plain,hello", None),
        ("data:image/png;base64", None),
        ("https://a.b/c,base64", None),
    ],
)
def test_data_urls_are_taken_apart(url: str, expected: tuple[str, str] | None) -> None:
    """Only those in base64; a misspelt type is set right."""
    assert split_data_url(url) == expected


def test_a_data_url_is_put_together() -> None:
    """As it is taken apart."""
    assert split_data_url(data_url("image/png", "AAAA")) == ("image/png", "AAAA")


def test_a_type_is_told_by_the_beginning() -> None:
    """PNG, JPEG and PDF begin as they do in base64 too; else it is the default."""
    assert sniffed("iVBORw0KGgo=", "x") == "image/png"
    assert sniffed("/9j/4AAQ", "x") == "image/jpeg"
    assert sniffed("JVBERi0x", "x") == "application/pdf"
    assert sniffed("AAAA", "x") == "x"


def test_only_a_text_is_a_text() -> None:
    """Null and numbers are no text."""
    assert [text_of(value) for value in ("a", None, 1)] == ["a", "", ""]


def test_a_source_is_read_from_an_annotation() -> None:
    """With its range, unless that is empty; a file is no source with an address."""
    cited = {"url": "https://a.test", "title": "A", "content": "says", "start_index": 1, "end_index": 3}
    assert annotated({"url_citation": cited}, 2, 1) == Cited(2, "https://a.test", "A", "says", 1, 3, 1)
    empty = {"url": "https://a.test", "start_index": 0, "end_index": 0}
    assert annotated({"url_citation": empty}, 2, 1) == Cited(2, "https://a.test", choice=1)
    for other in ({"type": "file_citation"}, {"url_citation": 1}, None):
        assert annotated(other, 2, 1) is None


def test_sources_are_read_from_what_was_searched() -> None:
    """Objects or addresses; what has no address is none."""
    assert searched([{"url": "u", "title": "t", "snippet": "s"}, "v", {"title": "t"}, 1], 2, 0) == [
        Cited(2, "u", "t", "s"),
        Cited(2, "v"),
    ]
    assert searched("u", 2, 0) == []
