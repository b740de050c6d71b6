"""The word pieces that the embedding model counts in, and cutting a text to as many as it can take.

A text becomes words: decomposed, without accents, in lower case, with punctuation and each Chinese character
as a word of its own. A word becomes pieces: from its start the longest entry of the vocabulary, again and
again; a word that cannot be covered is one unknown piece. The runtime does the same when it reads a text;
this copy exists because a text with too many pieces is an error there, and cutting by characters would
either cut too much or not enough.
"""

from __future__ import annotations

import gzip
import hashlib
import unicodedata
from collections.abc import Iterator
from functools import cache
from importlib import resources

VOCABULARY_SHA256 = "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"
PIECES_MAX = 510
"""What the model reads of one text: 512 positions less the two that mark its start and end."""
PIECES_PER_CHARACTER_MAX = 3
"""A Korean syllable decomposes into three letters; nothing that is read decomposes further in practice."""

SKIPPED = ("Mn", "Cc", "Cf")
"""Accents, and characters that control or format."""
CHINESE = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B920, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)


@cache
def vocabulary() -> tuple[str, ...]:
    """The 30,522 entries in order of their number; an entry that continues a word begins with `##`.

    Raises ValueError when the file in the package is not the one that the model was trained with.
    """
    packed = resources.files("tokenway.local").joinpath("vocab.txt.gz").read_bytes()
    raw = gzip.decompress(packed)
    if hashlib.sha256(raw).hexdigest() != VOCABULARY_SHA256:
        raise ValueError("the vocabulary in this installation is damaged; reinstall tokenway")
    return tuple(raw.decode().rstrip("\n").split("\n"))


@cache
def _entries() -> tuple[frozenset[str], int]:
    entries = frozenset(vocabulary())
    return entries, max(map(len, entries))


def _stands_alone(character: str) -> bool:
    code = ord(character)
    if code < 0x7F:
        return not character.isalnum()
    return unicodedata.category(character).startswith("P") or any(low <= code <= high for low, high in CHINESE)


def _words(text: str) -> Iterator[tuple[str, int, int]]:
    """(word as the model reads it, offsets in `text` where it starts and ends)."""
    word, start = "", 0
    for at, original in enumerate(text):
        for character in unicodedata.normalize("NFD", original):
            if character.isspace():
                if word:
                    yield word, start, at
                word = ""
            elif unicodedata.category(character) in SKIPPED or character == "\N{REPLACEMENT CHARACTER}":
                continue
            elif _stands_alone(character):
                if word:
                    yield word, start, at
                yield character.lower(), at, at + 1
                word = ""
            else:
                if not word:
                    start = at
                word += character.lower()
    if word:
        yield word, start, len(text)


def _piece_ends(word: str) -> list[int]:
    """Offsets in `word` where its pieces end; one piece for a word that the vocabulary cannot cover."""
    entries, longest = _entries()
    ends: list[int] = []
    start = 0
    while start < len(word):
        prefix = "##" if start else ""
        for end in range(min(len(word), start + longest), start, -1):
            if prefix + word[start:end] in entries:
                ends.append(end)
                start = end
                break
        else:
            return [len(word)]
    return ends


def count_pieces(text: str) -> int:
    """How many pieces the text has, without the two marks around it."""
    return sum(len(_piece_ends(word)) for word, _, _ in _words(text))


def truncate(text: str, pieces_max: int = PIECES_MAX) -> str:
    """The longest beginning of `text`, cut between words, of at most `pieces_max` pieces.

    A single word with more pieces than that (a long run without spaces) is cut inside. Costs no more than
    reading the part that is kept.
    """
    if len(text) * PIECES_PER_CHARACTER_MAX <= pieces_max:
        return text
    count, kept = 0, 0
    for word, start, end in _words(text):
        ends = _piece_ends(word)
        if count + len(ends) > pieces_max:
            if kept:
                return text[:kept]
            share = ends[pieces_max - 1] / len(word)  # of a decomposed word; its letters may be fewer
            return text[: start + max(1, int((end - start) * share))]
        count += len(ends)
        kept = end
    return text
