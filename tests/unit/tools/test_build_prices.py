"""From two collections of prices to the book, with small stand-ins for their records."""

from __future__ import annotations

from datetime import date, time
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from tokenway.dialects.known import Service
from tokenway.metering.price_book import price_at, read_book
from tools.build_prices import (
    book,
    capabilities,
    is_side_model,
    main,
    named,
    nano,
    price,
    render,
    rule,
    second_price,
)


class ClauseEquals(SimpleNamespace):
    """As the package names it."""


class ClauseStartsWith(SimpleNamespace):
    """The same."""


class ClauseRegex(SimpleNamespace):
    """The same."""


class ClauseOr(SimpleNamespace):
    """The same."""


def model(identity: str, prices: Any, **more: Any) -> SimpleNamespace:
    """A model of the package."""
    fields = {"match": ClauseEquals(equals=identity), "name": None, "deprecated": None, "context_window": None}
    return SimpleNamespace(**{"id": identity, "prices": prices, "price_variants": None, **fields, **more})


def flat(**rates: str) -> SimpleNamespace:
    """Prices of a model."""
    return SimpleNamespace(**{f"{name}_mtok": Decimal(rate) for name, rate in rates.items()})


@pytest.mark.parametrize(
    ("dollars", "rate"), [("2.5", 2_500_000_000), (0.1, 10**8), ("0.0833333333333333", 83_333_333)]
)
def test_dollars_become_nano_dollars(dollars: str | float, rate: int) -> None:
    """Rounded half up at the ninth decimal."""
    assert nano(dollars) == rate


def test_rules_are_translated() -> None:
    """In small letters, but for patterns."""
    clauses = ClauseOr(or_=[ClauseEquals(equals="GPT"), ClauseStartsWith(starts_with="O"), ClauseRegex(regex="A$")])
    assert rule(clauses) == ["|", [["=", "gpt"], ["^", "o"], ["r", "A$"]]]


def test_tiers_hold_every_rate_at_each_length() -> None:
    """Also where the rates change at different lengths; searches and calls are priced one by one."""
    tier = SimpleNamespace
    written = SimpleNamespace(
        input_mtok=SimpleNamespace(base=Decimal(1), tiers=[tier(start=100, price=Decimal(2))]),
        output_mtok=SimpleNamespace(base=Decimal(3), tiers=[tier(start=200, price=Decimal(4))]),
        web_searches_kcount=Decimal(10),
    )
    assert price(written) == {
        "input": 10**9,
        "output": 3 * 10**9,
        "search": 10_000_000,
        "tiers": [
            {"above": 100, "input": 2 * 10**9, "output": 3 * 10**9},
            {"above": 200, "input": 2 * 10**9, "output": 4 * 10**9},
        ],
    }


def test_sound_and_characters_have_rates_of_their_own() -> None:
    """Dollars an hour and a million, exactly."""
    written = SimpleNamespace(audio_hours=Decimal("0.111"), input_audio_hours=Decimal("0.111"))
    assert price(written) == {"input": 0, "output": 0, "sound_hour": 111_000_000}
    assert price(SimpleNamespace(input_mchars=Decimal(15))) == {"input": 0, "output": 0, "characters": 15 * 10**9}


def test_what_is_not_charged_by_what_comes_and_goes_is_no_price() -> None:
    """An hour of a conversation, or a page."""
    assert price(SimpleNamespace(audio_hours=Decimal(1))) is None
    assert price(SimpleNamespace(input_document_kpages=Decimal(1))) is None


