"""The most an exchange can cost: the amount to reserve before anything is sent.

A token covers at least one byte of text, so a request of B bytes cannot be more than B prompt tokens;
a model's context bounds it too. The answer is bounded by `max_tokens`, else by what the endpoint says it
can write. Only where neither is known does a bound have to be assumed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tokenway.model.catalog import Endpoint
from tokenway.model.money import ZERO, NanoUsd, cost_ceiling

OUTPUT_ASSUMED: Final = 16_384
"""Output tokens assumed where neither the caller nor the endpoint names a limit."""


def worst_case(endpoints: Iterable[Endpoint], body_bytes: int, max_tokens: int | None, answers: int) -> NanoUsd:
    """Nano-dollars for `answers` answers at the dearest of `endpoints`; zero when none has a price."""
    most = ZERO
    for endpoint in endpoints:
        price = endpoint.price
        if price is None:
            continue
        able = endpoint.capabilities
        prompt = body_bytes if able.context is None else min(body_bytes, able.context)
        output = max_tokens if max_tokens is not None else (able.max_output or OUTPUT_ASSUMED)
        rate_in = max(price.input, price.cache_write or 0, price.cache_write_1h or 0)
        rate_out = max(price.output, price.reasoning or 0)
        amount = cost_ceiling(prompt * rate_in + output * answers * rate_out) + price.request
        most = NanoUsd(max(most, amount))
    return most
