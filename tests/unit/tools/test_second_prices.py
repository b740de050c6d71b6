"""LiteLLM's table, row by row."""

from __future__ import annotations

from typing import Any

import pytest

from tokenway.dialects.known import Service
from tools.second_prices import capabilities, is_side_model, nano, second_price, second_services, with_services

FREE = {"input": 0, "output": 0}


@pytest.mark.parametrize(
    ("dollars", "rate"), [("2.5", 2_500_000_000), (0.1, 10**8), ("0.0833333333333333", 83_333_333)]
)
def test_dollars_become_nano_dollars(dollars: str | float, rate: int) -> None:
    """Rounded half up at the ninth decimal."""
    assert nano(dollars) == rate


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


SERVED = {
    "input_cost_per_token": 1e-06,
    "output_cost_per_token": 4e-06,
    "input_cost_per_token_flex": 5e-07,
    "output_cost_per_token_priority": 8e-06,
    "input_cost_per_token_above_272k_tokens_priority": 3e-06,
    "output_cost_per_token_batches": 2e-06,
    "cache_read_input_token_cost_flex": None,
}
FLEX = {"input": 500_000_000}
PRIORITY = {"output": 8 * 10**9, "tiers": [{"above": 272_000, "input": 3 * 10**9}]}


def test_classes_of_service_are_read_with_their_tiers() -> None:
    """Each by the end of its columns' names; what is for nobody is left out."""
    assert second_services(SERVED) == {"flex": FLEX, "priority": PRIORITY}
    assert second_price(SERVED | {"mode": "chat"}) == {
        "input": 10**9,
        "output": 4 * 10**9,
        "flex": FLEX,
        "priority": PRIORITY,
    }


def test_classes_of_service_are_added_where_both_tables_mean_the_same_price() -> None:
    """A price of another time, one of the hours, and one that knows the class already stay as they are."""
    usual = {"price": {"input": 10**9, "output": 4 * 10**9}}
    others: list[dict[str, Any]] = [
        {"price": {"input": 2 * 10**9, "output": 4 * 10**9}},
        usual | {"hours": [0, 60]},
        {"price": None},
    ]
    second = [10**9, 4 * 10**9]
    assert with_services(usual, second, {"flex": FLEX}) == {"price": usual["price"] | {"flex": FLEX}}
    assert [with_services(each, second, {"flex": FLEX}) for each in others] == others
    known = {"price": usual["price"] | {"flex": PRIORITY}}
    assert with_services(known, second, {"flex": FLEX}) == known


def test_capabilities_say_only_what_is_known() -> None:
    """Nothing without a row; a row that names no tools has none."""
    assert capabilities({}) == {}
    assert capabilities({}, 100) == {"context": 100}
    assert capabilities({"mode": "chat"}) == {"tools": False}
