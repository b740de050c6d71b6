"""Usage and a price to money.

Every bucket is multiplied by its own rate and the sum is rounded once (`model.money`). A bucket
without a rate of its own is charged like its parent, as `model.catalog.Price` says. Where a price has tiers, hours or
classes of service, one set of rates holds for the whole exchange: that of its input's length, of the minute at which it
ended, and of the service that the answer says it had.

What is sold by the piece (images, sound by the hour, text by the character) is charged where the price has a rate for
it. Where it has none, the tokens are what is paid for; where there are no tokens either, nobody knows the cost.
"""

from __future__ import annotations

import msgspec

from tokenway.model.catalog import Price, Rates
from tokenway.model.money import UNITS_PER_RATE, NanoUsd, cost_of, hourly
from tokenway.model.usage import Usage


def cost(usage: Usage, price: Price, at: float | None = None, service: str = "") -> NanoUsd | None:
    """What `usage` costs at `price`, in nano-dollars; None when that is not known.

    `at` is a Unix time; `service` one of `model.usage.SERVICES`, or empty for the usual one.
    """
    parts = split(usage, price, at, service)
    return None if parts is None else NanoUsd(sum(parts))


def split(usage: Usage, price: Price, at: float | None = None, service: str = "") -> tuple[int, int] | None:
    """The cost as (input, searches and the call itself, output): two amounts whose sum is `cost` exactly."""
    if service:
        price = serving(price, service)
    if price.tiers or price.hours:
        price = in_force(price, usage.input_tokens, None if at is None else int(at // 60) % 1440)
    came_in = weigh_input(usage, price)
    came_out = weigh_output(usage, price)
    if usage.images or usage.sound_ms or usage.characters:
        pieces = weigh_pieces(usage, price)
        if pieces is None:
            return None
        came_in += pieces[0]
        came_out += pieces[1]
    spent_in = cost_of(came_in)
    return spent_in + price.request + usage.searches * price.search, cost_of(came_in + came_out) - spent_in


def in_force(price: Price, input_tokens: int, minute: int | None = None) -> Price:
    """The price with the rates that hold for so much input at this minute of the day, and no others.

    Without a minute the hours are left out: the usual rates hold.
    """
    if minute is not None:
        for hours in price.hours:
            begin, end = hours.begin, hours.end
            if begin <= minute < end or (end < begin and not end <= minute < begin):
                price = _with(price, hours)
                break
    above = [tier for tier in price.tiers if input_tokens > tier.above]
    if above:
        price = _with(price, max(above, key=lambda tier: tier.above))
    return msgspec.structs.replace(price, tiers=(), hours=())


def for_picture(price: Price, size: str, quality: str) -> Price:
    """The price with the one for images of this size and quality, and no others; empty is what is not asked for."""
    for each in price.images:
        if each.size in {"", size} and each.quality in {"", quality}:
            return msgspec.structs.replace(price, image=each.image, images=())
    return msgspec.structs.replace(price, images=())


def serving(price: Price, service: str) -> Price:
    """The price of a class of service, by its name in `Price`; the usual one where there is no other for it."""
    rates = getattr(price, service)
    if rates is None:
        return price
    return msgspec.structs.replace(
        _with(price, rates), tiers=rates.tiers, hours=(), batch=None, flex=None, priority=None, fast=None
    )


def _with(price: Price, rates: Rates) -> Price:
    said = {name: rate for name in Rates.__struct_fields__ if (rate := getattr(rates, name)) is not None}
    return msgspec.structs.replace(price, **said)


def weigh_input(usage: Usage, price: Price) -> int:
    """The sum of units times rate over what went in."""
    rate = price.input
    weighted = usage.input_uncached * rate
    if usage.cache_read:
        weighted += usage.cache_read * (rate if price.cache_read is None else price.cache_read)
    if usage.cache_write_5m or usage.cache_write_1h:
        write = rate if price.cache_write is None else price.cache_write
        write_1h = write if price.cache_write_1h is None else price.cache_write_1h
        weighted += usage.cache_write_5m * write + usage.cache_write_1h * write_1h
    if usage.audio_in:
        weighted += usage.audio_in * (rate if price.audio_input is None else price.audio_input)
    if usage.image_in:
        weighted += usage.image_in * (rate if price.image_input is None else price.image_input)
    return weighted


def weigh_output(usage: Usage, price: Price) -> int:
    """The sum of units times rate over what came out."""
    rate = price.output
    weighted = usage.output_text * rate
    if usage.audio_out:
        weighted += usage.audio_out * (rate if price.audio_output is None else price.audio_output)
    if usage.image_out:
        weighted += usage.image_out * (rate if price.image_output is None else price.image_output)
    if usage.reasoning:
        weighted += usage.reasoning * (rate if price.reasoning is None else price.reasoning)
    return weighted


def weigh_pieces(usage: Usage, price: Price) -> tuple[int, int] | None:
    """The same of what is sold by the piece, as (in, out); None where nothing that was counted has a rate."""
    is_known = usage.input_tokens + usage.output_tokens > 0
    came_in = came_out = 0
    if usage.characters and price.characters is not None:
        came_in += usage.characters * price.characters
        is_known = True
    if usage.sound_ms and price.sound_hour is not None:
        came_in += hourly(usage.sound_ms, price.sound_hour)
        is_known = True
    if usage.images and price.image is not None:
        came_out += usage.images * price.image * UNITS_PER_RATE
        is_known = True
    return (came_in, came_out) if is_known else None
