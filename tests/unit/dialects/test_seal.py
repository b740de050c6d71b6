"""A signature comes back as it went out, and whose it is with it."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenway.dialects.seal import ANTHROPIC, FORMATS, GEMINI, MARKS, OPENAI, Sealed, seal, unseal

VALUES = st.text(min_size=1).filter(lambda text: not text.startswith("tw1."))
"""No vendor's own value begins like a seal."""


@pytest.mark.parametrize(
    ("value", "whose", "own", "call", "field"),
    [
        ("abc", ANTHROPIC, ANTHROPIC, "", "abc"),
        ("abc", "", ANTHROPIC, "", "abc"),
        ("", GEMINI, ANTHROPIC, "", ""),
        ("", GEMINI, ANTHROPIC, "call_1", ""),
        ("abc", GEMINI, ANTHROPIC, "", "tw1.google-gemini-v1.abc"),
        ("a.b==", OPENAI, GEMINI, "", "tw1.openai-responses-v1.a.b=="),
        ("abc", GEMINI, ANTHROPIC, "call_1", "tw1.google-gemini-v1@call_1.abc"),
        ("abc", GEMINI, OPENAI, "functions.get:0", "tw1.google-gemini-v1@functions%2Eget:0.abc"),
        ("abc", GEMINI, GEMINI, "call_1", "tw1.google-gemini-v1@call_1.abc"),
    ],
)
def test_what_stands_in_an_opaque_field(value: str, whose: str, own: str, call: str, field: str) -> None:
    """A vendor's own value as it is; another's, and a call's, with its mark."""
    assert seal(value, whose, own, call) == field


@pytest.mark.parametrize(
    ("field", "sealed"),
    [
        ("abc", Sealed("abc", ANTHROPIC)),
        ("", Sealed("", ANTHROPIC)),
        ("tw1.google-gemini-v1.a.b", Sealed("a.b", GEMINI)),
        ("tw1.google-gemini-v1@call_1.abc", Sealed("abc", GEMINI, "call_1")),
        ("tw1.google-gemini-v1@a@b.abc", Sealed("abc", GEMINI, "a@b")),
        ("tw1.google-gemini-v1.", Sealed("", GEMINI)),
        ("tw1.nobody-v1.abc", Sealed("tw1.nobody-v1.abc", ANTHROPIC)),
        ("tw1.google-gemini-v1", Sealed("tw1.google-gemini-v1", ANTHROPIC)),
        ("tw1.", Sealed("tw1.", ANTHROPIC)),
        ("tw2.google-gemini-v1.abc", Sealed("tw2.google-gemini-v1.abc", ANTHROPIC)),
    ],
)
def test_what_an_opaque_field_carries(field: str, sealed: Sealed) -> None:
    """What is no seal of ours is the vendor's own, whatever it looks like."""
    assert unseal(field, ANTHROPIC) == sealed


@given(VALUES, st.sampled_from(FORMATS), st.sampled_from(FORMATS), st.text())
def test_a_value_comes_back(value: str, whose: str, own: str, call: str) -> None:
    """Whatever it is, whose it is and which call's."""
    assert unseal(seal(value, whose, own, call), own) == Sealed(value, whose, call)


@given(st.text(), st.sampled_from(FORMATS))
def test_any_text_can_be_unsealed(text: str, own: str) -> None:
    """It is a caller's: nothing raises."""
    found = unseal(text, own)
    assert found.format in FORMATS
    assert found.value in text


@given(VALUES, st.text())
def test_a_seal_is_seen_in_a_body(value: str, call: str) -> None:
    """By its beginning, plain or in base64: a body without the marks is not read for seals."""
    plain = seal(value, GEMINI, OPENAI, call).encode()
    assert (b'"%b' % plain).startswith(MARKS[0])
    assert (b'"%b' % base64.b64encode(plain)).startswith(MARKS[1])
