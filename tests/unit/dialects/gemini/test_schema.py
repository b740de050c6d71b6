"""The shapes of answers, and the words for how they end."""

from __future__ import annotations

import msgspec
import pytest

from tokenway.dialects.gemini.schema import FINISH, FINISH_WORDS, Response, finish_word
from tokenway.model.event import FinishReason


def test_every_reason_has_a_word() -> None:
    """A caller of Gemini gets a word that Gemini has."""
    assert set(FINISH_WORDS) == set(FinishReason)
    assert set(FINISH_WORDS.values()) <= set(FINISH)


@pytest.mark.parametrize(
    ("reason", "native", "expected"),
    [
        (FinishReason.STOP, "end_turn", "STOP"),
        (FinishReason.TOOL_CALLS, "STOP", "STOP"),
        (FinishReason.LENGTH, "max_tokens", "MAX_TOKENS"),
        (FinishReason.CONTENT_FILTER, "RECITATION", "RECITATION"),
        (FinishReason.CONTENT_FILTER, "STOP", "SAFETY"),
        (FinishReason.ERROR, "MALFORMED_FUNCTION_CALL", "MALFORMED_FUNCTION_CALL"),
        (FinishReason.ERROR, "", "OTHER"),
    ],
)
def test_gemini_s_own_word_is_kept(reason: FinishReason, native: str, expected: str) -> None:
    """The upstream's word stands where Gemini has it with that meaning."""
    assert finish_word(reason, native) == expected


def test_nulls_and_new_fields_do_not_matter() -> None:
    """What a provider leaves null or adds is read all the same."""
    found = msgspec.json.decode(
        b'{"candidates":[{"content":null,"index":null,"new":1}],"usageMetadata":null,"more":{}}', type=Response
    )
    assert found.candidates is not None
    assert found.candidates[0].content is None