def test_a_book_is_made_and_read_back() -> None:
    """Dates, times, batches, names to ask for, what the second table adds, and providers that only it knows."""
    dated = [
        SimpleNamespace(prices=flat(input="1", output="2"), constraint=None),
        SimpleNamespace(prices=flat(input="3", output="4"), constraint=SimpleNamespace(start_date=date(2025, 1, 2))),
        SimpleNamespace(
            prices=flat(input="5", output="6"),
            constraint=SimpleNamespace(start_time=time(0, 30), end_time=time(16, 30)),
        ),
    ]
    batch = SimpleNamespace(when={"processing": "batch"}, prices=flat(input="0.5"), constraint=None)
    openai = SimpleNamespace(
        id="openai",
        fallback_model_providers=None,
        models=[
            model("gpt-x", dated, name="GPT X", context_window=10),
            model("batched", flat(input="1", output="1"), price_variants=[batch]),
            model("gift:free", SimpleNamespace()),
            model("unknown", SimpleNamespace(), deprecated=True),
        ],
    )
    table: dict[str, dict[str, Any]] = {
        "gpt-x": {
            "litellm_provider": "openai",
            "mode": "chat",
            "max_input_tokens": 20,
            "max_output_tokens": 5,
            "supports_vision": True,
            "supports_function_calling": True,
            "input_cost_per_token": 3e-06,
            "output_cost_per_token": 4e-06,
        },
        "dashscope/qwen": {
            "litellm_provider": "dashscope",
            "mode": "embedding",
            "input_cost_per_token": 1e-07,
            "cache_read_input_token_cost": 1e-08,
        },
        "dashscope/unpriced": {"litellm_provider": "dashscope"},
    }
    text = render(named(book([openai], table, "by hand")))
    read = read_book(text.encode())
    assert set(read.shelves) == {"openai", "dashscope"}
    first, batched, gift, unknown = read.shelves["openai"].entries
    assert (first.title, first.asked, first.second) == ("GPT X", "gpt-x", (3 * 10**9, 4 * 10**9))
    assert (first.capabilities.context, first.capabilities.max_output, first.capabilities.vision) == (20, 5, True)
    day = (date(2025, 1, 2) - date(1970, 1, 1)).days
    before, after = first.price_on(day - 1), first.price_on(day)
    assert before is not None
    assert after is not None
    assert (before.input, after.input, after.hours[0].begin, after.hours[0].end) == (10**9, 3 * 10**9, 30, 990)
    (dated_batch,) = batched.prices
    assert dated_batch.price is not None
    assert dated_batch.price.batch is not None
    assert dated_batch.price.batch.input == 5 * 10**8
    free = gift.price_on(0)
    assert free is not None
    assert (free.input, free.output) == (0, 0)
    assert (unknown.price_on(0), unknown.is_old) == (None, True)
    (qwen,) = read.shelves["dashscope"].entries
    assert qwen.embeds
    known = price_at(read, "dashscope", "QWEN", 0)
    assert known is not None
    assert (known.input, known.output, known.cache_read) == (10**8, 0, 10**7)
    assert len(text.splitlines()) == 5 + 5 + 1


FREE = {"input": 0, "output": 0}


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ({"mode": "chat", "input_cost_per_token": 1e-6}, {"input": 10**9, "output": 0}),
        ({"mode": "chat", "input_cost_per_token": 0.0}, FREE),
        ({"mode": "rerank", "input_cost_per_token": 0.0, "input_cost_per_query": 0.002}, FREE | {"search": 2_000_000}),
        ({"mode": "rerank", "input_cost_per_token": 5e-08}, {"input": 50_000_000, "output": 0}),
        ({"mode": "rerank", "input_cost_per_token": 0.0}, None),
        # a second of 0.21 USD an hour, as the table has it
        ({"mode": "audio_transcription", "input_cost_per_second": 5.83333e-05}, FREE | {"sound_hour": 210_000_000}),
        ({"mode": "audio_transcription", "input_cost_per_second": 0.0}, None),
        ({"mode": "audio_speech", "input_cost_per_character": 1.5e-05}, FREE | {"characters": 15 * 10**9}),
        ({"mode": "image_generation", "output_cost_per_image": 0.04}, FREE | {"image": 40_000_000}),
        ({"mode": "image_edit", "input_cost_per_image": 0.02}, FREE | {"image": 20_000_000}),
        ({"mode": "image_generation", "input_cost_per_pixel": 1e-08}, None),
        ({"mode": "chat", "input_cost_per_image": 0.02}, None),
    ],
)
def test_a_row_is_priced_by_the_token_or_by_the_piece(row: dict[str, Any], found: object) -> None:
    """What says neither has no price, and a zero beside a mode that is paid for is none."""
    assert second_price(row) == found


