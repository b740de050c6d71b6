"""Usage and a price to money.

Every bucket is multiplied by its own rate and the sum is rounded once (`model.money`). A bucket
without a rate of its own is charged like its parent, as `model.catalog.Price` says. Where a price has tiers, hours or
classes of service, one set of rates holds for the whole exchange: that of its input's length, of the minute at which it
ended, and of the service that the answer says it had.
"""

from __future__ import annotations

import msgspec

from tokenway.model.catalog import Price, Rates
from tokenway.model.money import NanoUsd, cost_of
from tokenway.model.usage import Usage


def cost(usage: Usage, price: Price, minute: int | None = None, service: str = "") -> NanoUsd:
    """What `usage` costs at `price`, in nano-dollars.

    `minute` is the one of the day, UTC; `service` one of `model.usage.SERVICES`, or empty for the usual one.
    """
    spent_in, spent_out = split(usage, price, minute, service)
    return NanoUsd(spent_in + spent_out)


def split(usage: Usage, price: Price, minute: int | None = None, service: str = "") -> tuple[NanoUsd, NanoUsd]:
    """The cost as (input, searches and the call itself, output): two amounts whose sum is `cost` exactly."""
    if service:
        price = serving(price, service)
    if price.tiers or price.hours:
        price = in_force(price, usage.input_tokens, minute)
    came_in = weigh_input(usage, price)
    spent_in = cost_of(came_in)
    whole = cost_of(came_in + weigh_output(usage, price))
    return NanoUsd(spent_in + price.request + usage.searches * price.search), NanoUsd(whole - spent_in)


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
