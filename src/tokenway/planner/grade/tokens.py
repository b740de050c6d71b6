"""Text as a model's tokens: byte-pair encoding with the vocabulary and merges of a GGUF file.

A text is cut into words as the model's tokenizer does (`tokenizer.ggml.pre`), a word's bytes become the letters that
GPT-2 writes them with, and the two neighbours whose merge comes first in the list are joined until none is in it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import pairwise
from typing import Final

from tokenway.planner.errors import PlanError
from tokenway.planner.grade.tensors import Pairs

_WORDS: Final = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+", re.ASCII)
"""GPT-2's words, in a text whose letters, digits and spaces are ASCII ones."""
_SPLITS_DIGITS: Final[Mapping[str, bool]] = {"smollm": True, "gpt-2": False, "gpt2": False, "default": False}
"""The rules that are known here, and whether each digit is a word by itself."""
_CLASSES: Final = {"L": "a", "N": "0", "Z": " "}
"""Stand-ins by the first letter of the Unicode category."""


def _letters_of_bytes() -> list[str]:
    """GPT-2's letter for each byte: itself where it is printable, else one from 256 upwards."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = dict(zip(printable, map(chr, printable), strict=True))
    letters |= {byte: chr(256 + number) for number, byte in enumerate(others)}
    return [letters[byte] for byte in range(256)]


_LETTERS: Final = _letters_of_bytes()


@lru_cache(4096)
def _stand_in(character: str) -> str:
    if character.isascii():
        return character
    return " " if character.isspace() else _CLASSES.get(unicodedata.category(character)[0], "!")


class Tokenizer:
    """Encodes text without special tokens. Raises PlanError where the file's rules are not known here."""

    def __init__(self, about: Pairs) -> None:
        model, rules = about.get("tokenizer.ggml.model"), about.get("tokenizer.ggml.pre", "default")
        tokens, merges = about.get("tokenizer.ggml.tokens"), about.get("tokenizer.ggml.merges")
        if (
            model != "gpt2"
            or rules not in _SPLITS_DIGITS
            or not isinstance(tokens, list)
            or not isinstance(merges, list)
        ):
            known = ", ".join(f"gpt2/{each}" for each in _SPLITS_DIGITS)
            raise PlanError(f"The file's tokenizer is {model or 'none'}/{rules}; those that can be used are {known}.")
        self._splits_digits = _SPLITS_DIGITS[str(rules)]
        self._ids = {token: number for number, token in enumerate(tokens)}
        self._ranks = {tuple(merge.split(" ")): rank for rank, merge in enumerate(merges)}

    def encode(self, text: str) -> list[int]:
        """The ids of the text's tokens. Raises PlanError where the vocabulary lacks one."""
        try:
            return [self._ids[part] for word in self._words(text) for part in self._merged(word)]
        except KeyError as missing:
            raise PlanError(f"The file's vocabulary lacks the token {missing}, which the text needs.") from None

    def _words(self, text: str) -> Iterator[str]:
        shadow = "".join(map(_stand_in, text))
        at = 0
        pieces = re.split(r"([0-9])", shadow) if self._splits_digits else [shadow]
        for piece in pieces:
            for word in _WORDS.finditer(piece):
                yield text[at + word.start() : at + word.end()]
            at += len(piece)

    def _merged(self, word: str) -> list[str]:
        parts = [_LETTERS[byte] for byte in word.encode()]
        last = len(self._ranks)
        while len(parts) > 1:
            ranks = [self._ranks.get(pair, last) for pair in pairwise(parts)]
            best = min(ranks)
            if best == last:
                break
            at = ranks.index(best)
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
        return parts
