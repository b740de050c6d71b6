"""Offline token counts: exact where a tokenizer is installed, and honest about it where not."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from unittest.mock import patch

import pytest

from tokenway.local.tokens import CL100K, O200K, estimate, token_counter


def test_the_installed_tokenizer_counts_exactly() -> None:
    """Known counts of both encodings come out."""
    pytest.importorskip("toktok", reason="toktok-rs comes with the extra tokenway[local]")
    for encoding in (O200K, CL100K):
        counter = token_counter(encoding)
        assert (counter.source, counter.is_exact) == ("toktok-rs", True)
        assert counter.count("hello world") == 2
        assert counter.count("") == 0


def test_text_that_utf8_cannot_hold_is_counted_all_the_same() -> None:
    """A lone surrogate, which JSON can carry, does not raise."""
    pytest.importorskip("toktok", reason="toktok-rs comes with the extra tokenway[local]")
    assert token_counter().count("a \ud800 b") > 0


def test_tiktoken_is_the_second_choice() -> None:
    """Without the first tokenizer the second one counts."""
    module = ModuleType("tiktoken")
    module.get_encoding = lambda _: SimpleNamespace(encode_ordinary=str.split)  # type: ignore[attr-defined]
    with patch.dict(sys.modules, {"tiktoken": module}):
        counter = token_counter(O200K, lambda name: name == "tiktoken")
    assert (counter.source, counter.is_exact, counter.count("one two three")) == ("tiktoken", True, 3)


def test_a_tokenizer_without_its_vocabulary_gives_way_to_the_estimate() -> None:
    """An installed tiktoken that cannot fetch its vocabulary is no counter."""

    def fail(name: str) -> None:
        raise OSError("no network")

    module = ModuleType("tiktoken")
    module.get_encoding = fail  # type: ignore[attr-defined]
    with patch.dict(sys.modules, {"tiktoken": module}):
        counter = token_counter(O200K, lambda name: name == "tiktoken")
    assert (counter.source, counter.is_exact) == ("estimate", False)


def test_without_any_tokenizer_it_is_an_estimate() -> None:
    """The source says that the number is a rule of thumb."""
    counter = token_counter(O200K, lambda _: False)
    assert (counter.source, counter.is_exact, counter.count("12345")) == ("estimate", False, 2)


@pytest.mark.parametrize(("text", "count"), [("", 0), ("a", 1), ("abcd", 1), ("abcde", 2), ("éé", 1), ("\ud800", 1)])
def test_the_estimate_is_a_token_per_four_bytes(text: str, count: int) -> None:
    """Bytes are counted, not characters, and a begun group counts."""
    assert estimate(text) == count


def test_an_unknown_encoding_is_refused() -> None:
    """The message names those that are known."""
    with pytest.raises(ValueError, match="o200k_base, cl100k_base"):
        token_counter("p50k_base")
