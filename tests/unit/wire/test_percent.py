"""Percent-encoding."""

from __future__ import annotations

from urllib.parse import quote as quote_by_urllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenway.wire.percent import quote, unquote


@given(st.text(st.characters(exclude_categories=["Cs"])), st.sampled_from(["", "/", "/:"]))
def test_quoting_is_that_of_the_standard_library(text: str, safe: str) -> None:
    """What `urllib` encodes is encoded, and comes back."""
    assert quote(text, safe) == quote_by_urllib(text, safe=safe)
    assert unquote(quote(text)) == text


@pytest.mark.parametrize(
    ("text", "plain"), [("a:b/c", "a:b/c"), ("100%", "100%"), ("%zz%3a", "%zz:"), ("%ff", "\ufffd")]
)
def test_what_is_not_encoded_stays(text: str, plain: str) -> None:
    """A name that was decoded before is not decoded to something else."""
    assert unquote(text) == plain
