"""Buckets of usage."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tokenway.model.usage import BUCKETS, PIECES, Usage

USAGES = st.builds(Usage, *[st.integers(0, 10**9)] * len(BUCKETS))
COUNTED_APART = {"requests", *PIECES}


@given(USAGES)
def test_every_token_is_on_one_side(usage: Usage) -> None:
    """Input and output together are all buckets but those that count no tokens."""
    total = sum(getattr(usage, name) for name in BUCKETS if name not in COUNTED_APART)
    assert usage.input_tokens + usage.output_tokens == total


def test_each_side_has_its_buckets() -> None:
    """Caches and media read are input, reasoning and media written are output."""
    usage = Usage(*range(1, 13))
    assert usage.input_tokens == 1 + 2 + 3 + 4 + 7 + 9
    assert usage.output_tokens == 5 + 6 + 8 + 10


@given(USAGES)
def test_usage_survives_being_stored(usage: Usage) -> None:
    """The order of the buckets is the stored form."""
    encoded = msgspec.msgpack.encode(usage)
    assert msgspec.msgpack.decode(encoded, type=Usage) == usage


def test_usage_that_was_stored_before_there_were_more_buckets_is_read() -> None:
    """What is not there is zero."""
    stored = msgspec.msgpack.encode([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])
    assert msgspec.msgpack.decode(stored, type=Usage) == Usage(*range(1, 13))
