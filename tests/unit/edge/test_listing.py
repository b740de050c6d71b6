"""Models in the shapes that clients look for."""

from __future__ import annotations

import pytest

from tests.e2e.raw import Answer
from tests.unit.edge.inside import PRICE, Inside
from tokenway.edge.listing import describe, describe_endpoint, per_token, pricing
from tokenway.model.catalog import Capabilities, Endpoint, Grade, Hours, Model, Operation, Price, Tier
from tokenway.model.money import NanoUsd, Rate

MODEL = Model(
    "m", (Endpoint("p", "up", PRICE, Grade("fp8"), capabilities=Capabilities(context=1000, max_output=10)),), created=7
)


async def fetch(inside: Inside, request: bytes) -> Answer:
    """One request on a connection of its own."""
    async with inside.client() as raw:
        await raw.send(request)
        return await raw.answer()


@pytest.mark.parametrize(
    ("rate", "dollars"),
    [(500_000_000, "0.0000005"), (1_000_000_000, "0.000001"), (0, "0"), (10**15, "1"), (3, "0.000000000000003")],
)
def test_a_rate_becomes_dollars_per_token_exactly(rate: int, dollars: str) -> None:
    """Nano-dollars per million tokens in, a decimal without an exponent out."""
    assert per_token(rate) == dollars


def test_only_known_rates_are_shown() -> None:
    """A rate that an endpoint does not have is absent, not zero."""
    assert pricing(Price(Rate(10**9), Rate(2 * 10**9))) == {
        "prompt": "0.000001",
        "completion": "0.000002",
        "request": "0",
    }
    full = pricing(Price(Rate(1), Rate(2), Rate(3), Rate(4), Rate(5), Rate(6), NanoUsd(7)))
    assert len(full) == 7
    assert full["request"] == "0.000000007"


def test_a_model_and_its_endpoint_are_described() -> None:
    """In OpenAI's and OpenRouter's shapes; a model without any endpoint is described as well."""
    shape = describe(MODEL)
    assert (shape["id"], shape["object"], shape["created"], shape["context_length"]) == ("m", "model", 7, 1000)
    offer = describe_endpoint(MODEL, MODEL.endpoints[0])
    assert (offer["tag"], offer["quantization"], offer["max_completion_tokens"]) == ("p/up", "fp8", 10)
    bare = describe(Model("none", ()))
    assert bare["endpoints"] == []
    assert "pricing" not in bare


def test_conditions_of_a_price_are_shown_as_overrides() -> None:
    """In OpenRouter's words: from how many tokens on, and between which times of the day, UTC."""
    price = Price(
        Rate(10**9),
        Rate(2 * 10**9),
        search=NanoUsd(10**7),
        tiers=(Tier(above=200_000, input=Rate(2 * 10**9)),),
        hours=(Hours(begin=30, end=990, output=Rate(10**9)),),
    )
    shown = pricing(price)
    assert shown["web_search"] == "0.01"
    assert shown["overrides"] == [
        {"min_prompt_tokens": 200_001, "prompt": "0.000002"},
        {"utc_start": "0030", "utc_end": "1630", "completion": "0.000001"},
    ]


def test_what_goes_in_and_comes_out_is_described() -> None:
    """From what is known of the first endpoint."""
    sees = Endpoint("p", "m", capabilities=Capabilities(vision=True))
    shape = describe(Model("m", (sees,), title="M"))
    assert shape["architecture"] == {
        "modality": "text+image->text",
        "input_modalities": ["text", "image"],
        "output_modalities": ["text"],
    }
    assert shape["name"] == "M"
    assert "tools" in shape["supported_parameters"]  # type: ignore[operator]
    without = describe(Model("m", (Endpoint("p", "m", capabilities=Capabilities(tools=False)),)))
    assert "tools" not in without["supported_parameters"]  # type: ignore[operator]
    embeds = describe(Model("m", (Endpoint("p", "m", operations=(Operation.EMBEDDING,)),)))
    assert embeds["architecture"]["output_modalities"] == ["embeddings"]  # type: ignore[index]
    assert embeds["supported_parameters"] == []
