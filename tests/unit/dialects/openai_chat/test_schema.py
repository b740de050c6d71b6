"""Usage as providers spell it, to disjoint buckets."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenway.dialects.openai_chat.schema import (
    ABSENT,
    CompletionDetails,
    PromptDetails,
    UsageFields,
    buckets,
    meter,
    usage_object,
)
from tokenway.model.usage import TOKENS_BELIEVABLE, UNMETERED, Metered, Usage

COUNT = st.none() | st.integers(0, 50)
DETAILS = st.none() | st.builds(PromptDetails, COUNT, COUNT, COUNT, COUNT)
MORE = st.none() | st.builds(CompletionDetails, COUNT, COUNT, COUNT)


def metered(text: bytes) -> Metered:
    """What a `usage` value says."""
    return meter(msgspec.Raw(text))


def test_by_hand() -> None:
    """OpenAI counts cached and audio tokens inside the prompt, reasoning and audio inside the completion."""
    text = (
        b'{"prompt_tokens":100,"completion_tokens":50,"total_tokens":150,'
        b'"prompt_tokens_details":{"cached_tokens":30,"audio_tokens":10,"image_tokens":5,"cache_write_tokens":15},'
        b'"completion_tokens_details":{"reasoning_tokens":20,"audio_tokens":4,"accepted_prediction_tokens":1}}'
    )
    assert metered(text).usage == Usage(
        input_uncached=40,
        cache_read=30,
        cache_write_5m=15,
        output_text=26,
        reasoning=20,
        audio_in=10,
        audio_out=4,
        image_in=5,
    )


def test_deepseeks_cache_is_found() -> None:
    """Its hits stand beside the totals."""
    usage = metered(b'{"prompt_tokens":10,"completion_tokens":1,"prompt_cache_hit_tokens":4}').usage
    assert usage == Usage(input_uncached=6, cache_read=4, output_text=1)


@pytest.mark.parametrize("name", ["cached_tokens", "num_cached_tokens"])
def test_other_places_of_the_cache_are_found(name: str) -> None:
    """Moonshot's and Mistral's, so that what a cache gave is not charged as new."""
    usage = metered(b'{"prompt_tokens":64,"completion_tokens":6,"total_tokens":70,"%b":32}' % name.encode()).usage
    assert usage == Usage(input_uncached=32, cache_read=32, output_text=6)


def test_reasoning_outside_of_the_completion_is_counted() -> None:
    """The total of xAI is the prompt, the completion and the reasoning; what it bills is all of it."""
    text = (
        b'{"prompt_tokens":32,"completion_tokens":9,"total_tokens":135,'
        b'"completion_tokens_details":{"reasoning_tokens":94}}'
    )
    assert metered(text).usage == Usage(input_uncached=32, output_text=9, reasoning=94)


def test_reasoning_that_only_the_total_tells_is_counted() -> None:
    """Google's endpoint for OpenAI's clients has no place for thoughts but the total."""
    usage = metered(b'{"prompt_tokens":35,"completion_tokens":12,"total_tokens":109}').usage
    assert usage == Usage(input_uncached=35, output_text=12, reasoning=62)


def test_a_total_that_is_not_explained_changes_nothing() -> None:
    """A shim may count its cache in the total alone: that is no reasoning."""
    text = (
        b'{"prompt_tokens":5,"completion_tokens":2,"total_tokens":1007,"prompt_tokens_details":{"cached_tokens":0},'
        b'"completion_tokens_details":{"reasoning_tokens":1}}'
    )
    assert metered(text).usage == Usage(input_uncached=5, output_text=1, reasoning=1)


def test_sound_that_was_cached_is_in_one_bucket() -> None:
    """The cached part is not split, so that sound beyond the rest was in it."""
    text = b'{"prompt_tokens":100,"prompt_tokens_details":{"cached_tokens":80,"audio_tokens":30}}'
    assert metered(text).usage == Usage(cache_read=80, audio_in=20)


def test_totals_that_agree_are_believed_against_a_detail() -> None:
    """More reasoning than output cannot be, but what is billed is clear."""
    text = (
        b'{"prompt_tokens":18,"completion_tokens":5,"total_tokens":23,'
        b'"completion_tokens_details":{"reasoning_tokens":8}}'
    )
    assert metered(text).usage == Usage(input_uncached=18, reasoning=5)


@pytest.mark.parametrize("raw", [ABSENT, msgspec.Raw(b"null")])
def test_no_usage_is_unmetered(raw: msgspec.Raw) -> None:
    """Neither an absent member nor null is a count of zero."""
    assert meter(raw) == UNMETERED
    assert not meter(raw).is_absurd


@pytest.mark.parametrize(
    "text",
    [
        b"5",
        b'"many"',
        b"[]",
        b'{"prompt_tokens":"5"}',
        b'{"prompt_tokens":1.5}',
        b'{"prompt_tokens":-1}',
        b'{"completion_tokens":1,"completion_tokens_details":{"reasoning_tokens":-1}}',
        b'{"prompt_tokens":1,"prompt_tokens_details":{"cached_tokens":2}}',
        b'{"completion_tokens":1,"completion_tokens_details":{"reasoning_tokens":2}}',
        b'{"prompt_tokens":%d}' % (TOKENS_BELIEVABLE + 1),
        b'{"completion_tokens":%d}' % 10**30,
        b'{"prompt_tokens_details":"\xff"}',
    ],
    ids=range(12),
)
def test_what_cannot_be_is_absurd(text: bytes) -> None:
    """A count of another type, below zero, beyond reason or against itself was given and is not believed."""
    assert metered(text).is_absurd
    assert metered(text).usage is None


def test_zeros_and_nulls_are_counts() -> None:
    """An answer may have cost nothing, and a provider may spell nothing as null."""
    assert metered(b'{"prompt_tokens":0,"completion_tokens":null}').usage == Usage()
    assert metered(b'{"prompt_tokens":3,"prompt_tokens_details":null}').usage == Usage(input_uncached=3)


@given(st.builds(UsageFields, COUNT, COUNT, DETAILS, MORE, COUNT))
def test_buckets_are_disjoint_and_add_up(fields: UsageFields) -> None:
    """Each token is in one bucket: the buckets of each side sum to its total, and none is below zero."""
    usage = buckets(fields)
    if usage is not None:
        assert usage.input_tokens == (fields.prompt_tokens or 0)
        assert usage.output_tokens == (fields.completion_tokens or 0)
        assert min(msgspec.structs.astuple(usage)) >= 0


def test_totals_are_given_back() -> None:
    """What was read is written again, each count in its place."""
    usage = Usage(1, 2, 3, 0, 5, 6, 7, 8, 9, 10, searches=11)
    assert meter(msgspec.Raw(msgspec.json.encode(usage_object(usage)))).usage == usage


def test_images_that_came_out_are_counted() -> None:
    """OpenRouter tells them inside of the completion."""
    text = b'{"prompt_tokens":1,"completion_tokens":9,"completion_tokens_details":{"image_tokens":4}}'
    assert metered(text).usage == Usage(1, output_text=5, image_out=4)


@pytest.mark.parametrize("details", ["null", "5", "{}", '{"web_search_requests":-1}', '{"web_search_requests":"x"}'])
def test_searches_that_cannot_be_are_none(details: str) -> None:
    """The tokens beside them are believed all the same."""
    text = f'{{"prompt_tokens":1,"completion_tokens":2,"server_tool_use_details":{details}}}'
    assert metered(text.encode()).usage == Usage(1, output_text=2)
