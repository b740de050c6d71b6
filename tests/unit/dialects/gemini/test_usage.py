"""Counts: Gemini's totals to disjoint buckets and back."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.dialects.gemini.samples import raw
from tokenway.dialects.gemini.usage import meter, usage_object
from tokenway.model.usage import ABSURD, UNMETERED, Metered, Usage


def counted(**fields: object) -> Metered:
    """What a usage with these members says."""
    return meter(raw(fields))


def of(modality: str, count: int) -> dict[str, object]:
    """One detail."""
    return {"modality": modality, "tokenCount": count}


def test_every_token_is_in_one_bucket() -> None:
    """Cached tokens come out of the prompt, tools' prompts are input, thoughts are beside the candidates."""
    found = counted(
        promptTokenCount=100,
        cachedContentTokenCount=40,
        toolUsePromptTokenCount=7,
        candidatesTokenCount=20,
        thoughtsTokenCount=5,
        totalTokenCount=132,
    )

    assert found.usage == Usage(input_uncached=67, cache_read=40, output_text=20, reasoning=5)
    assert found.usage.input_tokens + found.usage.output_tokens == 132


def test_sound_and_images_have_their_own_buckets() -> None:
    """Details by modality are taken out of their count, films and documents are not; what was cached stays cached."""
    found = counted(
        promptTokenCount=100,
        cachedContentTokenCount=30,
        candidatesTokenCount=50,
        totalTokenCount=150,
        promptTokensDetails=[of("TEXT", 10), of("AUDIO", 40), of("IMAGE", 30), of("VIDEO", 15), of("DOCUMENT", 5)],
        cacheTokensDetails=[of("AUDIO", 25), of("TEXT", 5)],
        candidatesTokensDetails=[of("IMAGE", 44), of("AUDIO", 1)],
    )

    assert found.usage == Usage(
        input_uncached=25, cache_read=30, audio_in=15, image_in=30, output_text=5, audio_out=1, image_out=44
    )


def test_a_cache_without_details_takes_from_images() -> None:
    """Where nobody says what was cached, no bucket becomes negative and the total stays."""
    found = counted(
        promptTokenCount=100, cachedContentTokenCount=90, totalTokenCount=100, promptTokensDetails=[of("IMAGE", 95)]
    )

    assert found.usage == Usage(cache_read=90, image_in=10)


def test_thoughts_among_the_candidates_are_counted_once() -> None:
    """As the first previews of Gemini 2.5 told them: 801 + 1519 were 2320, and 794 of them thoughts."""
    counts = {"promptTokenCount": 801, "candidatesTokenCount": 1519, "thoughtsTokenCount": 794, "totalTokenCount": 2320}
    assert counted(**counts).usage == Usage(801, output_text=725, reasoning=794)


@pytest.mark.parametrize(
    "fields",
    [
        {"promptTokenCount": -1},
        {"promptTokenCount": 10**9},
        {"promptTokenCount": "many"},
        {"promptTokenCount": 5, "cachedContentTokenCount": 6},
        {"promptTokenCount": 5, "candidatesTokenCount": 5, "totalTokenCount": 9},
        {"promptTokenCount": 5, "candidatesTokenCount": 1, "thoughtsTokenCount": 2, "totalTokenCount": 6},
        {"promptTokenCount": 5, "candidatesTokenCount": 1, "candidatesTokensDetails": [of("IMAGE", 2)]},
        {
            "promptTokenCount": 5,
            "promptTokensDetails": [of("AUDIO", 4), of("IMAGE", 4)],
            "cacheTokensDetails": [of("TEXT", 1)],
        },
    ],
)
def test_counts_that_cannot_be_are_absurd(fields: dict[str, object]) -> None:
    """Negative, huge, mistyped or contradicting counts are flagged."""
    assert counted(**fields) == ABSURD


@pytest.mark.parametrize("text", [b"", b"null", b"{}", b'{"trafficType":"ON_DEMAND"}'])
def test_no_count_is_unmetered(text: bytes) -> None:
    """A usage that counts nothing is none."""
    assert meter(msgspec.Raw(text)) == UNMETERED


COUNTS = st.integers(0, 5000)


@given(st.builds(Usage, COUNTS, COUNTS, st.just(0), st.just(0), COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS))
def test_what_is_written_reads_back(usage: Usage) -> None:
    """Buckets become totals, and the totals the same buckets."""
    found = usage_object(usage)

    assert found["totalTokenCount"] == usage.input_tokens + usage.output_tokens
    assert meter(raw(found)).usage == usage


def test_totals_are_googles() -> None:
    """The prompt includes the cache, the candidates leave out thoughts."""
    assert usage_object(Usage(input_uncached=3, cache_read=4, cache_write_5m=2, output_text=5, reasoning=6)) == {
        "promptTokenCount": 9,
        "candidatesTokenCount": 5,
        "cachedContentTokenCount": 4,
        "thoughtsTokenCount": 6,
        "totalTokenCount": 20,
    }
