"""Usage and a price to money: sums that were done by hand, and what holds for every sum."""

from __future__ import annotations

from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenway.metering.price import cost, for_picture, in_force, serving, split, weigh_input, weigh_output
from tokenway.model.catalog import Hours, Picture, Price, Service, Tier
from tokenway.model.money import NanoUsd, Rate, parse_rate, parse_usd
from tokenway.model.usage import Usage

COUNTS = st.integers(0, 10**7)
RATES = st.integers(0, 10**12).map(Rate)
TIERS = st.builds(Tier, above=st.integers(1, 10**7), input=st.none() | RATES, output=st.none() | RATES)
PRICES = st.builds(
    Price,
    input=RATES,
    output=RATES,
    cache_read=st.none() | RATES,
    cache_write=st.none() | RATES,
    cache_write_1h=st.none() | RATES,
    reasoning=st.none() | RATES,
    request=st.integers(0, 10**9).map(NanoUsd),
    audio_input=st.none() | RATES,
    image_output=st.none() | RATES,
    image=st.none() | st.integers(0, 10**9).map(NanoUsd),
    sound_hour=st.none() | st.integers(0, 10**10).map(NanoUsd),
    characters=st.none() | RATES,
    tiers=st.lists(TIERS, max_size=3).map(tuple),
)
USAGES = st.builds(Usage, *[COUNTS] * 10, images=COUNTS, sound_ms=COUNTS, characters=COUNTS)


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
    held = in_force(price, usage.input_tokens)
    exact = Fraction(weigh_input(usage, held) + weigh_output(usage, held), 10**6)
    exact += Fraction(usage.characters * (price.characters or 0), 10**6)
    exact += Fraction(usage.sound_ms * (price.sound_hour or 0), 3_600_000)
    exact += usage.images * (price.image or 0)
    assert cost(usage, price) in {None, (exact + Fraction(1, 2)).__floor__() + price.request}


@given(USAGES, PRICES)
def test_the_parts_add_up(usage: Usage, price: Price) -> None:
    """Input and output are two amounts, neither below zero, whose sum is the cost exactly."""
    parts = split(usage, price)
    if parts is None:
        assert cost(usage, price) is None
        return
    came_in, came_out = parts
    assert came_in + came_out == cost(usage, price)
    assert came_in >= price.request
    assert came_out >= 0


LONG = Price(
    parse_rate("1.25"),
    parse_rate(10),
    cache_read=parse_rate("0.125"),
    tiers=(
        Tier(above=200_000, input=parse_rate("2.50"), output=parse_rate(15), cache_read=parse_rate("0.25")),
        Tier(above=500_000, input=parse_rate(5)),
    ),
)


@pytest.mark.parametrize(
    ("usage", "dollars"),
    [
        # 200,000 at 1.25 and 1,000 at 10 a million
        (Usage(input_uncached=200_000, output_text=1000), "0.26"),
        # One token more, and all of it costs the other rates: 200,001 at 2.50 and 1,000 at 15
        (Usage(input_uncached=200_001, output_text=1000), "0.5150025"),
        # Cached input counts for the length: 100,000 at 2.50, 150,000 at 0.25, nothing out
        (Usage(input_uncached=100_000, cache_read=150_000), "0.2875"),
        # The highest tier holds, and what it does not name is the price's own: 600,000 at 5, 1,000 at 10
        (Usage(input_uncached=600_000, output_text=1000), "3.01"),
    ],
)
def test_long_input_has_other_rates_by_hand(usage: Usage, dollars: str) -> None:
    """The tier is chosen by all the input, and holds for all of the call."""
    assert cost(usage, LONG) == parse_usd(dollars)


@pytest.mark.parametrize(
    ("minute", "rate"), [(None, 10), (29, 10), (30, 20), (989, 20), (990, 10), (1400, 5), (10, 5), (20, 10)]
)
def test_times_of_the_day_have_other_rates(minute: int | None, rate: int) -> None:
    """From the first minute to before the last one, past midnight too; without a time the usual rates hold."""
    hours = (Hours(begin=30, end=990, input=Rate(20)), Hours(begin=1380, end=20, input=Rate(5)))
    price = Price(Rate(10), Rate(10), hours=hours)
    assert in_force(price, 0, minute).input == rate
    assert cost(Usage(input_uncached=10**6), price, None if minute is None else 86_400 * 20_000 + minute * 60.0) == rate


def test_media_and_searches_by_hand() -> None:
    """1,000 audio in at 40 and 500 out at 80, 200 image in at 5 and 100 out at 30 a million, 3 searches at a cent."""
    price = Price(
        parse_rate(1),
        parse_rate(1),
        audio_input=parse_rate(40),
        audio_output=parse_rate(80),
        image_input=parse_rate(5),
        image_output=parse_rate(30),
        search=parse_usd("0.01"),
    )
    usage = Usage(audio_in=1000, audio_out=500, image_in=200, image_out=100, searches=3)
    assert cost(usage, price) == parse_usd("0.114")
    assert split(usage, price) == (parse_usd("0.071"), parse_usd("0.043"))


FREE = Price(Rate(0), Rate(0))


