"""The header fields of an answer."""

from __future__ import annotations

from tokenway.upstream.base import Headers


def test_the_first_of_repeated_fields_counts() -> None:
    """`get` gives the value that came first, and iteration gives all."""
    headers = Headers({b"retry-after": b"1"}, [(b"retry-after", b"9")])
    assert headers.get(b"retry-after") == b"1"
    assert list(headers) == [(b"retry-after", b"1"), (b"retry-after", b"9")]
    assert len(headers) == 2


def test_a_field_that_did_not_come_is_none() -> None:
    """`get` of an absent name gives None."""
    assert Headers({}).get(b"retry-after") is None
    assert len(Headers({})) == 0


def test_spaces_around_a_value_do_not_belong_to_it() -> None:
    """The parser strips the spaces before a value, `get` those after it."""
    assert Headers({b"content-type": b"text/html \t"}).get(b"content-type") == b"text/html"


def test_the_text_form_shows_names_only() -> None:
    """A value can be a cookie: `repr` leaves it out."""
    assert "hunter2" not in repr(Headers({b"set-cookie": b"hunter2"}))


def test_fields_are_found_by_how_their_names_begin() -> None:
    """All of them, with those that came again at the end."""
    headers = Headers({b"a-1": b"x", b"b-1": b"y", b"c": b"z"}, [(b"a-1", b"again"), (b"d", b"w")])
    assert headers.beginning((b"a-", b"c")) == [(b"a-1", b"x"), (b"c", b"z"), (b"a-1", b"again")]
    assert headers.beginning((b"e",)) == []


def test_whether_any_of_some_names_came() -> None:
    """One of them is enough; a repeated field is there under its name already."""
    headers = Headers({b"a": b"x", b"b": b"y"}, [(b"a", b"again")])
    assert headers.has_any(frozenset({b"b", b"c"}))
    assert not headers.has_any(frozenset({b"c"}))
    assert not headers.has_any(frozenset())
