"""The book that is shipped."""

from __future__ import annotations

from datetime import date

import pytest

from tokenway.control.prices import corrections, price_book, published_book
from tokenway.dialects.providers import KNOWN
from tokenway.metering.price import for_picture
from tokenway.metering.price_book import find, listings, price_at
from tokenway.model.match import first_meant
from tokenway.model.money import parse_usd

DAY = (date(2026, 11, 1) - date(1970, 1, 1)).days


@pytest.mark.parametrize(
    ("provider", "model", "rates"),
    [
        ("openai", "gpt-4o", ("2.5", "10")),
        ("openai", "gpt-4o-2024-08-06", ("2.5", "10")),
        ("openai", "omni-moderation-latest", ("0", "0")),
        ("anthropic", "claude-sonnet-4-5-20250929", ("3", "15")),
        ("google", "gemini-2.5-pro", ("1.25", "10")),
        ("azure", "gpt-4o", ("2.5", "10")),
        ("mistral", "mistral-large-2411", ("2", "6")),
        ("mistral", "mistral-large-latest", ("0.5", "1.5")),
        ("deepseek", "deepseek-chat", ("0.28", "0.42")),
        ("deepseek", "deepseek-reasoner", ("0.28", "0.42")),
    ],
)
def test_well_known_prices_are_in_it(provider: str, model: str, rates: tuple[str, str]) -> None:
    """As their vendors published them."""
    price = price_at(price_book(), provider, model, DAY)
    assert price is not None
    assert (price.input, price.output) == tuple(int(float(rate) * 10**9) for rate in rates)


def test_long_input_has_a_tier_of_its_own() -> None:
    """Gemini 2.5 Pro costs twice as much from 200,001 tokens of input on."""
    price = price_at(price_book(), "google", "gemini-2.5-pro", DAY)
    assert price is not None
    (tier,) = price.tiers
    assert (tier.above, tier.input, tier.output) == (200_000, 2_500_000_000, 15_000_000_000)


@pytest.mark.parametrize(
    ("provider", "model", "rate", "nano"),
    [
        ("openai", "whisper-1", "sound_hour", 360_000_000),
        ("openai", "tts-1", "characters", 15_000_000_000),
        ("openai", "tts-1-hd", "characters", 30_000_000_000),
        ("openai", "dall-e-3", "image", 40_000_000),
        ("azure", "dall-e-2", "image", 20_000_000),
        ("groq", "whisper-large-v3-turbo", "sound_hour", 40_000_000),
        ("mistral", "voxtral-mini-latest", "sound_hour", 180_000_000),
        ("x-ai", "grok-imagine-image", "image", 20_000_000),
        ("cohere", "rerank-v3.5", "search", 2_000_000),
        ("voyageai", "rerank-2.5", "input", 50_000_000),
        ("jina", "jina-reranker-m0", "input", 50_000_000),
    ],
)
def test_what_is_not_charged_by_the_token_has_a_price(provider: str, model: str, rate: str, nano: int) -> None:
    """Sound by the hour, text by the character, images and searches each; some rank by the token."""
    price = price_at(price_book(), provider, model, DAY)
    assert price is not None
    assert getattr(price, rate) == nano


@pytest.mark.parametrize(
    ("size", "quality", "dollars"),
    [("1024x1024", "standard", "0.04"), ("1792x1024", "", "0.08"), ("", "hd", "0.08"), ("1024x1792", "hd", "0.12")],
)
def test_an_image_has_the_price_of_its_size_and_quality(size: str, quality: str, dollars: str) -> None:
    """As OpenAI's page has it."""
    price = price_at(price_book(), "openai", "dall-e-3", DAY)
    assert price is not None
    assert for_picture(price, size, quality).image == parse_usd(dollars)


def test_what_is_charged_by_something_else_has_no_price() -> None:
    """An hour of a conversation is none of sound that is heard: unknown is not free."""
    assert find(price_book(), "openai", "gpt-realtime-whisper") is not None
    assert price_at(price_book(), "openai", "gpt-realtime-whisper", DAY) is None


def test_every_shelf_is_a_known_providers() -> None:
    """Or one that a known provider also serves."""
    named = {row.prices or row.name for row in KNOWN.values()}
    shelves = price_book().shelves
    named |= {more for shelf in shelves.values() for more in shelf.more}
    assert set(shelves) <= named
    assert {"openai", "anthropic", "google", "aws", "openrouter", "mistral", "deepseek"} <= set(shelves)


@pytest.mark.parametrize("name", sorted(price_book().shelves))
def test_a_listed_name_means_its_own_row(name: str) -> None:
    """So that the list shows the price that a call for the name will have."""
    rows = listings(price_book(), name, DAY)
    models = next((row.models for row in KNOWN.values() if (row.prices or row.name) == name), ".")
    listed = [row for row in listings(price_book(), name, DAY, models) if row.is_listed]
    wrong = [row.name for row in listed if (meant := first_meant(rows, row.name)) is None or meant.price != row.price]
    assert wrong == []


@pytest.mark.parametrize(
    ("provider", "name"),
    [
        ("openai", "ft:gpt-3.5-turbo-"),
        ("openai", "moderation"),
        ("openai", "gpt-4o:extended"),
        ("mistral", "mistral-nemo:free"),
        ("gemini", "claude-opus-4-5"),
        ("openrouter", "anthropic/claude-haiku-4.5:batch"),
        ("vertex", "claude-opus-4-5"),
        ("bedrock", "regional.anthropic.claude-3-haiku-20240307-v1:0"),
    ],
)
def test_a_name_that_the_provider_does_not_know_is_not_listed(provider: str, name: str) -> None:
    """It is the book's own, or of a model elsewhere; the price still holds for the names that its rule means."""
    row = KNOWN[provider]
    rows = {each.name: each for each in listings(price_book(), row.prices or row.name, DAY, row.models)}
    assert not rows[name].is_listed


@pytest.mark.parametrize("shelf", ["zai", "zhipuai"])
def test_names_are_listed_as_the_provider_takes_them(shelf: str) -> None:
    """Its price list has capitals, its API small letters."""
    listed = [row.name for row in listings(price_book(), shelf, DAY) if row.is_listed]
    assert listed
    assert listed == [name.lower() for name in listed]


def test_every_correction_says_where_it_was_read() -> None:
    """A price that nobody can look up again is not put over a published one."""
    entries = [entry for shelf in corrections().shelves.values() for entry in shelf.entries]
    assert all(dated.source for entry in entries for dated in entry.prices)
    assert published_book().made.startswith("genai-prices ")
