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
    rate_in = price.input
    rate_out = price.output
    read = price.cache_read if price.cache_read is not None else rate_in
    write = price.cache_write if price.cache_write is not None else rate_in
    write_1h = price.cache_write_1h if price.cache_write_1h is not None else write
    reasoning = price.reasoning if price.reasoning is not None else rate_out
    weighted = (
        (usage.input_uncached + usage.audio_in + usage.image_in) * rate_in
        + usage.cache_read * read
        + usage.cache_write_5m * write
        + usage.cache_write_1h * write_1h
        + (usage.output_text + usage.audio_out + usage.image_out) * rate_out
        + usage.reasoning * reasoning
    )
    return NanoUsd(cost_of(weighted) + price.request)


def split(usage: Usage, price: Price) -> tuple[NanoUsd, NanoUsd]:
    """The cost as (input, output): two amounts whose sum is `cost` exactly."""
    came_in = Usage(
        input_uncached=usage.input_uncached,
        cache_read=usage.cache_read,
        cache_write_5m=usage.cache_write_5m,
        cache_write_1h=usage.cache_write_1h,
        audio_in=usage.audio_in,
        image_in=usage.image_in,
    )
    spent_in = cost(came_in, price)
    return spent_in, NanoUsd(cost(usage, price) - spent_in)
