"""Prices by the token that a fleet is compared with."""

from __future__ import annotations

import pytest

from tokenway.cli.api_prices import found_in_book, named_api
from tokenway.cli.errors import BadUsage
from tokenway.planner.fleet.workload import Mix

MIX = Mix(input=1_000_000, output=1_000_000, cached=0.5)


@pytest.mark.parametrize(("text", "usd"), [("0.5,1.5", 2.0), ("0.5,1.5,0.1", 1.8), ("0,0", 0.0)])
def test_prices_of_ones_own(text: str, usd: float) -> None:
    """Dollars for a million of input and output; a cache costs what input does unless it is said."""
    assert named_api(text).per_request(MIX) == pytest.approx(usd)


def test_a_price_of_the_book() -> None:
    """By provider and model."""
    api = named_api("openai/gpt-4o-mini")
    assert api.name == "openai/gpt-4o-mini"
    assert api.per_request(MIX) > 0


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("openai/gpt-4o-min", "did you mean .*gpt-4o-mini"),
        ("opeani/gpt-4o", "did you mean openai"),
        ("openai/dall-e-3", "no price by the token"),
    ],
)
def test_what_comes_nearest(text: str, near: str) -> None:
    """A model of the provider, or a provider; what is not sold by the token has no such price."""
    with pytest.raises(BadUsage, match=near):
        named_api(text)


@pytest.mark.parametrize("text", ["0.5", "0.5,x", "1,2,3,4", "-1,2", "inf,1", "openai/no-such-model", "nobody/gpt-4o"])
def test_what_is_no_price(text: str) -> None:
    """It says what would be one."""
    with pytest.raises(BadUsage, match=r"IN,OUT|0\.50,1\.50"):
        named_api(text)


def test_providers_of_an_open_model() -> None:
    """The cheapest for the mix come first, one price of each provider, and the book is named."""
    found, [source] = found_in_book("llama-3-70b", MIX, 4)
    costs = [api.per_request(MIX) for api in found]
    assert costs == sorted(costs)
    assert len({api.name for api in found}) == 4
    assert source.as_of


def test_nobody_sells_it() -> None:
    """Then there is nothing to compare with, and no source."""
    assert found_in_book("llama-3-8b-of-mine", MIX, 4) == ([], ())
