"""Counting tokens without a network: exactly where a tokenizer is installed, by a rule of thumb otherwise.

Providers' own counts decide about money; these numbers are for estimates before a call.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass

O200K = "o200k_base"
CL100K = "cl100k_base"
ENCODINGS = (O200K, CL100K)
BYTES_PER_TOKEN = 4
"""Of English text; other languages need more tokens per byte, code about as many."""


@dataclass(frozen=True, slots=True)
class TokenCounter:
    """`source` says what counts: `toktok-rs`, `tiktoken` or `estimate`."""

    source: str
    encoding: str
    count: Callable[[str], int]

    @property
    def is_exact(self) -> bool:
        """Whether the numbers are those of the encoding itself."""
        return self.source != "estimate"


def estimate(text: str) -> int:
    """The rule of thumb: a token for every four bytes begun."""
    return -(-len(text.encode("utf-8", "replace")) // BYTES_PER_TOKEN)


def _encodable(text: str) -> str:
    """The text without lone surrogates, which JSON can hold and UTF-8 cannot."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def token_counter(encoding: str = O200K, is_installed: Callable[[str], bool] = _is_installed) -> TokenCounter:
    """The best counter that is installed. Raises ValueError for an encoding that is not in `ENCODINGS`.

    Loading a vocabulary takes up to a second, so keep the counter. tiktoken needs its vocabulary on this machine
    already; where it would have to fetch it and cannot, the estimate takes its place.
    """
    if encoding not in ENCODINGS:
        raise ValueError(f"unknown encoding {encoding!r}; known are {', '.join(ENCODINGS)}")
    if is_installed("toktok"):
        batch_count = importlib.import_module("toktok").batch_count
        return TokenCounter("toktok-rs", encoding, lambda text: int(batch_count([_encodable(text)], encoding, 1)[0]))
    if is_installed("tiktoken"):
        try:
            ordinary = importlib.import_module("tiktoken").get_encoding(encoding).encode_ordinary
        except (OSError, ValueError):  # its vocabulary is neither here nor to be had
            return TokenCounter("estimate", encoding, estimate)
        return TokenCounter("tiktoken", encoding, lambda text: len(ordinary(text)))
    return TokenCounter("estimate", encoding, estimate)
