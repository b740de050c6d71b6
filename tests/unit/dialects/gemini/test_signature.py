"""Thought signatures: Gemini's own pass, others are sealed in base64."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenway.dialects.gemini.signature import STAND_IN, closed, opened
from tokenway.dialects.seal import ANTHROPIC, FORMATS, GEMINI, OPENAI, Sealed


def test_gemini_s_own_passes_unchanged() -> None:
    """A signature of Gemini's is neither sealed nor touched."""
    assert closed("EpwICpkI+/w=", GEMINI) == "EpwICpkI+/w="
    assert opened("EpwICpkI-_w=") == Sealed("EpwICpkI-_w=", GEMINI)


@given(st.text(min_size=1, max_size=40), st.sampled_from([ANTHROPIC, OPENAI]))
def test_others_survive_a_client_that_decodes_them(value: str, whose: str) -> None:
    """Google's clients decode the field and write it in the URL-safe letters."""
    field = closed(value, whose)
    kept = base64.urlsafe_b64encode(base64.b64decode(field, validate=True)).decode()

    assert opened(field) == opened(kept) == opened(kept.rstrip("=")) == Sealed(value, whose)


def test_the_stand_in_is_no_signature() -> None:
    """What says that there is none is not kept as one, and it is base64."""
    assert opened(STAND_IN) == Sealed("", "")
    assert len(base64.urlsafe_b64decode(STAND_IN)) == 24


@pytest.mark.parametrize("text", ["dHcxL", "dHcxLg==!", "dHcxL/////8="])
def test_what_only_looks_sealed_is_gemini_s(text: str) -> None:
    """Text that begins like a seal and is none stays a signature."""
    assert opened(text) == Sealed(text, GEMINI)


def test_every_format_is_known() -> None:
    """The formats are told apart."""
    assert {opened(closed("v", each)).format for each in FORMATS} == set(FORMATS)
