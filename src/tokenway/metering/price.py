"""Usage and a price to money.

Every bucket is multiplied by its own rate and the sum is rounded once (`model.money`). A bucket
without a rate of its own is charged like its parent, as `model.catalog.Price` says.
"""

from __future__ import annotations

from tokenway.model.catalog import Price
from tokenway.model.money import NanoUsd, cost_of
from tokenway.model.usage import Usage


def cost(usage: Usage, price: Price) -> NanoUsd:
    """What `usage` costs at `price`, in nano-dollars."""
    return NanoUsd(cost_of(weigh_input(usage, price) + weigh_output(usage, price)) + price.request)


def split(usage: Usage, price: Price) -> tuple[NanoUsd, NanoUsd]:
    """The cost as (input and the call itself, output): two amounts whose sum is `cost` exactly."""
    came_in = weigh_input(usage, price)
    spent_in = cost_of(came_in)
    whole = cost_of(came_in + weigh_output(usage, price))
    return NanoUsd(spent_in + price.request), NanoUsd(whole - spent_in)


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
    return weighted + (usage.audio_in + usage.image_in) * rate


def weigh_output(usage: Usage, price: Price) -> int:
    """The sum of units times rate over what came out."""
    rate = price.output
    weighted = (usage.output_text + usage.audio_out + usage.image_out) * rate
    if usage.reasoning:
        weighted += usage.reasoning * (rate if price.reasoning is None else price.reasoning)
    return weighted
