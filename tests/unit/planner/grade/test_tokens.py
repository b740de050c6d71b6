"""Byte-pair encoding by hand, and against the engine that runs the embedded model."""

from __future__ import annotations

import pytest

from tests.unit.planner.grade.gguf_maker import VOCABULARY, tiny_pairs
from tokenway.planner.errors import PlanError
from tokenway.planner.grade.tokens import Tokenizer

TINY = Tokenizer(tiny_pairs())


def pieces(text: str) -> list[str]:
    """The tokens as they stand in the vocabulary."""
    return [VOCABULARY[number] for number in TINY.encode(text)]


def test_the_earliest_merge_goes_first() -> None:
    """`Ġ t` comes before `h e`, and both before `Ġt he`."""
    assert pieces("in the") == ["in", "Ġthe"]
    assert pieces("thin") == ["t", "h", "in"]


def test_words_do_not_merge_with_each_other() -> None:
    """A space belongs to the word behind it, digits are words by themselves, spaces before the last are their own."""
    assert pieces("a  the\n") == ["a", "Ġ", "Ġthe", "Ċ"]
    assert pieces("i12n") == ["i", "1", "2", "n"]
    assert pieces("it's") == ["i", "t", "'", "s"]


def test_nothing_is_nothing() -> None:
    """No tokens of no text."""
    assert TINY.encode("") == []


@pytest.mark.parametrize(
    "changes",
    [{"tokenizer.ggml.model": "llama"}, {"tokenizer.ggml.pre": "tekken"}, {"tokenizer.ggml.merges": "none"}],
)
def test_other_rules_are_refused(changes: dict[str, str]) -> None:
    """With those that can be used."""
    with pytest.raises(PlanError, match="gpt2/smollm"):
        Tokenizer(tiny_pairs(**changes))


def test_a_letter_that_the_vocabulary_lacks() -> None:
    """A vocabulary without all bytes is refused for a text that needs them, in a sentence."""
    with pytest.raises(PlanError, match="lacks"):
        TINY.encode("é")
