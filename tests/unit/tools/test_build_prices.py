"""From two collections of prices to the book, with small stand-ins for their records."""

from __future__ import annotations

from datetime import date, time
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from tokenway.metering.price_book import price_at, read_book
from tools.build_prices import book, main, named, price, prices, render, rule


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


def variant(when: dict[str, str], start: date | None, **rates: str) -> SimpleNamespace:
    """Other prices of a model under a condition, from a day on."""
    return SimpleNamespace(when=when, prices=flat(**rates), constraint=start and SimpleNamespace(start_date=start))


def test_a_class_of_service_that_begins_later_makes_a_price_of_its_day() -> None:
    """The same price as before and the class; the next price has it too, unless another one is meant for it first."""
    first, later, new = date(2026, 1, 1), date(2026, 2, 1), date(2026, 3, 1)
    dated = [
        SimpleNamespace(prices=flat(input="2", output="8"), constraint=None),
        SimpleNamespace(prices=flat(input="1", output="4"), constraint=SimpleNamespace(start_date=new)),
    ]
    variants = [
        variant({"service_tier": "default"}, None),
        variant({"service_tier": "priority"}, first, input="4", output="16", cache_read="1"),
        variant({"service_tier": "priority"}, later, input="5"),
        variant({"speed": "fast"}, later, output="40"),
        variant({"route": "eu"}, first, input="3"),
    ]
    priority = {"input": 4 * 10**9, "output": 16 * 10**9, "cache_read": 10**9}
    fast = {"output": 40 * 10**9}
    usual, cheaper = {"input": 2 * 10**9, "output": 8 * 10**9}, {"input": 10**9, "output": 4 * 10**9}
    days = [(day - date(1970, 1, 1)).days for day in (first, later, new)]
    assert prices(model("m", dated, price_variants=variants)) == [
        {"price": usual},
        {"price": usual | {"priority": priority}, "since": days[0]},
        {"price": usual | {"priority": priority, "fast": fast}, "since": days[1]},
        {"price": cheaper | {"priority": priority, "fast": fast}, "since": days[2]},
    ]


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


def test_the_second_table_must_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    """There is no other place to take it from."""
    with pytest.raises(SystemExit):
        main([])
    assert "--litellm" in capsys.readouterr().err
