"""Usage and a price to money: sums that were done by hand, and what holds for every sum."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenway.metering.price import cost, split, weigh_input, weigh_output
from tokenway.model.catalog import Price
from tokenway.model.money import NanoUsd, Rate, parse_rate, parse_usd
from tokenway.model.usage import Usage

COUNTS = st.integers(0, 10**7)
RATES = st.integers(0, 10**12).map(Rate)
PRICES = st.builds(
    Price,
    input=RATES,
    output=RATES,
    cache_read=st.none() | RATES,
    cache_write=st.none() | RATES,
    cache_write_1h=st.none() | RATES,
    reasoning=st.none() | RATES,
    request=st.integers(0, 10**9).map(NanoUsd),
)
USAGES = st.builds(Usage, *[COUNTS] * 10)


def test_by_hand() -> None:
    """1,000 in at 0.50, 200 from a cache at 0.05, 300 out at 1.50 USD a million are 0.00096 USD."""
    price = Price(parse_rate("0.50"), parse_rate("1.50"), cache_read=parse_rate("0.05"))
    assert cost(Usage(input_uncached=1000, cache_read=200, output_text=300), price) == parse_usd("0.00096")


def test_every_bucket_has_its_rate() -> None:
    """A million of each bucket costs the sum of all rates."""
    price = Price(
        parse_rate(1),
        parse_rate(10),
        cache_read=parse_rate("0.1"),
        cache_write=parse_rate("1.25"),
        cache_write_1h=parse_rate(2),
        reasoning=parse_rate(20),
        request=parse_usd("0.01"),
    )
    usage = Usage(*[10**6] * 10)
    # input, audio and image in; cache read; cache writes; text, audio and image out; reasoning; the call itself
    assert cost(usage, price) == parse_usd(3 * 1) + parse_usd("0.1") + parse_usd("3.25") + parse_usd("50.01")


@pytest.mark.parametrize(
    ("usage", "nano"),
    [
        (Usage(cache_read=10**6), 7),
        (Usage(cache_write_5m=10**6), 7),
        (Usage(cache_write_1h=10**6), 7),
        (Usage(reasoning=10**6), 11),
        (Usage(audio_out=10**6), 11),
        (Usage(requests=10**6, searches=10**6), 0),
    ],
)
def test_a_bucket_without_rate_is_charged_like_its_parent(usage: Usage, nano: int) -> None:
    """Cache and media input cost what input costs, reasoning and media output what output costs."""
    assert cost(usage, Price(Rate(7), Rate(11))) == nano


def test_an_hours_cache_costs_like_a_short_one_where_only_that_is_known() -> None:
    """The rate of a cache write stands in for the longer one."""
    assert cost(Usage(cache_write_1h=10**6), Price(Rate(7), Rate(11), cache_write=Rate(9))) == 9


@given(USAGES, PRICES)
def test_the_sum_is_rounded_once(usage: Usage, price: Price) -> None:
    """The cost is the exact fraction rounded half up, and the call's own price on top."""
    exact = Fraction(weigh_input(usage, price) + weigh_output(usage, price), 10**6)
    assert cost(usage, price) == (exact + Fraction(1, 2)).__floor__() + price.request


@given(USAGES, PRICES)
def test_the_parts_add_up(usage: Usage, price: Price) -> None:
    """Input and output are two amounts, neither below zero, whose sum is the cost exactly."""
    came_in, came_out = split(usage, price)
    assert came_in + came_out == cost(usage, price)
    assert came_in >= price.request
    assert came_out >= 0
