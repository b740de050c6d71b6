"""Usage in this dialect's shape, and back."""

from __future__ import annotations

import json

import msgspec
import pytest

from tests.unit.dialects.openai_responses.made import USAGE
from tokenway.dialects.openai_responses.schema import IncompleteDetails, ResponseFields, meter, usage_object
from tokenway.model.request import NO_JSON
from tokenway.model.usage import ABSURD, UNMETERED, Metered, Usage

COUNTED = Usage(3, 4, 2, 0, 2, 5)


def test_totals_become_disjoint_buckets() -> None:
    """Cached and written tokens are inside the input, reasoning inside the output."""
    assert meter(msgspec.Raw(json.dumps(USAGE).encode())) == Metered(given=True, usage=COUNTED)


def test_buckets_become_the_vendors_totals() -> None:
    """Exactly the object that they came from, with every detail that the SDK's type wants."""
    assert usage_object(COUNTED) == USAGE
    assert usage_object(Usage(1, output_text=2, cache_write_1h=3)) == {
        "input_tokens": 4,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 3},
        "output_tokens": 2,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 6,
    }
    assert usage_object(None) is None


@pytest.mark.parametrize(
    "text",
    [
        b'{"input_tokens":-1}',
        b'{"input_tokens":99000000}',
        b'{"input_tokens":1,"input_tokens_details":{"cached_tokens":2}}',
        b'{"output_tokens":5,"output_tokens_details":{"reasoning_tokens":8}}',
        b'{"input_tokens":"many"}',
        b"[]",
    ],
)
def test_counts_that_cannot_be_are_absurd(text: bytes) -> None:
    """Negative, beyond reason, contradicting themselves, or no counts."""
    assert meter(msgspec.Raw(text)) == ABSURD


def test_totals_that_agree_are_believed_against_a_detail() -> None:
    """More reasoning than output cannot be, but what is billed is clear."""
    text = b'{"input_tokens":18,"output_tokens":5,"total_tokens":23,"output_tokens_details":{"reasoning_tokens":8}}'
    assert meter(msgspec.Raw(text)).usage == Usage(18, reasoning=5)


@pytest.mark.parametrize("text", [NO_JSON, msgspec.Raw(b"null")])
def test_no_count_is_none(text: msgspec.Raw) -> None:
    """Absent or null."""
    assert meter(text) == UNMETERED


def test_null_details_count_nothing() -> None:
    """Servers send null where OpenAI sends an object."""
    text = b'{"input_tokens":3,"input_tokens_details":null,"output_tokens":null,"output_tokens_details":null}'
    assert meter(msgspec.Raw(text)).usage == Usage(3)


@pytest.mark.parametrize(
    ("status", "details", "reason"),
    [
        ("completed", None, "completed"),
        ("incomplete", IncompleteDetails("content_filter"), "content_filter"),
        ("incomplete", IncompleteDetails(), "incomplete"),
        (None, None, ""),
    ],
)
def test_how_a_response_ended(status: str | None, details: IncompleteDetails | None, reason: str) -> None:
    """Its status, or why it is incomplete."""
    assert ResponseFields(status=status, incomplete_details=details).reason == reason


def test_what_is_kept_for_twelve_hours_has_the_longer_bucket() -> None:
    """The rest of what was written is in the shorter one; the detail cannot be more than its total."""
    for long, expected in ((3, Usage(6, 0, 1, 3, 5)), (9, Usage(6, 0, 0, 4, 5))):
        details = {"cache_write_tokens": 4, "cache_write_tokens_details": {"ttl_12h_tokens": long}}
        usage = {"input_tokens": 10, "output_tokens": 5, "input_tokens_details": details}
        assert meter(msgspec.Raw(json.dumps(usage).encode())).usage == expected