@pytest.mark.parametrize(
    ("usage", "rates", "parts"),
    [
        # 1,234 characters at 15 USD a million
        (Usage(characters=1_234), {"characters": parse_rate(15)}, ("0.01851", "0")),
        # nine seconds at 0.36 USD an hour; a second and a half at 0.111 USD an hour are 46,250 nano-dollars
        (Usage(sound_ms=9_000), {"sound_hour": parse_usd("0.36")}, ("0.0009", "0")),
        (Usage(sound_ms=1_500), {"sound_hour": parse_usd("0.111")}, ("0.00004625", "0")),
        (Usage(images=3), {"image": parse_usd("0.04")}, ("0", "0.12")),
        (Usage(searches=2), {"search": parse_usd("0.002")}, ("0.004", "0")),
    ],
)
def test_pieces_by_hand(usage: Usage, rates: dict[str, int], parts: tuple[str, str]) -> None:
    """What is heard, spoken and looked for is paid like input, what is painted like output."""
    price = msgspec.structs.replace(FREE, **rates)
    assert split(usage, price) == tuple(map(parse_usd, parts))


@pytest.mark.parametrize("bucket", ["images", "sound_ms", "characters"])
def test_a_piece_without_a_rate_is_not_free(bucket: str) -> None:
    """Nobody knows what it costs, unless tokens were counted too: then they are what is paid for."""
    piece = Usage(**{bucket: 7})
    assert cost(piece, Price(Rate(7), Rate(11))) is None
    assert split(piece, FREE) is None
    assert cost(msgspec.structs.replace(piece, output_text=10**6), Price(Rate(7), Rate(11))) == 11


def test_a_rate_of_zero_is_known() -> None:
    """Who writes that a piece costs nothing has a price."""
    assert cost(Usage(images=7), msgspec.structs.replace(FREE, image=NanoUsd(0))) == 0


def test_pieces_are_paid_beside_tokens_where_both_have_a_price() -> None:
    """A million tokens out at 11 nano-dollars, and two images at five."""
    price = msgspec.structs.replace(FREE, output=Rate(11), image=NanoUsd(5))
    assert cost(Usage(output_text=10**6, images=2), price) == 21


def test_half_a_nano_dollar_of_sound_is_rounded_up() -> None:
    """Together with the tokens, once: half and half are one."""
    price = msgspec.structs.replace(FREE, input=Rate(1), sound_hour=NanoUsd(2))
    assert cost(Usage(sound_ms=900_000), price) == 1
    assert cost(Usage(sound_ms=899_999), price) == 0
    assert cost(Usage(input_uncached=500_000, sound_ms=900_000), price) == 1


@pytest.mark.parametrize(
    ("size", "quality", "dollars"),
    [
        ("", "", "0.04"),
        ("1024x1024", "standard", "0.04"),
        ("1024x1792", "", "0.08"),
        ("", "hd", "0.08"),
        ("1024x1792", "hd", "0.12"),
    ],
)
def test_an_image_costs_what_is_asked_for(size: str, quality: str, dollars: str) -> None:
    """The first that fits holds, and else the price of any image."""
    price = msgspec.structs.replace(
        FREE,
        image=parse_usd("0.04"),
        images=(
            Picture(size="1024x1792", quality="hd", image=parse_usd("0.12")),
            Picture(quality="hd", image=parse_usd("0.08")),
            Picture(size="1024x1792", image=parse_usd("0.08")),
        ),
    )
    held = for_picture(price, size, quality)
    assert held == msgspec.structs.replace(FREE, image=parse_usd(dollars))
    assert cost(Usage(images=1), held) == parse_usd(dollars)


def test_a_batch_has_rates_of_its_own() -> None:
    """With its own tiers; a price without any for it is the same."""
    batch = Service(input=Rate(5), tiers=(Tier(above=10, input=Rate(7)),))
    price = Price(Rate(10), Rate(20), tiers=(Tier(above=10, input=Rate(14)),), batch=batch)
    assert serving(price, "batch") == Price(Rate(5), Rate(20), tiers=(Tier(above=10, input=Rate(7)),))
    assert serving(LONG, "batch") is LONG


def test_a_class_of_service_has_rates_of_its_own() -> None:
    """Neither the tiers nor the hours of the usual one are its own; what it does not name is as usual."""
    price = Price(
        parse_rate(2),
        parse_rate(8),
        cache_read=parse_rate("0.5"),
        tiers=(Tier(above=0, input=parse_rate(100)),),
        hours=(Hours(begin=0, end=1440, output=parse_rate(100)),),
        flex=Service(input=parse_rate(1), output=parse_rate(4)),
        priority=Service(input=parse_rate("3.5"), tiers=(Tier(above=1000, output=parse_rate(20)),)),
    )
    usage = Usage(1000, 2000, output_text=100)
    assert cost(usage, price, 420.0, "flex") == parse_usd("0.0024")  # 1000 + 2000 * 0.5 + 100 * 4 millionths
    assert cost(usage, price, 420.0, "priority") == parse_usd("0.0065")  # 3500 + 2000 * 0.5 + 100 * 20
    assert cost(usage, price, 420.0, "fast") == cost(usage, price, 420.0)
