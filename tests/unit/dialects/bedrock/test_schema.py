"""Usage and stop reasons of Converse."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenway.dialects.bedrock.schema import REASONS, finish_members, finished, meter, usage_object
from tokenway.model.event import Finished, FinishReason
from tokenway.model.usage import ABSURD, UNMETERED, Metered, Usage

COUNT = st.integers(0, 10**6)


def metered(text: str) -> Metered:
    """What a usage object says."""
    return meter(msgspec.Raw(text.encode()))


@pytest.mark.parametrize(
    ("text", "usage"),
    [
        ('{"inputTokens":25,"outputTokens":4,"totalTokens":29}', Usage(25, output_text=4)),
        (
            (
                '{"inputTokens":13,"outputTokens":5,"totalTokens":1522,"cacheReadInputTokens":1504,'
                '"cacheWriteInputTokens":0,"serverToolUsage":{}}'
            ),
            Usage(13, 1504, output_text=5),
        ),
        (
            '{"inputTokens":16,"outputTokens":9,"totalTokens":2412,"cacheWriteInputTokens":2387}',
            Usage(16, 0, 2387, output_text=9),
        ),
        (
            (
                '{"inputTokens":1,"outputTokens":2,"totalTokens":33,"cacheReadInputTokens":null,"cacheWriteInputTokens":30,'
                '"cacheDetails":[{"ttl":"1h","inputTokens":20},{"ttl":"5m","inputTokens":10}]}'
            ),
            Usage(1, 0, 10, 20, 2),
        ),
        ('{"inputTokens":1,"outputTokens":2}', Usage(1, output_text=2)),
        ('{"inputTokens":1,"outputTokens":2,"totalTokens":3,"cacheReadInputTokens":7}', Usage(1, 7, output_text=2)),
    ],
)
def test_buckets_do_not_overlap(text: str, usage: Usage) -> None:
    """The input comes without what the cache gave or took; writes for an hour have a bucket of their own."""
    assert metered(text) == Metered(given=True, usage=usage)


@pytest.mark.parametrize(
    "text",
    [
        '{"inputTokens":-1,"outputTokens":4}',
        '{"inputTokens":1,"outputTokens":4,"totalTokens":6}',
        '{"inputTokens":1,"outputTokens":4,"totalTokens":4}',
        '{"inputTokens":1,"outputTokens":1,"cacheWriteInputTokens":1,"cacheDetails":[{"ttl":"1h","inputTokens":2}]}',
        '{"inputTokens":99999999999,"outputTokens":4}',
        '{"inputTokens":"1","outputTokens":4}',
        "[]",
    ],
)
def test_counts_that_cannot_be(text: str) -> None:
    """A total that is not the sum, a part larger than its whole, and nonsense are not turned into money."""
    assert metered(text) == ABSURD


@pytest.mark.parametrize("text", ["", "null", "{}", '{"serverToolUsage":{}}'])
def test_no_count(text: str) -> None:
    """No usage, or one without counts, is none."""
    assert metered(text) is UNMETERED


@given(COUNT, COUNT, COUNT, COUNT, COUNT)
def test_what_is_written_is_read_again(uncached: int, read: int, short: int, long: int, output: int) -> None:
    """A usage in Bedrock's shape gives the same buckets back, and its total is their sum."""
    usage = Usage(uncached, read, short, long, output)
    shape = usage_object(usage)
    assert shape["totalTokens"] == uncached + read + short + long + output
    assert meter(msgspec.Raw(msgspec.json.encode(shape))) == Metered(given=True, usage=usage)


def test_the_shape_of_a_usage() -> None:
    """Media count as input, reasoning as output, and details come where an hour's cache was written."""
    assert usage_object(Usage(1, 2, 3, 4, 5, reasoning=6, image_in=7)) == {
        "inputTokens": 8,
        "outputTokens": 11,
        "totalTokens": 28,
        "cacheReadInputTokens": 2,
        "cacheWriteInputTokens": 7,
        "cacheDetails": [{"ttl": "5m", "inputTokens": 3}, {"ttl": "1h", "inputTokens": 4}],
    }
    assert "cacheDetails" not in usage_object(Usage(1, 2, 3))


@pytest.mark.parametrize(
    ("native", "reason"),
    [
        ("end_turn", FinishReason.STOP),
        ("tool_use", FinishReason.TOOL_CALLS),
        ("max_tokens", FinishReason.LENGTH),
        ("stop_sequence", FinishReason.STOP),
        ("guardrail_intervened", FinishReason.CONTENT_FILTER),
        ("content_filtered", FinishReason.CONTENT_FILTER),
        ("malformed_model_output", FinishReason.ERROR),
        ("malformed_tool_use", FinishReason.ERROR),
        ("model_context_window_exceeded", FinishReason.LENGTH),
    ],
)
def test_each_stop_reason(native: str, reason: FinishReason) -> None:
    """Bedrock's word stands beside ours, and is written again."""
    finish = finished(native, None)
    assert finish == Finished(reason, native)
    assert finish_members(finish) == {"stopReason": native}


def test_a_stop_reason_that_is_not_known() -> None:
    """A new word is no plain end, and is kept; as no word of Bedrock's it is not written."""
    assert finished("pondered", None) == Finished(FinishReason.STOP, "pondered")
    assert finished(None, None) == Finished(FinishReason.STOP)
    assert finish_members(Finished(FinishReason.STOP, "pondered")) == {"stopReason": "end_turn"}


@pytest.mark.parametrize(
    ("finish", "native"),
    [
        (Finished(FinishReason.CONTENT_FILTER, "refusal"), "content_filtered"),
        (Finished(FinishReason.LENGTH, "length"), "max_tokens"),
        (Finished(FinishReason.STOP, "tool_use"), "end_turn"),
        (Finished(FinishReason.ERROR), "malformed_model_output"),
    ],
)
def test_other_dialects_words(finish: Finished, native: str) -> None:
    """A word that Bedrock has not, or has for something else, becomes the usual one of its kind."""
    assert REASONS[native] is finish.reason
    assert finish_members(finish)["stopReason"] == native


def test_the_stop_sequence_that_was_met() -> None:
    """Claude tells it in the fields that a caller asks for; it is written there."""
    finish = finished("stop_sequence", {"stop_sequence": "END"})
    assert finish.stop == "END"
    assert finish_members(finish) == {
        "stopReason": "stop_sequence",
        "additionalModelResponseFields": {"stop_sequence": "END"},
    }
    assert finish_members(Finished(FinishReason.STOP, "stop", "END"))["stopReason"] == "stop_sequence"
    assert finished("end_turn", {"stop_sequence": None}).stop is None
