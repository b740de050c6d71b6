"""Opaque bytes in JSON."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenway.dialects.bedrock.blobs import from_base64, make_blob, open_blob, standard_base64


@given(st.binary(max_size=40), st.booleans(), st.booleans())
def test_base64_in_any_letters(data: bytes, is_safe: bool, is_padded: bool) -> None:
    """Standard and URL-safe letters, padded or not, are the same bytes, and become what Bedrock takes."""
    text = (base64.urlsafe_b64encode if is_safe else base64.b64encode)(data).decode()
    given_text = text if is_padded else text.rstrip("=")
    assert from_base64(given_text) == data
    assert standard_base64(given_text) == base64.b64encode(data).decode()


@pytest.mark.parametrize("text", ["a", "%%%%", "ab cd"])
def test_what_is_no_base64(text: str) -> None:
    """Anything else raises."""
    with pytest.raises(ValueError, match="base64"):
        from_base64(text)


@given(st.binary(max_size=40))
def test_a_blob_comes_back_as_it_was(data: bytes) -> None:
    """Text or not, what was taken out of a blob makes the same blob again."""
    blob = base64.b64encode(data).decode()
    assert make_blob(open_blob(blob)) == blob


def test_a_blob_of_text_is_its_text() -> None:
    """Claude's redacted thinking is the text in the blob, as Anthropic's own dialect has it."""
    assert open_blob("RXVRRg==") == "EuQF"
    assert make_blob("EuQF") == "RXVRRg=="
    assert open_blob("/w==") == "base64:/w=="