@pytest.mark.parametrize(
    ("name", "more", "is_one"),
    [
        ("flux", {"output_cost_per_image": 0.04}, True),
        ("hd/1024-x-1024/dall-e-3", {"input_cost_per_image": 0.08}, False),
        ("grok", {"input_cost_per_image": 0.06, "output_cost_per_image_2K": 0.06}, False),
        ("gpt-image", {"input_cost_per_token": 5e-06, "output_cost_per_image": 0.04}, False),
        ("tts", {"mode": "audio_speech", "input_cost_per_character": 1.5e-05}, False),
        ("gpt", {"mode": "chat", "input_cost_per_token": 5e-06}, False),
    ],
)
def test_only_sure_prices_of_what_a_provider_does_are_taken(name: str, more: dict[str, Any], is_one: bool) -> None:
    """One price for every image, and a service that is there."""
    assert is_side_model(name, {"mode": "image_generation"} | more, [Service.IMAGES]) is is_one


def test_rankings_come_from_the_second_table() -> None:
    """Where no rule of the first means the model already."""
    cohere = SimpleNamespace(
        id="cohere", fallback_model_providers=None, models=[model("rerank-v3.5", flat(input="1", output="1"))]
    )
    row = {"litellm_provider": "cohere", "mode": "rerank", "input_cost_per_query": 0.002}
    made = book([cohere], {"rerank-v3.5": row, "rerank-v4.0": row}, "by hand")
    read = read_book(render(named(made)).encode())
    assert [(entry.name, entry.asked) for entry in read.shelves["cohere"].entries] == [
        ("rerank-v3.5", "rerank-v3.5"),
        ("rerank-v4.0", "rerank-v4.0"),
    ]
    known, ranked = (price_at(read, "cohere", name, 0) for name in ("rerank-v3.5", "rerank-v4.0"))
    assert known is not None
    assert ranked is not None
    assert (known.search, ranked.search) == (0, 2_000_000)


def test_a_vendors_model_can_see_at_openrouter_too() -> None:
    """What it can do is the vendor's to say, also of a variant; how long its answers are is not, nor are its prices."""
    names = ["anthropic/claude-x-4.5", "anthropic/claude-x-4.5:thinking", "nobody/claude-x-4.5", "anthropic/other"]
    models = [model(name, flat(input="1", output="1"), context_window=10) for name in names]
    openrouter = SimpleNamespace(id="openrouter", fallback_model_providers=None, models=models)
    row = {"mode": "chat", "supports_vision": True, "max_output_tokens": 5, "input_cost_per_token": 3e-06}
    made = book([openrouter], {"claude-x-4-5": row}, "by hand")
    entries = made["shelves"]["openrouter"]["entries"]
    assert [each["capabilities"] for each in entries] == [
        {"context": 10, "vision": True, "tools": False},
        {"context": 10, "vision": True, "tools": False},
        {"context": 10},
        {"context": 10},
    ]
    assert not any("second" in each for each in entries)


def test_capabilities_say_only_what_is_known() -> None:
    """Nothing without a row; a row that names no tools has none."""
    assert capabilities({}) == {}
    assert capabilities({}, 100) == {"context": 100}
    assert capabilities({"mode": "chat"}) == {"tools": False}


def test_the_second_table_must_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    """There is no other place to take it from."""
    with pytest.raises(SystemExit):
        main([])
    assert "--litellm" in capsys.readouterr().err
