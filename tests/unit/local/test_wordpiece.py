"""Word pieces: the vocabulary is the right one, counts are the model's, and cuts keep the most that fits."""

from __future__ import annotations

import gzip
from importlib import resources
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenway.local import wordpiece
from tokenway.local.wordpiece import PIECES_MAX, count_pieces, truncate, vocabulary


def test_the_vocabulary_is_the_published_one() -> None:
    """It has its 30,522 entries, with the marks where the model expects them."""
    words = vocabulary()
    assert len(words) == 30_522
    assert (words[0], words[100], words[101], words[102]) == ("[PAD]", "[UNK]", "[CLS]", "[SEP]")


def test_a_damaged_vocabulary_is_noticed() -> None:
    """Other content than the published file is refused with a sentence."""

    class Folder:
        """A package folder whose file is another one."""

        def joinpath(self, name: str) -> Folder:
            """The file."""
            return self

        def read_bytes(self) -> bytes:
            """Its content."""
            return gzip.compress(b"[PAD]\n")

    with patch.object(resources, "files", lambda _: Folder()), pytest.raises(ValueError, match="damaged"):
        vocabulary.__wrapped__()


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("hello", 1),
        ("hello wörld, naïve café — 東京 hyperparameterization!", 13),
        ("a" * 300, 150),
        ("x " * 400, 400),
        ("ﬁ ½ Ünï “quotes” a_b $5 <|x|> \u200b\u00ad zz", 19),
        ("\N{SMILING FACE WITH OPEN MOUTH}" * 9, 1),
    ],
)
def test_counts_are_those_of_the_model(text: str, count: int) -> None:
    """The numbers were taken from the runtime's own count, less its two marks."""
    assert count_pieces(text) == count


def test_a_short_text_is_not_touched() -> None:
    """It is returned as the same object, without reading it."""
    text = "short text"
    assert truncate(text) is text


@pytest.mark.parametrize("text", ["word " * 700, "東" * 700, "a" * 5000, "안녕하세요" * 600, "한국 " * 900, "é," * 600])
def test_a_long_text_is_cut_to_what_fits(text: str) -> None:
    """The result is a beginning of the text, within the limit and not far below it."""
    cut = truncate(text)
    assert text.startswith(cut)
    assert len(cut) < len(text)
    assert PIECES_MAX - 10 <= count_pieces(cut) <= PIECES_MAX


@given(st.text(max_size=60), st.integers(1, 20))
def test_a_cut_never_has_more_pieces_than_allowed(text: str, limit: int) -> None:
    """For any text and limit, cutting keeps a beginning within the limit, or a single character."""
    cut = truncate(text, limit)
    assert text.startswith(cut)
    assert count_pieces(cut) <= limit or len(cut) == 1


def test_the_cost_of_a_cut_does_not_grow_with_the_text() -> None:
    """Only the part that is kept is looked at."""
    looked: list[str] = []
    ends = wordpiece._piece_ends

    def counting(word: str) -> list[int]:
        looked.append(word)
        return ends(word)

    with patch.object(wordpiece, "_piece_ends", counting):
        truncate("word " * 100_000)
    assert len(looked) == PIECES_MAX + 1
