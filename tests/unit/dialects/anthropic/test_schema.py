"""Usage in Anthropic's shape as disjoint buckets."""

from __future__ import annotations

import json

import msgspec
import pytest

from tokenway.dialects.anthropic.schema import Tally, meter
from tokenway.model.request import NO_JSON
from tokenway.model.usage import ABSURD, UNMETERED, Usage


def raw(**members: object) -> msgspec.Raw:
    """A usage value."""
    return msgspec.Raw(json.dumps(members).encode())


def test_input_excludes_the_cache_and_output_includes_thinking() -> None:
    """Each token is in one bucket, and the buckets add up to Anthropic's totals."""
    usage = meter(
        raw(
            input_tokens=10,
            cache_creation_input_tokens=30,
            cache_read_input_tokens=5,
            cache_creation={"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 10},
            output_tokens=50,
            output_tokens_details={"thinking_tokens": 40},
            server_tool_use={"web_search_requests": 2, "web_fetch_requests": 1},
        )
    ).usage
    assert usage == Usage(10, 5, 20, 10, 10, 40, searches=2)
    assert usage.input_tokens == 10 + 30 + 5
    assert usage.output_tokens == 50


@pytest.mark.parametrize(
    ("members", "short", "long"),
    [
        ({"cache_creation_input_tokens": 30}, 30, 0),
        ({"cache_creation_input_tokens": 30, "cache_creation": {"ephemeral_1h_input_tokens": 10}}, 20, 10),
        ({"cache_creation_input_tokens": 5, "cache_creation": {"ephemeral_1h_input_tokens": 10}}, 0, 5),
        ({"cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 4}}, 3, 4),
        ({"cache_creation_input_tokens": None, "cache_creation": None}, 0, 0),
    ],
)
def test_cache_writes_add_up_to_their_total(members: dict[str, object], short: int, long: int) -> None:
    """The split by lifetime never outgrows the total that is billed."""
    usage = meter(raw(input_tokens=1, output_tokens=1, **members)).usage
    assert usage is not None
    assert (usage.cache_write_5m, usage.cache_write_1h) == (short, long)


def test_a_later_count_overwrites_an_earlier_one() -> None:
    """Counts of a stream are totals so far; what a later one leaves out stays."""
    tally = Tally()
    tally.add(raw(input_tokens=10, cache_read_input_tokens=7, output_tokens=1))
    tally.add(raw(output_tokens=9))
    tally.add(raw(input_tokens=12, output_tokens=20))
    assert tally.metered.usage == Usage(12, 7, output_text=20)


def test_a_compaction_is_billed_beside_the_totals() -> None:
    """Anthropic leaves it out of the totals; an advisor is another model, at another price."""
    iterations = [
        {"type": "message", "input_tokens": 10, "output_tokens": 5},
        {"type": "compaction", "input_tokens": 100, "cache_read_input_tokens": 7, "output_tokens": 20},
        {"type": "advisor_message", "input_tokens": 1000, "output_tokens": 300},
    ]
    usage = meter(raw(input_tokens=10, output_tokens=5, iterations=iterations)).usage
    assert usage == Usage(110, 7, output_text=25)


def test_what_a_compaction_wrote_is_split_by_how_long_it_is_kept() -> None:
    """As the whole call's is."""
    split = {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 2}
    compaction = {"type": "compaction", "cache_creation_input_tokens": 3, "cache_creation": split}
    usage = meter(raw(input_tokens=10, output_tokens=5, iterations=[compaction])).usage
    assert usage == Usage(10, 0, 1, 2, output_text=5)


@pytest.mark.parametrize(
    "usage",
    [
        raw(input_tokens=-1, output_tokens=1),
        raw(input_tokens="3", output_tokens=1),
        raw(input_tokens=10**9, output_tokens=1),
        raw(input_tokens=1, output_tokens=3, output_tokens_details={"thinking_tokens": 4}),
        msgspec.Raw(b"[]"),
    ],
)
def test_a_count_that_cannot_be_is_absurd(usage: msgspec.Raw) -> None:
    """It is not turned into money."""
    assert meter(usage) == ABSURD


@pytest.mark.parametrize("usage", [NO_JSON, msgspec.Raw(b"null"), msgspec.Raw(b"{}"), raw(service_tier="standard")])
def test_no_count_is_no_count(usage: msgspec.Raw) -> None:
    """What was not given is not invented."""
    assert meter(usage) == UNMETERED
