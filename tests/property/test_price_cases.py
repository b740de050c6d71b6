"""Usage as providers send it, at list prices, to money: each sum is written out by hand.

The prices are those of the providers' public price pages in the month that is named; they are examples, and the
catalogue may know others by now. A case lists what is charged as (tokens, USD per million), so that it can be checked
with a pencil, and the total in USD. What is not sold by the token has its cases in `test_piece_cases`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final, NamedTuple

import msgspec
import pytest

from tokenway.dialects.anthropic.schema import meter as anthropic
from tokenway.dialects.bedrock.schema import meter as bedrock
from tokenway.dialects.gemini.usage import meter as gemini
from tokenway.dialects.openai_chat.schema import meter as chat
from tokenway.dialects.openai_responses.schema import meter as responses
from tokenway.metering.price import cost
from tokenway.model.catalog import Hours, Price, Tier
from tokenway.model.money import format_usd, parse_rate, parse_usd
from tokenway.model.usage import Metered


def price(into: str, out: str, **more: Any) -> Price:
    """A price from USD per million tokens."""
    rates: dict[str, Any] = {name: parse_rate(rate) for name, rate in more.items()}
    return Price(parse_rate(into), parse_rate(out), **rates)


# OpenAI, Pricing: GPT-4o of October, its audio of December 2024, GPT-4.1 of April, o3 of June, GPT-5 of August 2025
GPT_4O: Final = price("2.50", "10", cache_read="1.25")
GPT_4O_MINI: Final = price("0.15", "0.60", cache_read="0.075")
GPT_4O_AUDIO: Final = price("2.50", "10", audio_input="40", audio_output="80")
GPT_41: Final = price("2", "8", cache_read="0.50")
O3: Final = price("2", "8", cache_read="0.50")
GPT_5: Final = price("1.25", "10", cache_read="0.125")
# Anthropic, Pricing, October 2025; searches are 10 USD a thousand; Sonnet costs more above 200,000 tokens of input
SONNET: Final = msgspec.structs.replace(
    price("3", "15", cache_read="0.30", cache_write="3.75", cache_write_1h="6"),
    search=parse_usd("0.01"),
    tiers=(
        Tier(
            above=200_000,
            input=parse_rate("6"),
            output=parse_rate("22.50"),
            cache_read=parse_rate("0.60"),
            cache_write=parse_rate("7.50"),
            cache_write_1h=parse_rate("12"),
        ),
    ),
)
OPUS_41: Final = price("15", "75", cache_read="1.50", cache_write="18.75", cache_write_1h="30")
HAIKU_35: Final = price("0.80", "4", cache_read="0.08", cache_write="1", cache_write_1h="1.60")
# Google, Gemini API pricing, July 2025
GEMINI_PRO: Final = msgspec.structs.replace(
    price("1.25", "10", cache_read="0.31"),
    tiers=(Tier(above=200_000, input=parse_rate("2.50"), output=parse_rate("15"), cache_read=parse_rate("0.625")),),
)
GEMINI_FLASH: Final = price("0.30", "2.50", cache_read="0.075", audio_input="1.00")
GEMINI_IMAGE: Final = price("0.30", "2.50", image_output="30")
# DeepSeek, Models & Pricing, February 2025; discounts from 16:30 to 00:30 UTC
DEEPSEEK_CHAT: Final = msgspec.structs.replace(
    price("0.27", "1.10", cache_read="0.07"),
    hours=(
        Hours(begin=990, end=30, input=parse_rate("0.135"), output=parse_rate("0.55"), cache_read=parse_rate("0.035")),
    ),
)
DEEPSEEK_R1: Final = price("0.55", "2.19", cache_read="0.14")
# xAI, Models and Pricing, July 2025
GROK_MINI: Final = price("0.30", "0.50", cache_read="0.075")
GROK_4: Final = price("3", "15", cache_read="0.75")
# Amazon Bedrock pricing, US East, June 2025
NOVA_PRO: Final = price("0.80", "3.20", cache_read="0.20")
NOVA_MICRO: Final = price("0.035", "0.14", cache_read="0.00875")
BEDROCK_SONNET: Final = price("3", "15", cache_read="0.30", cache_write="3.75")
# Mistral, Groq, Moonshot, Perplexity, Together: price pages of August 2025
MISTRAL_MEDIUM: Final = price("0.40", "2", cache_read="0.04")
GROQ_LLAMA: Final = price("0.59", "0.79")
KIMI_K2: Final = price("0.60", "2.50", cache_read="0.15")
SONAR: Final = msgspec.structs.replace(price("1", "1"), request=parse_usd("0.005"))
TOGETHER_LLAMA: Final = price("0.88", "0.88")


class Case(NamedTuple):
    """One bill: usage as it is sent, what is charged for it, and the sum in USD."""

    read: Callable[[msgspec.Raw], Metered]
    usage: dict[str, Any]
    price: Price
    charged: tuple[tuple[int, str], ...]
    usd: str
    fees: str = "0"
    minute: int | None = None


CASES: Final[dict[str, Case]] = {
    "openai-plain": Case(
        chat,
        {"prompt_tokens": 1_000, "completion_tokens": 500, "total_tokens": 1_500},
        GPT_4O,
        ((1_000, "2.50"), (500, "10")),
        "0.0075",
    ),
    "openai-cached": Case(
        chat,
        {"prompt_tokens": 2_006, "completion_tokens": 300, "prompt_tokens_details": {"cached_tokens": 1_920}},
        GPT_4O,
        ((86, "2.50"), (1_920, "1.25"), (300, "10")),
        "0.005615",
    ),
    "openai-mini-cached": Case(
        chat,
        {"prompt_tokens": 4_096, "completion_tokens": 12, "prompt_tokens_details": {"cached_tokens": 4_096}},
        GPT_4O_MINI,
        ((4_096, "0.075"), (12, "0.60")),
        "0.0003144",
    ),
    "openai-reasoning-is-inside": Case(
        chat,
        {"prompt_tokens": 75, "completion_tokens": 1_186, "completion_tokens_details": {"reasoning_tokens": 1_024}},
        O3,
        ((75, "2"), (1_186, "8")),
        "0.009638",
    ),
    "openai-audio-both-ways": Case(
        chat,
        {
            "prompt_tokens": 120,
            "completion_tokens": 340,
            "prompt_tokens_details": {"audio_tokens": 100, "text_tokens": 20, "cached_tokens": 0},
            "completion_tokens_details": {"audio_tokens": 300, "text_tokens": 40},
        },
        GPT_4O_AUDIO,
        ((20, "2.50"), (100, "40"), (40, "10"), (300, "80")),
        "0.02845",
    ),
    "openai-audio-in-the-cache": Case(
        chat,
        {
            "prompt_tokens": 100,
            "completion_tokens": 0,
            "prompt_tokens_details": {"cached_tokens": 80, "audio_tokens": 30},
        },
        GPT_4O_AUDIO,
        ((80, "2.50"), (20, "40")),
        "0.001",
    ),
    "openai-predictions-that-missed": Case(
        chat,
        {
            "prompt_tokens": 10,
            "completion_tokens": 200,
            "completion_tokens_details": {"accepted_prediction_tokens": 100, "rejected_prediction_tokens": 60},
        },
        GPT_4O,
        ((10, "2.50"), (200, "10")),
        "0.002025",
    ),
    "openai-responses-plain": Case(
        responses,
        {"input_tokens": 36, "output_tokens": 87, "total_tokens": 123},
        GPT_41,
        ((36, "2"), (87, "8")),
        "0.000768",
    ),
    "openai-responses-reasoning-and-cache": Case(
        responses,
        {
            "input_tokens": 12_594,
            "input_tokens_details": {"cached_tokens": 3_200},
            "output_tokens": 1_150,
            "output_tokens_details": {"reasoning_tokens": 1_088},
            "total_tokens": 13_744,
        },
        GPT_5,
        ((9_394, "1.25"), (3_200, "0.125"), (1_150, "10")),
        "0.0236425",
    ),
    "openai-nothing-out": Case(responses, {"input_tokens": 8, "output_tokens": 0}, GPT_5, ((8, "1.25"),), "0.00001"),
    "anthropic-plain": Case(
        anthropic, {"input_tokens": 2_095, "output_tokens": 503}, SONNET, ((2_095, "3"), (503, "15")), "0.01383"
    ),
    "anthropic-cache-read-is-beside-the-input": Case(
        anthropic,
        {
            "input_tokens": 50,
            "cache_read_input_tokens": 100_000,
            "cache_creation_input_tokens": 0,
            "output_tokens": 500,
        },
        SONNET,
        ((50, "3"), (100_000, "0.30"), (500, "15")),
        "0.03765",
    ),
    "anthropic-cache-written-for-five-minutes": Case(
        anthropic,
        {
            "input_tokens": 21,
            "cache_creation_input_tokens": 188_086,
            "cache_read_input_tokens": 0,
            "output_tokens": 393,
        },
        SONNET,
        ((21, "3"), (188_086, "3.75"), (393, "15")),
        "0.7112805",
    ),
    "anthropic-cache-written-for-both": Case(
        anthropic,
        {
            "input_tokens": 2_048,
            "cache_read_input_tokens": 1_800,
            "cache_creation_input_tokens": 248,
            "cache_creation": {"ephemeral_5m_input_tokens": 148, "ephemeral_1h_input_tokens": 100},
            "output_tokens": 503,
        },
        SONNET,
        ((2_048, "3"), (1_800, "0.30"), (148, "3.75"), (100, "6"), (503, "15")),
        "0.015384",
    ),
    "anthropic-cache-written-for-an-hour": Case(
        anthropic,
        {
            "input_tokens": 3,
            "cache_creation_input_tokens": 10_000,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 10_000},
            "output_tokens": 100,
        },
        OPUS_41,
        ((3, "15"), (10_000, "30"), (100, "75")),
        "0.307545",
    ),
    "anthropic-thinking-is-inside": Case(
        anthropic,
        {"input_tokens": 51, "output_tokens": 168, "output_tokens_details": {"thinking_tokens": 112}},
        HAIKU_35,
        ((51, "0.80"), (168, "4")),
        "0.0007128",
    ),
    "anthropic-searches-are-each": Case(
        anthropic,
        {"input_tokens": 6_039, "output_tokens": 931, "server_tool_use": {"web_search_requests": 3}},
        SONNET,
        ((6_039, "3"), (931, "15")),
        "0.062082",
        fees="0.03",
    ),
    "anthropic-long-input-changes-every-rate": Case(
        anthropic,
        {"input_tokens": 150_000, "cache_read_input_tokens": 60_000, "output_tokens": 1_000},
        SONNET,
        ((150_000, "6"), (60_000, "0.60"), (1_000, "22.50")),
        "0.9585",
    ),
    "anthropic-at-the-tier": Case(
        anthropic, {"input_tokens": 200_000, "output_tokens": 10}, SONNET, ((200_000, "3"), (10, "15")), "0.60015"
    ),
    "gemini-plain": Case(
        gemini,
        {"promptTokenCount": 1_000, "candidatesTokenCount": 200, "totalTokenCount": 1_200},
        GEMINI_PRO,
        ((1_000, "1.25"), (200, "10")),
        "0.00325",
    ),
    "gemini-thoughts-are-beside-the-candidates": Case(
        gemini,
        {"promptTokenCount": 295, "candidatesTokenCount": 18, "thoughtsTokenCount": 104, "totalTokenCount": 417},
        GEMINI_FLASH,
        ((295, "0.30"), (18, "2.50"), (104, "2.50")),
        "0.0003935",
    ),
    "gemini-cached": Case(
        gemini,
        {
            "promptTokenCount": 5_000,
            "cachedContentTokenCount": 4_000,
            "candidatesTokenCount": 100,
            "totalTokenCount": 5_100,
        },
        GEMINI_PRO,
        ((1_000, "1.25"), (4_000, "0.31"), (100, "10")),
        "0.00349",
    ),
    "gemini-long-input": Case(
        gemini,
        {
            "promptTokenCount": 250_000,
            "candidatesTokenCount": 1_000,
            "thoughtsTokenCount": 500,
            "totalTokenCount": 251_500,
        },
        GEMINI_PRO,
        ((250_000, "2.50"), (1_500, "15")),
        "0.6475",
    ),
    "gemini-audio": Case(
        gemini,
        {
            "promptTokenCount": 1_600,
            "candidatesTokenCount": 50,
            "totalTokenCount": 1_650,
            "promptTokensDetails": [
                {"modality": "TEXT", "tokenCount": 100},
                {"modality": "AUDIO", "tokenCount": 1_500},
            ],
        },
        GEMINI_FLASH,
        ((100, "0.30"), (1_500, "1.00"), (50, "2.50")),
        "0.001655",
    ),
    "gemini-tools-put-into-the-prompt": Case(
        gemini,
        {"promptTokenCount": 20, "toolUsePromptTokenCount": 300, "candidatesTokenCount": 40, "totalTokenCount": 360},
        GEMINI_FLASH,
        ((320, "0.30"), (40, "2.50")),
        "0.000196",
    ),
    "gemini-an-image-that-came-out": Case(
        gemini,
        {
            "promptTokenCount": 10,
            "candidatesTokenCount": 1_300,
            "totalTokenCount": 1_310,
            "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 1_290}],
        },
        GEMINI_IMAGE,
        ((10, "0.30"), (10, "2.50"), (1_290, "30")),
        "0.038728",
    ),
    "deepseek-hits-and-misses": Case(
        chat,
        {
            "prompt_tokens": 976,
            "completion_tokens": 61,
            "total_tokens": 1_037,
            "prompt_cache_hit_tokens": 896,
            "prompt_cache_miss_tokens": 80,
        },
        DEEPSEEK_CHAT,
        ((80, "0.27"), (896, "0.07"), (61, "1.10")),
        "0.00015142",
    ),
    "deepseek-at-night": Case(
        chat,
        {"prompt_tokens": 1_000, "completion_tokens": 1_000, "prompt_cache_hit_tokens": 400},
        DEEPSEEK_CHAT,
        ((600, "0.135"), (400, "0.035"), (1_000, "0.55")),
        "0.000645",
        minute=0,
    ),
    "deepseek-by-day": Case(
        chat,
        {"prompt_tokens": 1_000, "completion_tokens": 1_000, "prompt_cache_hit_tokens": 400},
        DEEPSEEK_CHAT,
        ((600, "0.27"), (400, "0.07"), (1_000, "1.10")),
        "0.00129",
        minute=720,
    ),
    "deepseek-reasoner": Case(
        chat,
        {
            "prompt_tokens": 12,
            "completion_tokens": 789,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 415},
        },
        DEEPSEEK_R1,
        ((12, "0.55"), (789, "2.19")),
        "0.00173451",
    ),
    "xai-reasoning-is-beside-the-completion": Case(
        chat,
        {
            "prompt_tokens": 32,
            "completion_tokens": 9,
            "total_tokens": 135,
            "prompt_tokens_details": {"text_tokens": 32, "cached_tokens": 6},
            "completion_tokens_details": {"reasoning_tokens": 94},
        },
        GROK_MINI,
        ((26, "0.30"), (6, "0.075"), (103, "0.50")),
        "0.00005975",
    ),
    "xai-images-are-text": Case(
        chat,
        {
            "prompt_tokens": 700,
            "completion_tokens": 20,
            "total_tokens": 720,
            "prompt_tokens_details": {"image_tokens": 600},
        },
        GROK_4,
        ((700, "3"), (20, "15")),
        "0.0024",
    ),
    "google-for-openais-clients": Case(
        chat,
        {"prompt_tokens": 35, "completion_tokens": 12, "total_tokens": 109},
        GEMINI_FLASH,
        ((35, "0.30"), (74, "2.50")),
        "0.0001955",
    ),
    "bedrock-nova": Case(
        bedrock,
        {"inputTokens": 1_234, "outputTokens": 56, "totalTokens": 1_290},
        NOVA_PRO,
        ((1_234, "0.80"), (56, "3.20")),
        "0.0011664",
    ),
    "bedrock-cache-is-beside-the-input": Case(
        bedrock,
        {
            "inputTokens": 10,
            "outputTokens": 100,
            "totalTokens": 3_110,
            "cacheReadInputTokens": 2_000,
            "cacheWriteInputTokens": 1_000,
        },
        BEDROCK_SONNET,
        ((10, "3"), (2_000, "0.30"), (1_000, "3.75"), (100, "15")),
        "0.00588",
    ),
    "bedrock-less-than-a-cent-of-a-cent": Case(
        bedrock, {"inputTokens": 7, "outputTokens": 1}, NOVA_MICRO, ((7, "0.035"), (1, "0.14")), "0.000000385"
    ),
    "mistral-cached": Case(
        chat,
        {"prompt_tokens": 64, "completion_tokens": 6, "total_tokens": 70, "num_cached_tokens": 32},
        MISTRAL_MEDIUM,
        ((32, "0.40"), (32, "0.04"), (6, "2")),
        "0.00002608",
    ),
    "groq-times-are-no-tokens": Case(
        chat,
        {"queue_time": 0.05, "prompt_tokens": 45, "prompt_time": 0.002, "completion_tokens": 11, "total_time": 0.04},
        GROQ_LLAMA,
        ((45, "0.59"), (11, "0.79")),
        "0.00003524",
    ),
    "moonshot-cached": Case(
        chat,
        {"prompt_tokens": 800, "completion_tokens": 100, "total_tokens": 900, "cached_tokens": 768},
        KIMI_K2,
        ((32, "0.60"), (768, "0.15"), (100, "2.50")),
        "0.0003844",
    ),
    "perplexity-each-call-has-a-fee": Case(
        chat,
        {"prompt_tokens": 14, "completion_tokens": 200, "total_tokens": 214, "search_context_size": "low"},
        SONAR,
        ((14, "1"), (200, "1")),
        "0.005214",
        fees="0.005",
    ),
    "together-null-details": Case(
        chat,
        {
            "prompt_tokens": 90,
            "completion_tokens": 10,
            "prompt_tokens_details": None,
            "completion_tokens_details": None,
        },
        TOGETHER_LLAMA,
        ((90, "0.88"), (10, "0.88")),
        "0.000088",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_bill_is_the_sum_by_hand(name: str) -> None:
    """The cost of a usage as it was sent is the sum of what is charged, and that is the amount in the case."""
    case = CASES[name]
    metered = case.read(msgspec.Raw(json.dumps(case.usage).encode()))
    assert metered.usage is not None
    by_hand = sum((tokens * Decimal(rate) / 1_000_000 for tokens, rate in case.charged), Decimal(case.fees))
    assert by_hand == Decimal(case.usd)
    bill = cost(metered.usage, case.price, None if case.minute is None else case.minute * 60.0)
    assert bill is not None
    assert format_usd(bill) == case.usd


@pytest.mark.parametrize("name", CASES)
def test_no_token_is_charged_twice(name: str) -> None:
    """As many tokens are charged as the provider counted."""
    case = CASES[name]
    usage = case.read(msgspec.Raw(json.dumps(case.usage).encode())).usage
    assert usage is not None
    assert usage.input_tokens + usage.output_tokens == sum(tokens for tokens, _ in case.charged)


def test_many_providers_are_among_the_cases() -> None:
    """Each counts in its own way, so that one is not enough."""
    assert len(CASES) >= 30
    assert len({name.partition("-")[0] for name in CASES}) >= 8
