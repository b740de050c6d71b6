"""Answers as providers send them, of what is not sold by the token, to money: each sum is written out by hand.

As in `test_price_cases`, the prices are those of public price pages in the month that is named. A case lists what is
charged as (how many, USD, for so many), so that it can be checked with a pencil, and the total in USD.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final, NamedTuple

import msgspec
import pytest

from tests.property.test_price_cases import price
from tokenway.dialects.side.passing import PassingBytes, read_whole
from tokenway.metering.price import cost, for_picture
from tokenway.model.catalog import Operation, Picture, Price
from tokenway.model.money import format_usd, parse_rate, parse_usd
from tokenway.model.usage import Metered

HOUR_MS: Final = 3_600_000
MINUTE_MS: Final = 60_000
MILLION: Final = 1_000_000


def side(operation: Operation) -> Callable[[Any], Metered]:
    """Reads a whole answer of a side endpoint."""
    return lambda answer: read_whole(operation, json.dumps(answer).encode()).metered


def spoken(text: str) -> Metered:
    """What is counted when a text has been spoken."""
    stream = PassingBytes(len(text))
    stream.feed(b"ID3", 1.0)
    stream.finish()
    return stream.metered


def pieces(**rates: Any) -> Price:
    """A price without any for tokens."""
    return msgspec.structs.replace(price("0", "0"), **rates)


# OpenAI, Pricing, August 2025: Whisper is 0.006 USD a minute, speech 15 or 30 USD a million characters
WHISPER: Final = pieces(sound_hour=parse_usd("0.36"))
TTS: Final = pieces(characters=parse_rate("15"))
TTS_HD: Final = pieces(characters=parse_rate("30"))
DALL_E_3: Final = pieces(
    image=parse_usd("0.04"),
    images=(
        Picture(quality="hd", size="1024x1792", image=parse_usd("0.12")),
        Picture(quality="hd", image=parse_usd("0.08")),
        Picture(size="1024x1792", image=parse_usd("0.08")),
    ),
)
GPT_IMAGE: Final = price("5", "40", cache_read="1.25", image_input="10")
# Groq: 0.111 USD an hour; Mistral: 0.002 USD a minute; Cohere: 2 USD a thousand searches; Jina: 0.02 a million tokens
GROQ_WHISPER: Final = pieces(sound_hour=parse_usd("0.111"))
VOXTRAL: Final = pieces(sound_hour=parse_usd("0.12"))
COHERE: Final = pieces(search=parse_usd("0.002"))
JINA: Final = price("0.02", "0")


class Case(NamedTuple):
    """One bill: the answer (or the text that is spoken), what is charged for it, and the sum in USD."""

    read: Callable[[Any], Metered]
    answer: Any
    price: Price
    charged: tuple[tuple[int, str, int], ...]
    usd: str


ONE: Final = {"data": [{"url": "u"}]}
CASES: Final[dict[str, Case]] = {
    "openai-whisper-by-the-second": Case(
        side(Operation.TRANSCRIPTION),
        {"text": "Hello.", "usage": {"type": "duration", "seconds": 9}},
        WHISPER,
        ((9_000, "0.006", MINUTE_MS),),
        "0.0009",
    ),
    "openai-whisper-bills-more-than-it-measured": Case(
        side(Operation.TRANSLATION),
        {"text": "", "duration": 60.9, "segments": [], "usage": {"type": "duration", "seconds": 61}},
        WHISPER,
        ((61_000, "0.006", MINUTE_MS),),
        "0.0061",
    ),
    "openai-speech-by-the-character": Case(
        spoken, "Gr\u00fc\u00df dich \U0001f600!", TTS, ((12, "15", MILLION),), "0.00018"
    ),
    "openai-speech-in-high-definition": Case(spoken, "x" * 4_096, TTS_HD, ((4_096, "30", MILLION),), "0.12288"),
    "openai-image-of-the-usual-kind": Case(
        side(Operation.IMAGE), ONE, for_picture(DALL_E_3, "", ""), ((1, "0.04", 1),), "0.04"
    ),
    "openai-image-standard-and-tall": Case(
        side(Operation.IMAGE), ONE, for_picture(DALL_E_3, "1024x1792", "standard"), ((1, "0.08", 1),), "0.08"
    ),
    "openai-image-hd-and-tall": Case(
        side(Operation.IMAGE), ONE, for_picture(DALL_E_3, "1024x1792", "hd"), ((1, "0.12", 1),), "0.12"
    ),
    "openai-images-hd-and-square": Case(
        side(Operation.IMAGE),
        {"data": [{"url": "u"}] * 2},
        for_picture(DALL_E_3, "1024x1024", "hd"),
        ((2, "0.08", 1),),
        "0.16",
    ),
    "openai-image-by-the-token": Case(
        side(Operation.IMAGE_EDIT),
        {
            "data": [{"b64_json": "AA=="}],
            "usage": {
                "input_tokens": 373,
                "input_tokens_details": {"text_tokens": 50, "image_tokens": 323},
                "output_tokens": 1_056,
                "total_tokens": 1_429,
            },
        },
        GPT_IMAGE,
        ((50, "5", MILLION), (323, "10", MILLION), (1_056, "40", MILLION)),
        "0.04572",
    ),
    "groq-whisper-by-the-hour": Case(
        side(Operation.TRANSCRIPTION),
        {"text": "Hello.", "duration": 8.47, "x_groq": {"id": "req_1"}},
        GROQ_WHISPER,
        ((8_470, "0.111", HOUR_MS),),
        "0.000261158",
    ),
    "mistral-sound-beside-tokens-that-are-free": Case(
        side(Operation.TRANSCRIPTION),
        {"text": "", "usage": {"prompt_audio_seconds": 203, "prompt_tokens": 4, "completion_tokens": 635}},
        VOXTRAL,
        ((203_000, "0.002", MINUTE_MS),),
        "0.006766667",
    ),
    "cohere-a-ranking-is-searches": Case(
        side(Operation.RERANK),
        {"results": [], "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 3}}},
        COHERE,
        ((3, "2", 1_000),),
        "0.006",
    ),
    "jina-a-ranking-is-tokens": Case(
        side(Operation.RERANK),
        {"results": [], "usage": {"total_tokens": 815}},
        JINA,
        ((815, "0.02", MILLION),),
        "0.0000163",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_bill_is_the_sum_by_hand(name: str) -> None:
    """The cost of an answer is the sum of what is charged, rounded once to a thousand-millionth of a dollar."""
    case = CASES[name]
    usage = case.read(case.answer).usage
    assert usage is not None
    by_hand = sum((many * Decimal(usd) / each for many, usd, each in case.charged), Decimal(0))
    assert by_hand.quantize(Decimal("1e-9"), ROUND_HALF_UP) == Decimal(case.usd)
    bill = cost(usage, case.price)
    assert bill is not None
    assert format_usd(bill) == case.usd


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("openai-whisper-by-the-second", TTS),
        ("openai-speech-by-the-character", GPT_IMAGE),
        ("openai-image-of-the-usual-kind", GPT_IMAGE),
        ("groq-whisper-by-the-hour", price("0", "0")),
    ],
)
def test_a_price_of_something_else_is_none(name: str, other: Price) -> None:
    """What has no rate is not free: nobody knows what it costs."""
    case = CASES[name]
    usage = case.read(case.answer).usage
    assert usage is not None
    assert cost(usage, other) is None
